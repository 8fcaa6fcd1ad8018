"""Something between a client and a server: it passes on, delays, holds back, lies, or is away.

Works in the trio loop of the test. ``mode`` says what becomes of connections and bytes from now on:
"pass"; "hold": bytes are taken and never passed on; "lie": what `LIES` holds is answered to the
next request, and the connection closed; "refuse": it listens no more and cuts off what is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Literal

import trio

Mode = Literal["pass", "hold", "lie", "refuse"]
HOST = "127.0.0.1"


def page(status: str, body: str, kind: str = "text/html", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


LIES = (
    page("200 OK", "<html>It works!</html>"),
    page("404 Not Found", "<html>nothing here</html>", "application/json"),
    page("200 OK", "{}", "application/json"),
    page("200 OK", "null", "application/json", "X-Etcd-Index: 7"),
    page("404 Not Found", '{"errorCode":100}', "application/json"),
    page("200 OK", '{"header":{}}', "application/json"),
    page("200 OK", '{"result":{}}\n', "application/json"),
    page("502 Bad Gateway", "<html>upstream</html>"),
    page("200 OK", '{"node":{"value":"[]"', "application/json", "X-Etcd-Index: 7"),
    page("302 Found", "", "text/html", "Location: http://192.0.2.1/"),
    page("200 OK", '{"action":"get"}', "application/json", "X-Etcd-Index: minus one"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"\x16\x03\x01\x00",
    b"",
)


class Proxy:
    """``delay_s``: how late each piece goes on to the client."""

    def __init__(self, target_port: int, lies: Sequence[bytes] = LIES) -> None:
        self._target_port = target_port
        self._lies = cycle(lies)
        self._listening: trio.CancelScope | None = None
        self._scopes: set[trio.CancelScope] = set()
        self._mode: Mode = "pass"
        self.port = 0
        self.delay_s = 0.0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def set(self, mode: Mode) -> None:
        """From now on; but for "hold", what is open is cut off."""
        self._mode = mode
        if mode == "refuse" and self._listening is not None:
            self._listening.cancel()
            self._listening = None
        elif mode != "refuse" and self._listening is None:
            await self._nursery.start(self._listen)
        if mode != "hold":
            for scope in self._scopes:
                scope.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._listen)
            task_status.started()
            await trio.sleep_forever()

    async def _listen(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        with trio.CancelScope() as self._listening:
            task_status.started()
            await trio.serve_listeners(self._serve, listeners)
        for listener in listeners:
            await listener.aclose()

    async def _serve(self, client: trio.SocketStream) -> None:
        self.connections += 1
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await self._talk(client)
            except* (trio.BrokenResourceError, OSError):
                pass
            finally:
                self._scopes.discard(scope)

    async def _talk(self, client: trio.SocketStream) -> None:
        if self._mode == "lie":
            await client.receive_some()
            await client.send_all(next(self._lies))
            return
        server = await trio.open_tcp_stream(HOST, self._target_port)
        async with server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, client, server, 0.0)
            await self._pass_on(server, client, self.delay_s)
            nursery.cancel_scope.cancel()

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, delay_s: float
    ) -> None:
        async for piece in source:
            if self._mode == "hold":
                await trio.sleep_forever()
            await trio.sleep(delay_s)
            await sink.send_all(piece)
