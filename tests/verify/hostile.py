"""A server on loopback that answers as a test says, by UDP and TCP; for what no well-behaved
server does."""

from __future__ import annotations

from collections.abc import Callable

import dns.message
import trio

from dnslb.verify.exchange import Server

Reply = Callable[[bytes], list[bytes]]
"""What is sent back, message by message."""


class Hostile:
    """``by_udp``, ``by_tcp``: how it replies; ``hangs``: by TCP it never says anything."""

    def __init__(self, by_udp: Reply, by_tcp: Reply | None = None, hangs: bool = False) -> None:
        self._by_udp, self._by_tcp, self._hangs = by_udp, by_tcp, hangs
        self.sources: list[int] = []
        self.ids: list[int] = []
        self.most_at_once = 0

    async def start(self, nursery: trio.Nursery) -> Server:
        while True:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = int(listener.socket.getsockname()[1])
            self._udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
            try:
                await self._udp.bind(("127.0.0.1", port))
                break
            except OSError:  # the port is free for one of the two only
                self._udp.close()
                await listener.aclose()
        nursery.start_soon(self._serve_udp)
        nursery.start_soon(trio.serve_listeners, self._serve_tcp, [listener])
        return Server("127.0.0.1", port, "ns.example.org")

    async def _serve_udp(self) -> None:
        with self._udp:
            while True:
                wire, source = await self._udp.recvfrom(65_535)
                self.sources.append(source[1])
                self.ids.append(int.from_bytes(wire[:2], "big"))
                for reply in self._by_udp(wire):
                    await self._udp.sendto(reply, source)

    async def _serve_tcp(self, stream: trio.SocketStream) -> None:
        async with stream:
            wire = await stream.receive_some(65_535)
            if self._hangs:
                await trio.sleep_forever()
            for reply in (self._by_tcp or self._by_udp)(bytes(wire[2:])):
                await stream.send_all(len(reply).to_bytes(2, "big") + reply)


def good(wire: bytes, flags: str = "QR AA", record: str = "60 IN A 192.0.2.1") -> bytes:
    """The response that is asked for; ``record`` "" for none."""
    query = dns.message.from_wire(wire)
    name = query.question[0].name.to_text()
    text = f"id {query.id}\nopcode QUERY\nrcode NOERROR\nflags {flags}\n;QUESTION\n"
    text += f"{query.question[0].to_text()}\n;ANSWER\n{f'{name} {record}' if record else ''}\n"
    return dns.message.from_text(text).to_wire()
