"""A root of its own, in which a process sees what a unit or a container would give it.

The file system is read-only but for the directories that are named; the network is a loopback of
its own, with any addresses and names. The paths are those of the deployment files, so that command
lines run exactly as they stand. Needs root, who alone may make such namespaces.

Not a container runtime, and not systemd: what both restrict beyond this is not tried here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.tidy import ROOT

PATIENCE_S = 30.0
SEARCH = "/opt/dnslb/bin:/usr/bin:/bin:/usr/sbin:/sbin"
PROGRAMS = ("dnslb", "dnslbctl", "raftadmin")
_BEGIN = """
set -eu
mount -t tmpfs -o mode=755 none "$R"
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$name ]; then cp -P /$name "$R/$name"; fi
done
bind() {
    if [ -d "$1" ]; then mkdir -p "$R$2"; else mkdir -p "$R$(dirname "$2")"; : >"$R$2"; fi
    mount --rbind "$1" "$R$2"
    mount -o remount,bind,$3 "$R$2"
}
"""
# After the places: the project may lie below one of them, as in /tmp.
_END = """
for place in $READ_ONLY; do bind "$place" "$place" ro; done
mkdir -p "$R/proc" "$R/dev" "$R/tmp" "$R/run" "$R/opt/dnslb/bin"
mount -t proc -o hidepid=invisible,subset=pid proc "$R/proc" || mount -t proc proc "$R/proc"
for device in null zero urandom random full; do bind /dev/$device /dev/$device rw; done
for program in $PROGRAMS; do ln -s "$BIN/$program" "$R/opt/dnslb/bin/$program"; done
cp -a "$SEED/." "$R/"
ip link set lo up
for address in $ADDRESSES; do ip address add "$address" dev lo; done
mount -o remount,ro "$R"
echo sealed
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a process runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that ``owner`` may write; empty at first, unless it is one of the host's."""

    path: str
    owner: Account
    mode: int = 0o755
    host: Path | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that nobody may write."""

    path: str
    content: bytes
    owner: Account
    mode: int = 0o400


ROOT_ACCOUNT = Account("root", 0, 0)


@dataclass
class Sealed:
    """Made by `open`, ended with everything that runs in it by `close`."""

    directory: Path
    accounts: Sequence[Account] = ()
    entries: Sequence[Entry] = ()
    places: Sequence[Place] = ()
    addresses: Sequence[str] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    _holder: subprocess.Popen[str] | None = None
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def open(self) -> None:
        seed = self.directory / "seed"
        root = self.directory / "root"
        root.mkdir()
        self._write_seed(seed)
        binds = [ROOT, Path(sys.prefix), Path(sys.base_prefix), Path("/usr")]
        binds += [place for place in (Path("/etc/ssl"), Path("/etc/ld.so.cache")) if place.exists()]
        environ = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "R": str(root),
            "SEED": str(seed),
            "BIN": str(Path(sys.executable).parent),
            "READ_ONLY": " ".join(_outermost(binds)),
            "PROGRAMS": " ".join(PROGRAMS),
            "ADDRESSES": " ".join(self.addresses),
        }
        script = _BEGIN + "".join(map(self._place, self.places)) + _END
        log = self.directory / "seal.log"
        with log.open("w") as output:
            self._holder = subprocess.Popen(
                ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "sealed\n", log.read_text()

    def _place(self, place: Place) -> str:
        path, owner = f'"$R{place.path}"', f"{place.owner.uid}:{place.owner.gid}"
        if place.host is not None:
            return f'bind "{place.host}" "{place.path}" rw\n'
        return (
            f"mkdir -p {path}\nmount -t tmpfs -o mode={place.mode:o} none {path}\n"
            f"chown {owner} {path}\n"
        )

    def _write_seed(self, seed: Path) -> None:
        accounts = [ROOT_ACCOUNT, *self.accounts]
        hosts = {"localhost": "127.0.0.1", **self.hosts}
        texts = {
            "/etc/passwd": [f"{a.name}:x:{a.uid}:{a.gid}::/nowhere:/bin/false" for a in accounts],
            "/etc/group": [f"{a.name}:x:{a.gid}:" for a in accounts],
            "/etc/hosts": [f"{address} {name}" for name, address in hosts.items()],
            "/etc/nsswitch.conf": ["passwd: files", "group: files", "hosts: files"],
        }
        entries = [
            Entry(path, "".join(f"{line}\n" for line in lines).encode(), ROOT_ACCOUNT, 0o444)
            for path, lines in texts.items()
        ]
        for entry in (*entries, *self.entries):
            path = seed / entry.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.content)
            os.chown(path, entry.owner.uid, entry.owner.gid)
            path.chmod(entry.mode)

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            assert self._holder.stdout is not None
            self._holder.stdout.close()

    @property
    def pid(self) -> str:
        """Of the process that holds the namespaces."""
        assert self._holder is not None
        return str(self._holder.pid)

    # ------------------------------------------------------------------------------ processes

    def command(self, argv: Sequence[str], account: Account) -> list[str]:
        """``argv`` as a command line of the host, without any privilege inside."""
        groups = ",".join(map(str, account.groups))
        return [
            *("nsenter", f"--target={self.pid}", "--mount", "--net", "--"),
            *(_path("chroot") or "chroot", str(self.directory / "root")),
            _path("setpriv") or "setpriv",
            *(f"--reuid={account.uid}", f"--regid={account.gid}"),
            f"--groups={groups}" if groups else "--clear-groups",
            *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"),
            *argv,
        ]

    def start(
        self, argv: Sequence[str], account: Account, environ: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(argv, account),
                env={"PATH": SEARCH, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(
        self, argv: Sequence[str], account: Account, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(argv, account),
            env={"PATH": SEARCH, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )


def cannot_seal() -> str | None:
    """Why there can be no sealed root here, or None."""
    if os.geteuid() != 0:
        return "only root may make the namespaces that this runs in"
    for program in ("unshare", "nsenter", "setpriv", "ip", "mount"):
        if _path(program) is None:
            return f"there is no {program} here (Debian: util-linux, iproute2)"
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "true"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else "this machine lets nobody make namespaces"


def _path(program: str) -> str | None:
    """Its path, whatever PATH the process in there is to have."""
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def wait_until(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Fails when the process ends first, or nothing comes of it."""
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.02)


def _outermost(paths: Iterable[Path]) -> list[str]:
    """Without those that lie in another one; the project's own root last."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return [str(path) for path in kept]
