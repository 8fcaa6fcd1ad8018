"""The control API at a shared port: who comes over the network harms nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dnslb.control.handlers import WATCHERS_MAX
from dnslb.control.permission import Permission
from dnslb.control.remote import LIMITS, make_remote_server
from dnslb.control.server import ControlServer
from dnslb.net.clock import FakeClock
from dnslb.net.http_limits import HttpStats
from dnslb.net.listen import bound_port, open_tcp, open_unix
from dnslb.net.peer import Peer
from dnslb.net.shared_port import SharedPort
from tests.doubles.operations import INFO, Shown, ep, lb, picture

STATUS = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
WATCH = b"GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n"


class House:
    """A daemon's two doors: its control socket, and its raft address without TLS."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = Shown(STATUS)
        self.errors: list[Exception] = []
        on_error = self.errors.append
        self.control = ControlServer(self.shown, self.shown, INFO, FakeClock(), on_error=on_error)
        self.remote = make_remote_server(
            self.control.handlers, Permission(str(path)), on_error=on_error
        )
        self.shared = SharedPort(http=self.remote.serve_stream, others=self.take_frames)
        self.port = 0

    @property
    def stats(self) -> HttpStats:
        return self.remote.stats

    async def take_frames(self, stream: trio.abc.Stream, *, received: bytes, peer: Peer) -> None:
        await stream.send_all(received + bytes(await stream.receive_some()))

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def ask(self, data: bytes) -> bytes:
        async with await self.connect() as stream:
            await stream.send_all(data)
            return b"".join([bytes(part) async for part in stream])


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[House]:
    house = House(path)
    socket, listeners = await open_unix(path), await open_tcp(0)
    house.port = bound_port(listeners[0])
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **given: house.control.serve([socket], **given))
        await nursery.start(house.shared.serve, listeners)
        yield house
        for server in (house.shared, house.remote, house.control):
            server.shutdown()
    assert house.errors == []


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_answers_are_those_of_the_control_api(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as house:
        head, _, body = (await house.ask(get("/v1/status"))).partition(b"\r\n\r\n")
        assert b"dnslb-version: " in head.lower()
        assert b'"instance_id":"here"' in body
        assert b" 404 " in await house.ask(get("/v1/nothing"))
        head, _, body = (await house.ask(post("/v1/commands", b'{"kind":"sync"}'))).partition(
            b"\r\n\r\n"
        )
        assert b" 403 " in head
        assert b"dnslb-time: " in head.lower()
        assert b'"kind":"control-socket","socket":"' in body
        assert await house.ask(b"\0\0\0\1x") == b"\0\0\0\1x"
    assert house.shown.commands == []


@pytest.mark.parametrize(
    "data",
    [
        post("/v1/raft", b"[" * 10_000),
        post("/v1/raft", b'{"command":"leader","arguments":7}'),
        b"POST /v1/raft HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"G\xff\xff / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        b"A" * 100_000,
        b"\x16\x03\x01\x02\x00\x01",
        b"\xff" * 1000,
    ],
)
async def test_hostile_bytes_end_their_own_connection(tmp_path: Path, data: bytes) -> None:
    async with serving(tmp_path / "s") as house:
        try:
            answer = await house.ask(data)
        except trio.BrokenResourceError:
            answer = b""  # closed with bytes of ours unread: a reset
        assert answer[:10] in (b"", b"HTTP/1.1 4")
        assert b" 200 " in await house.ask(get("/v1/status"))
    assert house.shown.commands == []
    assert house.shown.cluster_commands == []


async def test_those_who_watch_from_afar_leave_room_for_those_who_are_here(tmp_path: Path) -> None:
    assert LIMITS.connections_max < WATCHERS_MAX
    async with serving(tmp_path / "s") as house:
        streams = []
        for _ in range(LIMITS.connections_per_peer_max):
            streams.append(await house.connect())
            await streams[-1].send_all(WATCH)
            assert b" 200 " in bytes(await streams[-1].receive_some(64))
        # One more of the same address is turned away,
        async with await house.connect() as late:
            await late.send_all(WATCH)
            assert b" 503 " in bytes(await late.receive_some(64))
        # and at the control socket nobody notices.
        async with await trio.open_unix_socket(house.path) as here:
            await here.send_all(WATCH)
            assert b" 200 " in bytes(await here.receive_some(64))
        for stream in streams:
            await stream.aclose()
