"""Clients for the HTTP server's tests: raw bytes on memory streams, nothing that helps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeAlias

import h11
import trio
import trio.testing

from dnslb.net.http_limits import Limits, Refusal
from dnslb.net.http_message import HttpError, Request, Response
from dnslb.net.http_server import HttpServer
from dnslb.net.peer import Peer

MemoryStream: TypeAlias = (
    "trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]"
)

GET = b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n"
GET_CLOSE = b"GET /fine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

SMALL = Limits(
    header_bytes_max=2048,
    body_bytes_max=10_000,
    bodies_bytes_max=50_000,
    connections_max=20,
    connections_per_peer_max=10,
    handshake_s=5,
    header_s=10,
    body_s=30,
    handler_s=60,
    idle_s=300,
    send_s=20,
    linger_s=2,
    linger_bytes_max=100_000,
    grace_s=7,
)


@dataclass
class House:
    """A server with a handler for each kind of behaviour, and what it told its owner."""

    limits: Limits = SMALL
    errors: list[Exception] = field(default_factory=list)
    refusals: list[tuple[Refusal, Peer, str]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = HttpServer(
            self.handle,
            limits=self.limits,
            on_error=self.errors.append,
            on_refused=lambda *refusal: self.refusals.append(refusal),
        )

    @property
    def kinds(self) -> list[Refusal]:
        return [kind for kind, _peer, _sentence in self.refusals]

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        match request.path:
            case "/fine":
                return Response(200, b"fine\n", "text/plain")
            case "/echo":
                return Response(200, request.body, "application/octet-stream")
            case "/slow":
                await trio.sleep(3)
                return Response(200, b"slow\n", "text/plain")
            case "/stuck":
                await trio.sleep_forever()
            case "/raises":
                raise ValueError("boom in a handler")
            case "/forbidden":
                raise HttpError(403, "Not for you.")
            case "/flood":
                return Response(200, self._flood(), "application/octet-stream")
            case "/events":
                return Response.events(self._events(request), heartbeat_s=5)
            case "/three":
                return Response(200, self._three(), "text/plain")
            case "/raises-in-stream":
                return Response(200, self._raise_late(), "text/plain")
        raise HttpError(404, "There is nothing here.")

    async def _flood(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            self.cleaned.append("flood")

    async def _events(self, request: Request) -> AsyncIterator[bytes]:
        try:
            yield b"data: first\n\n"
            await request.closing.wait()
            yield b"data: bye\n\n"
        finally:
            self.cleaned.append("events")

    async def _three(self) -> AsyncIterator[bytes]:
        for item in (b"one ", b"", b"two ", b"three"):
            yield item

    async def _raise_late(self) -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("boom in a stream")


def connect(
    house: House, nursery: trio.Nursery, peer: Peer | None = None, received: bytes = b""
) -> MemoryStream:
    """A new client's end of a memory stream whose other end the server serves."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        await house.server.serve_stream(theirs, received=received, peer=peer)

    nursery.start_soon(serve)
    return ours


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the server closes."""
    found = bytearray()
    async for data in stream:
        found += data
    return bytes(found)


async def ask(house: House, nursery: trio.Nursery, data: bytes, peer: Peer | None = None) -> bytes:
    """Sends ``data`` on a new connection and gives all that came until the server closed it."""
    stream = connect(house, nursery, peer)
    await stream.send_all(data)
    return await read_all(stream)


class GoodClient:
    """A well-behaved client with one connection kept alive, by h11's other half."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT)

    async def ask(self, path: str = "/fine", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self.h11.our_state is h11.DONE:
            self.h11.start_next_cycle()
        headers = [("Host", "x"), ("Content-Length", str(len(body)))]
        method = "POST" if body else "GET"
        request = h11.Request(method=method, target=path, headers=headers)
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            data = self.h11.send(event)
            if data:
                await self.stream.send_all(data)
        status, content = 0, bytearray()
        while True:
            answer = self.h11.next_event()
            if answer is h11.NEED_DATA:
                self.h11.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(answer, h11.Response):
                status = answer.status_code
            elif isinstance(answer, h11.Data):
                content += answer.data
            elif isinstance(answer, h11.EndOfMessage):
                return status, bytes(content)
            else:
                raise AssertionError(f"unexpected {answer!r}")


async def assert_prompt(client: GoodClient) -> None:
    """Another client's request is answered without any time passing (by the mock clock)."""
    began_at = trio.current_time()
    assert await client.ask("/fine") == (200, b"fine\n")
    assert trio.current_time() == began_at
