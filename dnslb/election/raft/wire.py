"""Streams between members: dialled, greeted, bounded, one per peer. The trio part of the wire.

Not the bytes (`frames`, `messages`), not the listener: whoever owns it hands accepted streams to
`accept`. TLS is the streams' own; ``prove`` binds its certificate to the id in the greeting.

Law: a peer has one live stream; the newest wins, and not a byte of the older one is taken any
more once the newer one was greeted. A queue that is full ends its stream: what is missing is
asked for anew. What arrives before or instead of a greeting is never kept beyond its limit, and
whoever makes others wait for theirs is who has to go: by certificate where there is one.
"""

from __future__ import annotations

import random
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import trio

from dnslb.election.raft.frames import (
    HELLO_BYTES_MAX,
    MAGIC,
    SENTENCE_LENGTH_MAX,
    FrameReader,
    Greeting,
    Hello,
    Identity,
    Rebuff,
    Refusal,
    frame,
    greeting_frame,
    greeting_from_bytes,
    is_removed,
    why_refused,
)
from dnslb.election.raft.messages import MESSAGE_BYTES_MAX, Message, from_bytes, to_bytes
from dnslb.errors import CommandRefused, InvalidValue
from dnslb.net.backoff import Backoff
from dnslb.net.listen import split_address
from dnslb.net.peer import read_peer
from dnslb.net.places import Places
from dnslb.net.tls import handshake_sentence
from dnslb.net.unreached import unreached_sentence

GREETING_S = 2.0
CLOSE_S = 0.2
LISTEN_FIRST_S = 0.3
"""How long the member with the smaller id leaves dialling to the other one."""
GREETINGS_MAX = 64
GREETINGS_EACH_MAX = 8
STRANGERS_MAX = 16
"""Streams of ids that our configuration does not know: all of them, before we are added."""
QUEUE_FRAMES_MAX = 4096
QUEUE_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 256 * 1024
SILENCE_MS = 3000
REDIAL = Backoff(first_s=0.05, max_s=1.0)

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
Prove = Callable[[trio.abc.Stream, str], str | None]


class Driver(Protocol):
    """What the wire serves. Nothing in it waits; what it raises ends the wire."""

    def identity(self) -> Identity: ...

    def connected(self, peer: str, hello: Hello) -> None: ...

    def disconnected(self, peer: str) -> None: ...

    def receive(self, peer: str, message: Message) -> None: ...

    def refused(self, peer: str, rebuff: Rebuff) -> None:
        """A stream to or from a peer, or from whom it was said to be, that came to nothing."""


async def dial_tcp(address: str) -> trio.SocketStream:
    """``host:port``; raises OSError."""
    host, port = split_address(address)
    stream = await trio.open_tcp_stream(host, port)
    tune(stream)
    return stream


def tune(stream: trio.abc.Stream) -> None:
    """Small messages at once, and an end to a stream whose other end is silent (tcp(7))."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        with suppress(OSError):
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)


def prove_nothing(_: trio.abc.Stream, __: str) -> str | None:
    """Without TLS: on loopback, or at an operator's own risk."""
    return None


