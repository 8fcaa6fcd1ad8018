"""Endpoints on loopback for tests of the checks: scripted answers on real sockets."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import trio

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of an endpoint that treats each connection with ``serve``."""

    async def treat(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with stream:
                if context is None:
                    await serve(stream)
                else:
                    await serve(trio.SSLStream(stream, context, server_side=True))

    async with trio.open_nursery() as nursery:
        serve_tcp = functools.partial(trio.serve_tcp, treat, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve_tcp)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def answering(*pieces: bytes, asked: list[bytes] | None = None) -> Serve:
    """Reads a request, writes the pieces, and waits for the other side to go."""

    async def serve(stream: trio.abc.Stream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = await stream.receive_some(4096)
            if not data:
                return
            request += bytes(data)
        if asked is not None:
            asked.append(request)
        for piece in pieces:
            await stream.send_all(piece)
        await stream.receive_some(1)

    return serve


async def hang_up(stream: trio.abc.Stream) -> None:
    """Reads a request and closes."""
    await stream.receive_some(4096)


async def hang(stream: trio.abc.Stream) -> None:
    """Reads, and never answers."""
    while await stream.receive_some(4096):
        pass


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port whose connections are made by the kernel alone: no descriptor comes and goes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port that nobody listens on, and nobody can take."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that answers no connection: the listener's queue is full, so Linux drops more."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
