"""TCP connections to one DNS server: kept, counted, one request at a time on each.

Not what the messages say (`rfc2136_wire` writes them, `rfc2136_answer` reads them), only that
they get there and that an answer is the server's own.

Law: a query may be sent twice, an update never. An answer without the key's signature is no
answer. A connection on which something went wrong, or was broken off, is not used again.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import trio
from trio.abc import Stream

from dnslb.errors import OutcomeUnknown, ProviderError
from dnslb.net.clock import Clock
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_wire import Request, dns_key, signed

CONNECT_S_MAX = 3.0
ANSWER_S_MAX = 5.0
UPDATE_S_MAX = 10.0
"""How long an update may be under way before its outcome is called unknown."""
UPDATES_MAX = 16
"""BIND drops updates, without an answer, when more than 100 wait in all."""
QUERIES_MAX = 8
IDLE_S_MAX = 20.0
"""BIND closes a connection after 30 s without a request."""

Connect = Callable[[str, int], Awaitable[Stream]]
Write = Callable[[int], bytes]
"""Writes a message under a given id."""


class BrokenOff(Exception):
    """The connection ended, or no answer came in time; ``str()`` says which."""


class UntrustedAnswer(Exception):
    """What came is not known to be the server's answer; ``str()`` says why."""


class Connection:
    """Messages with a length before them (RFC 1035 4.2.2). ``clean``: nothing is left over from
    an earlier exchange. ``worn``: used before, so the server may have closed it meanwhile."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self.clean = True
        self.worn = False
        self.idle_since_mono = 0.0

    async def exchange(self, wire: bytes, limit_s: float) -> bytes:
        """Sends one message, its first byte at once, and waits for one. Raises `BrokenOff`."""
        await self.send(wire, limit_s)
        answer = await self.receive(limit_s)
        self.clean, self.worn = not self._buffer, True
        return answer

    async def send(self, wire: bytes, limit_s: float) -> None:
        self.clean = False
        with _limited(limit_s):
            await self._stream.send_all(len(wire).to_bytes(2, "big") + wire)

    async def receive(self, limit_s: float) -> bytes:
        with _limited(limit_s):
            await self._fill(2)
            size = int.from_bytes(self._buffer[:2], "big")
            await self._fill(2 + size)
        message = bytes(self._buffer[2 : 2 + size])
        del self._buffer[: 2 + size]
        return message

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            data = await self._stream.receive_some()
            if not data:
                raise BrokenOff("it closed the connection")
            self._buffer += data

    async def aclose(self) -> None:
        """At once: what is left unsaid does not matter."""
        await trio.aclose_forcefully(self._stream)


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    try:
        with trio.fail_after(limit_s):
            yield
    except trio.TooSlowError as e:
        raise BrokenOff(f"nothing came within {limit_s:g} s") from e
    except (trio.BrokenResourceError, trio.ClosedResourceError) as e:
        raise BrokenOff("the connection broke") from e


class ServerLink:
    """``connect``: how a connection is made, where that is not TCP."""

    def __init__(
        self, server: Server, clock: Clock | None = None, connect: Connect | None = None
    ) -> None:
        self.server = server
        self.updates = trio.CapacityLimiter(UPDATES_MAX)
        self._queries = trio.CapacityLimiter(QUERIES_MAX)
        self._clock = clock or Clock()
        self._connect = connect or _connect_tcp
        self._idle: deque[Connection] = deque()
        self.clock_skew_s: float | None = None
        self.signer = dns_key(server.key) if server.key else None
        self._keyring = {self.signer.name: self.signer} if self.signer else {}

    async def ask(self, write: Write) -> dns.message.Message:
        """The answer to a query, or to an update that changes nothing."""
        async with self._queries, self.visit() as visit:
            return await visit.ask(write)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[Visit]:
        """A connection of one's own for a while."""
        visit = await self.enter()
        try:
            yield visit
        finally:
            await visit.aclose()

    async def enter(self) -> Visit:
        """As `visit`, for one that outlives a block: whoever enters calls `Visit.aclose`."""
        now_mono = self._clock.now().mono
        while self._idle and self._idle[0].idle_since_mono < now_mono - IDLE_S_MAX:
            await self._idle.popleft().aclose()
        connection = self._idle.pop() if self._idle else await self.connect()
        return Visit(self, connection)

    async def connect(self) -> Connection:
        """A new connection. Raises `ProviderTemporary`."""
        server = self.server
        try:
            with trio.fail_after(CONNECT_S_MAX):
                return Connection(await self._connect(server.host, server.port))
        except trio.TooSlowError as e:
            why = f"no connection within {CONNECT_S_MAX:g} s"
            raise errors.unreachable(server, why) from e
        except (OSError, trio.BrokenResourceError) as e:
            raise errors.unreachable(server, _spoken(e)) from e

    def leave(self, connection: Connection) -> None:
        """Takes a clean connection back."""
        connection.idle_since_mono = self._clock.now().mono
        self._idle.append(connection)

    @property
    def idle(self) -> int:
        """Connections that wait to be used again."""
        return len(self._idle)

    def wall(self) -> float:
        """Seconds of the wall clock, by which signatures are judged."""
        return self._clock.now().wall

    def sign(self, write: Write) -> Request:
        # On TCP with signatures an id needs to be different, not secret.
        message_id = random.getrandbits(16)
        return signed(write(message_id), self.server.key, self.wall())

    def read(self, wire: bytes, request: Request) -> dns.message.Message:
        """Raises `UntrustedAnswer`, and `ProviderError` where the server refuses the key."""
        try:
            answer = dns.message.from_wire(wire, keyring=self._keyring, request_mac=request.mac)
        except (dns.exception.DNSException, ValueError) as e:
            if (refused := errors.key_refused(self.server, e)) is not None:
                raise refused from e
            raise UntrustedAnswer(_with_rcode(_spoken(e), wire)) from e
        if answer.id != request.id or not answer.flags & dns.flags.QR:
            raise UntrustedAnswer("it answers something else")
        if self.server.key is not None and not answer.had_tsig:
            raise UntrustedAnswer(_with_rcode("it is not signed", wire))
        if answer.tsig is not None:
            tsig: Any = answer.tsig[0]  # dnspython leaves it without its type
            self.clock_skew_s = tsig.time_signed - self.wall()
        return answer

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.popleft().aclose()


