"""The Containerfile: judged, its entry point run as it says, and built where that can be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import Seal, Supervise
from tests.deploy.sealed import Account, Entry, Place, wait_until
from tests.tidy import ROOT

CONTAINERFILE = ROOT / "docs/deploy/container/Containerfile"
IGNORED = CONTAINERFILE.with_name("Containerfile.dockerignore")
PIP_VARIABLES = re.compile(r"(?i)pip_|https?_proxy$|no_proxy$")
LABEL = "localhost/dnslb-test-base"

Instruction = tuple[str, str]


def instructions() -> list[list[Instruction]]:
    """Of each stage, its FROM first; what stands before the first FROM is left out."""
    text = re.sub(r"\n\s*#[^\n]*", "", CONTAINERFILE.read_text()).replace("\\\n", " ")
    stages: list[list[Instruction]] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        if stages and word.isupper():
            stages[-1].append((word, " ".join(rest.split())))
    return stages


def last(word: str) -> list[str]:
    return [rest for found, rest in instructions()[-1] if found == word]


def hadolint(path: Path) -> tuple[int, str]:
    if (program := shutil.which("hadolint")) is None:
        pytest.skip("there is no hadolint here")
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_hadolint_finds_nothing_wrong(tmp_path: Path) -> None:
    assert hadolint(CONTAINERFILE) == (0, "")
    wrong = tmp_path / "Containerfile"
    wrong.write_text(CONTAINERFILE.read_text().replace("USER 65532:65532", "USER root"))
    code, text = hadolint(wrong)
    assert (code, "DL3002" in text) == (1, True)


def test_the_image_is_nobody_s_and_has_no_tools() -> None:
    build, final = instructions()
    assert build[0][1].endswith("AS build")
    (user,) = last("USER")
    assert user == "65532:65532"
    assert not [rest for word, rest in final if word == "RUN" and re.search(r"pip|apt|gcc", rest)]
    assert [rest for rest in last("COPY") if not rest.startswith("--from=build")] == []
    assert last("STOPSIGNAL") == ["SIGTERM"]


def test_what_is_copied_is_not_ignored() -> None:
    """The whole context is left out but for what COPY names."""
    lines = IGNORED.read_text().splitlines()
    assert lines[0] == "*"
    copied = {
        name for word, rest in instructions()[0] if word == "COPY" for name in rest.split()[:-1]
    }
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_its_entry_point_as_a_process(seal: Seal, supervise: Supervise, tmp_path: Path) -> None:
    """Read-only, as the image's user, with what the image sets and nothing else."""
    uid, gid = map(int, last("USER")[0].split(":"))
    account = Account("dnslb", uid, gid)
    (words,) = last("ENV")
    environ = dict(word.split("=", 1) for word in words.split())
    (entrypoint,) = last("ENTRYPOINT")
    config = b'election = "singleton"\ninstance-identifier = "c1"\n'
    sealed = seal(
        accounts=(account,),
        entries=[Entry("/etc/dnslb/dnslb.toml", config, account)],
        places=[Place("/var/lib/dnslb", account, 0o700), Place("/tmp", account, 0o1777)],
    )
    log = tmp_path / "log"
    command = [*json.loads(entrypoint), "-cfg", "/etc/dnslb/dnslb.toml"]
    process = sealed.start(command, account, environ, log)
    wait_until(lambda: "ready: " in log.read_text(), process, log)
    assert sealed.run(["dnslbctl", "status"], account).returncode == 0
    assert sealed.run(["touch", "/var/lib/dnslb/x"], account).returncode == 0
    for place in ("/x", "/opt/dnslb/x", "/etc/dnslb/x"):
        assert "Read-only" in sealed.run(["touch", place], account).stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


# ----------------------------------------------------------------------------------- for real


class Buildah:
    """With storage and base image of its own: no registry is asked for anything but packages."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environ = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *words: str) -> str:
        store = ("--root", f"{self._directory}/store", "--runroot", f"{self._directory}/run")
        done = subprocess.run(
            ["buildah", *store, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self._environ,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def make_base(self) -> None:
        """Debian with its Python, from Debian's packages: there may be no registry of images."""
        release = dict(
            line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
        )
        tarball = self._directory / "base.tar"
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=minbase"),
                "--include=python3,python3-venv,ca-certificates",
                *(release["VERSION_CODENAME"].strip('"'), str(tarball)),
            ],
            check=True,
            capture_output=True,
        )
        container = self("from", "scratch")
        self("add", "--quiet", container, str(tarball), "/")
        self("commit", "--quiet", container, LABEL)
        tarball.unlink()

    def build(self) -> None:
        """Where packages come from, and by which certificates, is this machine's affair."""
        volumes = [
            f"--volume={p}:{p}:ro" for p in ("/etc/ssl/certs", "/etc/pip.conf") if Path(p).exists()
        ]
        environ = [f"--env={name}" for name in os.environ if PIP_VARIABLES.match(name)]
        files = (f"--file={CONTAINERFILE}", f"--ignorefile={IGNORED}")
        self(
            "bud",
            *volumes,
            *environ,
            f"--build-arg=BASE={LABEL}",
            "--pull-never",
            *files,
            "-t",
            "dnslb",
            ".",
        )


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Buildah]:
    for program in ("buildah", "mmdebstrap"):
        if os.geteuid() != 0 or shutil.which(program) is None:
            pytest.skip(f"there is no {program} here, or no root to run it")
    made = Buildah(tmp_path)
    yield made
    made("rm", "--all")
    made("rmi", "--all", "--force")


@pytest.mark.long
def test_it_builds(buildah: Buildah) -> None:
    buildah.make_base()
    buildah.build()
    container = buildah("from", "--pull-never", "localhost/dnslb")
    root = Path(buildah("mount", container))
    buildah("run", container, "--", "dnslb", "check", "-election", "singleton")
    assert buildah("run", container, "--", "id", "-u") == "65532"
    assert not [name for name in ("gcc", "cc", "make") if (root / "usr/bin" / name).exists()]
    site = next((root / "opt/dnslb/lib").glob("python3*/site-packages"))
    assert not {"pip", "setuptools"} & {path.name for path in site.iterdir()}
    size = sum(path.lstat().st_size for path in (root / "opt/dnslb").rglob("*"))
    print(f"/opt/dnslb: {size / 1e6:.0f} MB")
