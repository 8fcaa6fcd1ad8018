"""A DNS server at the other end of memory streams: for what a real BIND does not do on demand.

It takes the bytes that come and answers as it is told: late, in pieces, wrongly, or not at all.
Nothing here decides what BIND would do; that is for the tests beside a real one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import trio
from trio.testing import memory_stream_pair

from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_wire import dns_key

HOST, PORT = "ns.test", 53
Stream = trio.abc.Stream
Behave = Callable[["Peer", Stream, bytes], Awaitable[None]]


@dataclass
class Peer:
    """``behave`` gets every message that comes; ``seen``: all of them. ``open``: connections."""

    nursery: trio.Nursery
    behave: Behave | None = None
    key: TsigKey | None = None
    seen: list[bytes] = field(default_factory=list)
    connects: int = 0
    open: int = 0

    def link(self, key: TsigKey | None = None) -> ServerLink:
        return ServerLink(Server(HOST, PORT, key), connect=self.connect)

    async def connect(self, host: str, port: int) -> Stream:
        assert (host, port) == (HOST, PORT)
        self.connects += 1
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs)
        return ours

    @property
    def updates(self) -> int:
        """How many messages that came were updates."""
        return sum(message[2] >> 3 & 15 == dns.opcode.UPDATE for message in self.seen)

    async def _serve(self, stream: Stream) -> None:
        self.open += 1
        buffer = bytearray()
        try:
            while True:
                while len(buffer) < 2 or len(buffer) < 2 + int.from_bytes(buffer[:2], "big"):
                    data = await stream.receive_some()
                    if not data:
                        return
                    buffer += data
                size = 2 + int.from_bytes(buffer[:2], "big")
                message = bytes(buffer[2:size])
                del buffer[:size]
                self.seen.append(message)
                await (self.behave or answer)(self, stream, message)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)


def response(
    wire: bytes,
    key: TsigKey | None = None,
    *,
    signed_by: TsigKey | None = None,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    tsig_error: int = 0,
    id_change: int = 0,
    flags: int = dns.flags.QR | dns.flags.AA,
) -> bytes:
    """An answer without records, with the length before it."""
    keyring: Any = {dns_key(key).name: dns_key(key)} if key else False
    request = dns.message.from_wire(wire, keyring=keyring)
    made = dns.message.Message(id=(request.id + id_change) & 0xFFFF)
    made.flags = flags
    made.set_opcode(request.opcode())
    made.set_rcode(rcode)
    if request.opcode() == dns.opcode.QUERY:
        made.question = list(request.question)
    if key is not None:
        made.use_tsig(dns_key(signed_by or key), tsig_error=tsig_error)
        made.request_mac = request.mac or b""
    data = made.to_wire()
    assert data is not None
    return len(data).to_bytes(2, "big") + data


async def answer(peer: Peer, stream: Stream, wire: bytes) -> None:
    await stream.send_all(response(wire, peer.key))


async def answer_in_pieces(peer: Peer, stream: Stream, wire: bytes) -> None:
    for byte in response(wire, peer.key):
        await stream.send_all(bytes([byte]))
        await trio.sleep(0.001)


async def answer_and_close(peer: Peer, stream: Stream, wire: bytes) -> None:
    await answer(peer, stream, wire)
    await stream.aclose()


async def answer_twice(peer: Peer, stream: Stream, wire: bytes) -> None:
    await stream.send_all(response(wire, peer.key) * 2)


async def close(peer: Peer, stream: Stream, wire: bytes) -> None:
    await stream.aclose()


async def keep_silent(peer: Peer, stream: Stream, wire: bytes) -> None:
    return


def say(**options: Any) -> Behave:
    """Answers each message, otherwise than it should: as `response` has it."""

    async def behave(peer: Peer, stream: Stream, wire: bytes) -> None:
        await stream.send_all(response(wire, peer.key, **options))

    return behave


def only(opcode: dns.opcode.Opcode, other: Behave) -> Behave:
    """``other`` for messages of this kind, the plain answer for the rest."""

    async def behave(peer: Peer, stream: Stream, wire: bytes) -> None:
        chosen = other if wire[2] >> 3 & 15 == opcode else answer
        await chosen(peer, stream, wire)

    return behave
