"""Members of a cluster on real sockets: the shared port, TLS, and the control API behind both.

What stands behind the API is a picture that a test sets; the peers' protocol is hung up on.
Each member runs in a thread of its own, since dnslbctl blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from dnslb.control.permission import Permission
from dnslb.control.remote import make_remote_server
from dnslb.control.server import ControlServer
from dnslb.daemon.verbs.authority import Authority, Wish, make_authority
from dnslb.net.clock import wall_s
from dnslb.net.http_limits import Refusal
from dnslb.net.listen import bound_port, open_tcp, open_unix
from dnslb.net.peer import Peer
from dnslb.net.shared_port import SharedPort
from dnslb.net.tls import TlsFiles, server_context
from dnslbctl.__main__ import main, raftadmin
from tests.dnslbctl.daemon import StillClock
from tests.doubles.operations import INFO, Shown, picture


@dataclass
class Member:
    """``files`` None: without TLS. ``host``: where it listens, and as what it is addressed."""

    socket: Path
    files: TlsFiles | None = None
    host: str = "127.0.0.1"
    shown: Shown = field(default_factory=lambda: Shown(picture()))
    refusals: list[tuple[Refusal, Peer, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert self.errors == []

    async def _run(self) -> None:
        self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
        on_error = self.errors.append
        control = ControlServer(self.shown, self.shown, INFO, StillClock(), on_error=on_error)
        remote = make_remote_server(
            control.handlers,
            Permission(str(self.socket)),
            on_error=on_error,
            on_refused=lambda *refusal: self.refusals.append(refusal),
        )
        context = server_context(self.files) if self.files else None
        shared = SharedPort(
            http=remote.serve_stream,
            others=self._take_frames,
            tls=(lambda: context) if context else None,
            on_refused=lambda *refusal: self.refusals.append(refusal),
        )
        listeners = await open_tcp(self.port, self.host)
        self.port = bound_port(listeners[0])
        async with trio.open_nursery() as nursery:
            socket = await open_unix(self.socket)
            await nursery.start(lambda **given: control.serve([socket], **given))
            await nursery.start(shared.serve, listeners)
            self._started.set()
            await self._stop.wait()
            for server in (control, remote, shared):
                server.shutdown()

    async def _take_frames(self, stream: trio.abc.Stream, *, received: bytes, peer: Peer) -> None:
        self.frames.append(received)


@contextmanager
def running(*members: Member) -> Iterator[None]:
    for member in members:
        member.start()
    try:
        yield
    finally:
        for member in members:
            member.stop()


class Pki:
    """A CA as ``dnslb pki`` makes it, and what it issues."""

    def __init__(self, directory: Path, *, began_days_ago: float = 0) -> None:
        self.directory = directory
        self._wall = wall_s() - began_days_ago * 86_400
        make_authority(directory, 30, self._wall)

    def issue(self, wish: Wish, *, trusting: Path | None = None) -> TlsFiles:
        files = Authority(self.directory, self._wall).issue(wish)
        return TlsFiles(trusting or self.directory / "ca.crt", files.cert, files.key)

    def member(self, name: str, *hosts: str) -> TlsFiles:
        return self.issue(Wish(name, "member", hosts or ("127.0.0.1",)))


def options(files: TlsFiles) -> list[str]:
    """As dnslbctl takes them."""
    named: Mapping[str, Path | None] = {"ca": files.ca, "crt": files.cert, "key": files.key}
    return [word for name, path in named.items() for word in (f"--{name}", str(path))]


class Tried:
    """Runs dnslbctl or raftadmin in this process; what it gave."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def ctl(self, *words: str) -> tuple[int, str, str]:
        code = main(words)
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def raftadmin(self, *words: str) -> tuple[int, str, str]:
        code = raftadmin(words)
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def refused(self, *words: str) -> tuple[int, str]:
        code, out, err = self.ctl(*words)
        assert out == ""
        return code, err