class _Live:
    """The one stream of a peer that counts, and what waits to be written to it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.filled = trio.Event()

    def put(self, data: bytes) -> None:
        if len(self.queue) >= QUEUE_FRAMES_MAX or self.queued_bytes + len(data) > QUEUE_BYTES_MAX:
            self.end()
            return
        self.queue.append(data)
        self.queued_bytes += len(data)
        self.filled.set()

    def end(self) -> None:
        self.over.set()
        self.scope.cancel()

    async def write_to(self, stream: trio.abc.Stream) -> None:
        while True:
            await self.filled.wait()
            data = b"".join(self.queue)
            self.queue.clear()
            self.queued_bytes = 0
            self.filled = trio.Event()
            await stream.send_all(data)


class Wire:
    def __init__(
        self,
        driver: Driver,
        *,
        dial: Dial = dial_tcp,
        prove: Prove = prove_nothing,
        luck: random.Random,
    ) -> None:
        self._driver = driver
        self._dial = dial
        self._prove = prove
        self._luck = luck
        self._nursery: trio.Nursery | None = None
        self._live: dict[str, _Live] = {}
        self._dialling: dict[str, tuple[str, trio.CancelScope]] = {}
        self._greetings = Places(GREETINGS_MAX, GREETINGS_EACH_MAX)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dials until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def set_peers(self, addresses: dict[str, str]) -> None:
        """Whom to keep a stream to: id → address. Only while `run` runs."""
        assert self._nursery is not None
        for peer, (address, scope) in list(self._dialling.items()):
            if addresses.get(peer) != address:
                scope.cancel()
                del self._dialling[peer]
        for peer, address in addresses.items():
            if peer not in self._dialling:
                scope = trio.CancelScope()
                self._dialling[peer] = (address, scope)
                self._nursery.start_soon(self._keep_dialling, peer, address, scope)

    def send(self, peer: str, message: Message) -> None:
        """At once, or never: without a stream, or with a full queue, it is gone."""
        live = self._live.get(peer)
        if live is not None:
            live.put(frame(to_bytes(message)))

    @property
    def peers(self) -> frozenset[str]:
        """Those with a live stream."""
        return frozenset(self._live)

    def hang_up(self, peer: str) -> None:
        """Ends the stream of a peer, if any: of one that was removed."""
        live = self._live.get(peer)
        if live is not None:
            live.end()

    # ------------------------------------------------------------------------------- dialling

    async def _keep_dialling(self, peer: str, address: str, scope: trio.CancelScope) -> None:
        attempt = 0
        with scope:
            if self._driver.identity().id < peer:
                await trio.sleep(LISTEN_FIRST_S)
            while True:
                live = self._live.get(peer)
                if live is not None:
                    await live.over.wait()
                    attempt = 0
                elif await self._dial_once(peer, address):
                    attempt = 0
                attempt += 1
                await trio.sleep(REDIAL.delay_s(attempt, self._luck.random()))

    async def _dial_once(self, peer: str, address: str) -> bool:
        """Whether there was a stream, now over."""
        greeted = await self._greet(peer, address, "member")
        if isinstance(greeted, Rebuff):
            self._driver.refused(peer, greeted)
            return False
        stream, reader, hello = greeted
        refusal = why_refused(self._driver.identity(), hello)
        if refusal is not None:
            self._driver.refused(peer, Rebuff(refusal))
            await _close(stream)
            return False
        await self._converse(stream, reader, hello)
        return True

    async def _greet(
        self, peer: str, address: str, purpose: str
    ) -> tuple[trio.abc.Stream, FrameReader, Hello] | Rebuff:
        """A stream whose other end says that it is ``peer``, or why there is none."""
        stream: trio.abc.Stream | None = None
        reader = FrameReader(HELLO_BYTES_MAX)
        where = f"{peer} at {address}"
        rebuff = Rebuff(f"{where} does not answer.", spoken=False)
        kept = False
        try:
            with trio.move_on_after(GREETING_S):
                stream = await self._dial(address)
                us = self._driver.identity()
                hello = us.hello(peer, "probe" if purpose == "probe" else "member")
                await stream.send_all(MAGIC + greeting_frame(hello))
                greeting = await _read_greeting(stream, reader)
                if isinstance(greeting, Refusal):
                    said = f"{where} refuses: {greeting.sentence}"
                    return Rebuff(said, removed=greeting.removed)
                if greeting.id != peer:
                    return Rebuff(f"At {address} answers {greeting.id}, not {peer}.")
                unproved = self._prove(stream, peer)
                if unproved is not None:
                    return Rebuff(f"{address} does not prove that it is {peer}: {unproved}")
                kept = True
                return stream, reader, greeting
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as e:
            rebuff = Rebuff(f"{where} cannot be reached: {_why(e)}.", spoken=False)
        except ValueError as e:
            rebuff = Rebuff(f"{where} does not speak as a member: {e}")
        finally:
            if stream is not None and not kept:
                await _close(stream)
        return rebuff

    async def probe(self, peer: str, address: str) -> Hello:
        """Who answers there, if it is ``peer``. Raises `CommandRefused`."""
        greeted = await self._greet(peer, address, "probe")
        if isinstance(greeted, Rebuff):
            raise CommandRefused(greeted.sentence)
        stream, _, hello = greeted
        await _close(stream)
        return hello

    # ------------------------------------------------------------------------------ accepting

    async def accept(self, stream: trio.abc.Stream, begun: bytes = b"") -> None:
        """Serves a stream that somebody else dialled, until it ends. ``begun``: what was read
        of it already, to tell what it is."""
        tune(stream)
        reader = FrameReader(HELLO_BYTES_MAX)
        hello: Hello | None = None
        try:
            with (
                self._greetings.held(read_peer(stream).owner),
                trio.move_on_after(GREETING_S),
            ):
                hello = await self._welcome(stream, reader, begun)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, InvalidValue):
            # Anybody can connect and say anything; a log line for each would be theirs to fill.
            hello = None
        finally:
            if hello is None:
                await _close(stream)
        if hello is not None:
            await self._converse(stream, reader, hello)

    async def _welcome(
        self, stream: trio.abc.Stream, reader: FrameReader, begun: bytes
    ) -> Hello | None:
        """The greeting of a peer that may speak; None for one that was answered and is done."""
        head = bytearray(begun)
        while len(head) < len(MAGIC):
            head += await _read(stream)
        if not head.startswith(MAGIC):
            raise InvalidValue("no member's greeting")
        reader.feed(head[len(MAGIC) :])
        hello = await _read_greeting(stream, reader)
        if isinstance(hello, Refusal):
            raise InvalidValue("a refusal instead of a greeting")
        us = self._driver.identity()
        unproved = self._prove(stream, hello.id)
        refusal = why_refused(us, hello) if unproved is None else unproved
        if refusal is not None:
            self._driver.refused(hello.id, Rebuff(refusal))
            removed = unproved is None and is_removed(us, hello)
            said = Refusal(refusal[:SENTENCE_LENGTH_MAX], removed)
            await stream.send_all(greeting_frame(said))
            return None
        await stream.send_all(greeting_frame(us.hello(hello.id)))
        return hello if hello.purpose == "member" else None

    # ---------------------------------------------------------------------------- conversing

    async def _converse(self, stream: trio.abc.Stream, reader: FrameReader, hello: Hello) -> None:
        peer, live = hello.id, _Live()
        older = self._live.pop(peer, None)
        if older is not None:
            older.end()
            self._driver.disconnected(peer)
        self._live[peer] = live
        self._limit_strangers()
        reader.bytes_max = MESSAGE_BYTES_MAX
        try:
            self._driver.connected(peer, hello)
            with live.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, live, stream)
                    await self._listen(live, stream, reader, peer)
                    nursery.cancel_scope.cancel()
        finally:
            live.over.set()
            if self._live.get(peer) is live:
                del self._live[peer]
                self._driver.disconnected(peer)
            await _close(stream)

    def _limit_strangers(self) -> None:
        """Ends the oldest: each may make us keep a whole message."""
        known = self._driver.identity().configuration
        strangers = [peer for peer in self._live if known.find(peer) is None]
        for peer in strangers[:-STRANGERS_MAX]:
            self._live[peer].end()

    async def _write(self, live: _Live, stream: trio.abc.Stream) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            await live.write_to(stream)
        live.end()

    async def _listen(
        self, live: _Live, stream: trio.abc.Stream, reader: FrameReader, peer: str
    ) -> None:
        """Hands messages over until the stream ends, is broken, or is not the newest any more."""
        try:
            while not live.over.is_set():
                for data in reader.frames():
                    message = from_bytes(data)
                    if live.over.is_set():
                        return
                    self._driver.receive(peer, message)
                reader.feed(await _read(stream))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return
        except InvalidValue as e:
            self._driver.refused(peer, Rebuff(f"{peer} does not speak as a member: {e}"))


async def _read(stream: trio.abc.Stream) -> bytes | bytearray:
    """Some bytes; raises `trio.BrokenResourceError` at the end, since a stream has no last word."""
    data = await stream.receive_some(READ_BYTES)
    if not data:
        raise trio.BrokenResourceError("the other end closed the stream")
    return data


async def _read_greeting(stream: trio.abc.Stream, reader: FrameReader) -> Greeting:
    while (data := reader.next_frame()) is None:
        reader.feed(await _read(stream))
    return greeting_from_bytes(data)


def _why(error: BaseException) -> str:
    """In words for an operator; a stream that broke says why only in what caused that."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return unreached_sentence(error)
    if isinstance(error.__cause__, ssl.SSLError):
        return handshake_sentence(error)
    return "the other end closed the stream"


async def _close(stream: trio.abc.Stream) -> None:
    with trio.move_on_after(CLOSE_S, shield=True):
        await trio.aclose_forcefully(stream)
