"""One question to one server: by UDP, by TCP where the answer was cut off.

Not what is asked or what it means (`answer`), and not when to ask again (`line`).

Law: only a response to this very question counts, from the address that was asked, to a random
id and port; anything else that arrives is as if it had not. Bounded: sockets in all and for each
server, bytes, seconds.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple
from weakref import WeakValueDictionary

import dns.exception
import dns.flags
import dns.message
import trio

from dnslb.verify.answer import Answer, Silence, to_answer

SOCKETS_MAX = 64
SERVER_SOCKETS_MAX = 8
_MESSAGE_MAX = 65_535
_NO_WAY = frozenset(
    {errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}
)


class Server(NamedTuple):
    """One address of a server; ``name``: of the host, where it has one."""

    address: str
    port: int = 53
    name: str | None = None

    def __str__(self) -> str:
        where = self.address
        if self.port != 53:
            where = f"[{where}]:{self.port}" if ":" in where else f"{where}:{self.port}"
        return f"{self.name} ({where})" if self.name else where


class Exchange:
    """Shared by everybody who asks."""

    def __init__(self) -> None:
        self._sockets = trio.CapacityLimiter(SOCKETS_MAX)
        # A server's limiter is there while somebody uses it.
        self._servers = WeakValueDictionary[tuple[str, int], trio.CapacityLimiter]()

    async def ask(self, server: Server, query: dns.message.Message, limit_s: float) -> Answer:
        """What the server says within so many seconds; whatever goes wrong is `Silence`."""
        message = await self.exchange(server, query, limit_s)
        return message if isinstance(message, Silence) else to_answer(query, message)

    async def exchange(
        self, server: Server, query: dns.message.Message, limit_s: float
    ) -> dns.message.Message | Silence:
        """The whole response."""
        place = server.address, server.port
        limiter = self._servers.get(place)
        if limiter is None:
            limiter = self._servers[place] = trio.CapacityLimiter(SERVER_SOCKETS_MAX)
        # The server's places first: one that is slow must not keep the places of all.
        async with limiter, self._sockets:
            try:
                with trio.fail_after(limit_s):
                    return await _exchange(server, query)
            except trio.TooSlowError:
                return Silence(f"does not answer within {limit_s:g} s")
            except (OSError, trio.BrokenResourceError) as e:
                return _silence(e)


async def _exchange(server: Server, query: dns.message.Message) -> dns.message.Message | Silence:
    wire = query.to_wire()
    message = await _by_udp(server, query, wire)
    if message.flags & dns.flags.TC:
        return await _by_tcp(server, query, wire)
    return message


async def _by_udp(server: Server, query: dns.message.Message, wire: bytes) -> dns.message.Message:
    family = trio.socket.AF_INET6 if ":" in server.address else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as socket:
        # Connected: the kernel drops what others send, and tells when the port is closed.
        await socket.connect((server.address, server.port))
        await socket.send(wire)
        while True:
            message = _response(query, await socket.recv(_MESSAGE_MAX))
            if message is not None:
                return message


async def _by_tcp(
    server: Server, query: dns.message.Message, wire: bytes
) -> dns.message.Message | Silence:
    stream = await trio.open_tcp_stream(server.address, server.port)
    try:
        await stream.send_all(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(await _receive(stream, 2), "big")
        message = _response(query, await _receive(stream, size))
        return message or Silence("answers by TCP, but not this question")
    finally:
        await trio.aclose_forcefully(stream)


async def _receive(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return data


def _response(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """None: whatever this is, it does not answer the question."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if query.is_response(message) else None


def _silence(error: BaseException) -> Silence:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    number = error.errno if isinstance(error, OSError) else None
    cause = error.__cause__
    if number is None and cause is not None:
        return _silence(cause)
    if number is None:
        return Silence("breaks the connection off")
    why = os.strerror(number).lower()
    if number in _NO_WAY:
        return Silence(f"cannot be reached from here: {why}", unreachable=True)
    return Silence(f"does not answer: {why}")