class Visit:
    """One user of one connection."""

    def __init__(self, link: ServerLink, connection: Connection) -> None:
        self._link = link
        self._connection: Connection | None = connection

    async def ask(self, write: Write) -> dns.message.Message:
        """A question that may be asked twice, since it changes nothing: once more on a new
        connection, when the server had closed this one. Afterwards it is known to be alive."""
        link = self._link
        while True:
            connection = self._get()
            request, worn = link.sign(write), connection.worn
            try:
                wire = await connection.exchange(request.wire, ANSWER_S_MAX)
                return link.read(wire, request)
            except BrokenOff as e:
                if not worn:
                    raise errors.cut_off(link.server, str(e)) from e
            except UntrustedAnswer as e:
                connection.clean = False
                raise errors.no_trust(link.server, str(e)) from e
            self._connection = None
            await connection.aclose()
            self._connection = await link.connect()

    async def send(self, request: Request) -> dns.message.Message:
        """Sends an update, once, its first byte at once. Raises `OutcomeUnknown` without an
        answer that can be trusted."""
        link, connection = self._link, self._get()
        try:
            wire = await connection.exchange(request.wire, UPDATE_S_MAX)
            return link.read(wire, request)
        except BrokenOff as e:
            raise OutcomeUnknown(
                f"An update was sent to the server {link.server} and no answer came ({e}), so "
                "what stands there has to be read again."
            ) from e
        except (UntrustedAnswer, ProviderError) as e:
            # That a key is refused is said without a signature: anybody could say it afterwards.
            connection.clean = False
            raise OutcomeUnknown(
                f"The answer of the server {link.server} to an update was dropped ({e}), so what "
                "stands there has to be read again."
            ) from e

    async def aclose(self) -> None:
        """Gives the connection back, or closes it when something is left on it; safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.clean:
            self._link.leave(connection)
        else:
            await connection.aclose()

    def _get(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("this visit is over")
        return self._connection


async def _connect_tcp(host: str, port: int) -> Stream:
    return await trio.open_tcp_stream(host, port)


def _with_rcode(why: str, wire: bytes) -> str:
    """What an answer that is not believed claims is a hint all the same."""
    return (
        f"{why} (and says {dns.rcode.to_text(dns.rcode.Rcode(wire[3] & 15))})" if wire[3:] else why
    )


def _spoken(error: BaseException) -> str:
    """The innermost words of an error that may be wrapped or a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup | OSError):
        return _spoken(cause)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
