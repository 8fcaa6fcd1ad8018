"""A file system of a few megabytes that a test can fill: a tmpfs, seen by one member alone.

It is mounted in a namespace of its own, so that this machine's mounts stay as they are, and goes
with the process that keeps it. Only for root; elsewhere its tests are skipped.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.network import Place

_HOLD = 'mount -t tmpfs -o size="$2",mode=0700 tmpfs "$1" && echo && exec cat'


@dataclass(frozen=True, slots=True)
class SmallDisk(Place):
    """Mounted at ``directory``, for what runs there."""

    directory: Path = Path()

    @property
    def command(self) -> tuple[str, ...]:
        return ("nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--")

    def inside(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def files(self) -> Path:
        """Where what is on it can be reached from here."""
        return Path(f"/proc/{self.pid}/root") / self.directory.relative_to("/")

    def fill(self) -> None:
        """To the last byte."""
        with (self.files / "filler").open("wb", buffering=0) as filler:
            for size in (65_536, 4096, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.files / "filler").unlink()


MakeDisk = Callable[[Path, str], SmallDisk]


@pytest.fixture
def small_disk() -> Iterator[MakeDisk]:
    """Mounts one at a directory, which it makes, of a size as mount(8) reads it."""
    holders: list[subprocess.Popen[bytes]] = []

    def make(directory: Path, size: str) -> SmallDisk:
        directory.mkdir(parents=True)
        command = ["unshare", "--mount", "sh", "-c", _HOLD, "sh", str(directory), size]
        pipe = subprocess.PIPE
        holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        holders.append(holder)
        assert holder.stdout is not None
        if not holder.stdout.read(1):
            _, why = holder.communicate()
            pytest.skip(f"nothing can be mounted here: {why.decode().strip()}")
        return SmallDisk(pid=holder.pid, directory=directory)

    yield make
    for holder in holders:
        holder.kill()
        holder.communicate()
