"""One port for two protocols: the first byte of a connection says whose it is.

HTTP begins with a capital letter (RFC 9110 9.1: the methods in use), whatever else shares the
port with bytes that it names; with TLS that is the first byte after the handshake. What was read
is handed on with the stream. Not what is said then: see `dnslb.net.http_server`.

Law: whoever has not said a byte yet holds a place for seconds at most, and loses it to the next
one when places run out, those first who hold the most (`places`); handshakes, which cost us more
than whoever begins one, begin one after the other, the newest first; a connection is handed on
once, or closed.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from dnslb.net.clock import mono_s
from dnslb.net.http_limits import Refusal
from dnslb.net.http_visit import OnRefused
from dnslb.net.peer import Peer, read_peer
from dnslb.net.places import Places
from dnslb.net.tls import handshake_sentence
from dnslb.net.tls_accept import accept_tls

HTTP_FIRST = bytes(range(ord("A"), ord("Z") + 1))
TLS_FIRST = b"\x16"  # a handshake record (RFC 8446 5.1)
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@dataclass(frozen=True, slots=True)
class PortLimits:
    """For connections of which nobody knows yet whose they are; times in seconds."""

    handshake_s: float = 5.0
    first_byte_s: float = 5.0
    undecided_max: int = 256
    undecided_per_peer_max: int = 64
    handshakes_per_s: float = 200.0
    """About 0.6 ms of a core each. Whoever waits holds a place: what is not served is evicted."""


class Serve(Protocol):
    """Serves one connection and closes it; `HttpServer.serve_stream` is one.

    ``received`` was read from the stream already. What this raises is nobody's here: it ends
    the port, and whoever started it.
    """

    def __call__(
        self, stream: trio.abc.Stream, *, received: bytes, peer: Peer
    ) -> Awaitable[None]: ...


class SharedPort:
    """Hands connections to ``http`` or ``others``; serves within one trio run, once.

    ``others_first``: the bytes with which the other protocol begins. ``tls``: the context of the
    moment, which has to ask for the clients' certificates; None: there is no TLS here.
    """

    def __init__(
        self,
        *,
        http: Serve,
        others: Serve,
        others_first: bytes = b"\0",
        tls: Callable[[], ssl.SSLContext] | None = None,
        limits: PortLimits = PortLimits(),
        on_refused: OnRefused = lambda kind, peer, sentence: None,
    ) -> None:
        if not others_first or set(others_first) & {*HTTP_FIRST, *TLS_FIRST}:
            raise ValueError("others_first: bytes that begin neither HTTP nor TLS were expected")
        self._http = http
        self._others = others
        self._others_first = others_first
        self._tls = tls
        self._limits = limits
        self._on_refused = on_refused
        self._closing = trio.Event()
        self._places = Places(limits.undecided_max, limits.undecided_per_peer_max)
        self._waiting: list[_Waiter] = []
        self._next_turn = 0.0

    @property
    def undecided(self) -> int:
        """How many connections have not said yet what they are."""
        return len(self._places)

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until `shutdown`; returns when those that were handed on have ended, too."""
        async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
            accepting.start_soon(self._accept, listeners, connections)
            task_status.started()
            await self._closing.wait()
            accepting.cancel_scope.cancel()

    async def _accept(
        self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]], connections: trio.Nursery
    ) -> None:
        await trio.serve_listeners(self.serve_stream, list(listeners), handler_nursery=connections)

    def shutdown(self) -> None:
        """Takes no more connections and closes the undecided ones; the rest is not ours."""
        self._closing.set()
        self._places.clear()

    async def serve_stream(self, stream: trio.abc.Stream, *, peer: Peer | None = None) -> None:
        """Finds out what one connection is, and serves it to its end.

        ``peer`` stands in for what the stream knows about its other end, before TLS.
        """
        try:
            decided = await self._decide_in_time(stream, peer)
            if decided is not None:
                serve, secured, received, peer = decided
                await serve(secured, received=received, peer=peer)
        finally:
            await trio.aclose_forcefully(stream)

    async def _decide_in_time(self, stream: trio.abc.Stream, known: Peer | None) -> _Decided | None:
        try:
            peer = known or read_peer(stream)
        except OSError:
            return None  # gone before it was looked at
        decided = None
        with self._places.held(peer.account) as scope:
            if not self._closing.is_set():
                decided = await self._decide(stream, peer)
        if scope.cancelled_caught and not self._closing.is_set():
            self._on_refused(Refusal.EVICTED, peer, "it had said nothing, and its place was needed")
        return decided

    # --------------------------------------------------------------------------- the first byte

    async def _decide(self, stream: trio.abc.Stream, peer: Peer) -> _Decided | None:
        try:
            if self._tls is not None:
                secured = await self._shake_hands(stream, self._tls(), peer)
                if secured is None:
                    return None
                stream, peer = secured, read_peer(secured)
            with trio.move_on_after(self._limits.first_byte_s) as in_time:
                first = bytes(await stream.receive_some(1))
        except _GONE:
            return None
        if in_time.cancelled_caught:
            self._on_refused(Refusal.HEADER_TIMEOUT, peer, "it connected and said nothing")
            return None
        if not first:
            return None  # it left without a word, as probes do
        if first in HTTP_FIRST:
            return self._http, stream, first, peer
        if first in self._others_first:
            return self._others, stream, first, peer
        what = "TLS to a port without" if first == TLS_FIRST else "nothing that is known here"
        self._on_refused(Refusal.UNSUPPORTED, peer, f"it speaks {what}")
        return None

    async def _shake_hands(
        self, stream: trio.abc.Stream, context: ssl.SSLContext, peer: Peer
    ) -> trio.SSLStream[trio.abc.Stream] | None:
        with trio.move_on_after(self._limits.handshake_s):
            await self._wait_turn()
            try:
                return await accept_tls(stream, context)
            except _GONE as error:
                self._on_refused(Refusal.HANDSHAKE_FAILED, peer, handshake_sentence(error))
                return None
        self._on_refused(Refusal.HANDSHAKE_TIMEOUT, peer, "the TLS handshake took too long")
        return None

    async def _wait_turn(self) -> None:
        """The newest first, at once where none began a moment ago. A flood evicts whoever came
        first, so in the order of arrival who has a turn at last has no time left to use it."""
        mine = _Waiter()
        self._waiting.append(mine)
        try:
            while (is_older := self._waiting[-1] is not mine) or mono_s() < self._next_turn:
                if is_older:
                    mine.is_newest = trio.Event()
                    await mine.is_newest.wait()
                else:
                    await trio.sleep_until(self._next_turn)
            self._next_turn = mono_s() + 1 / self._limits.handshakes_per_s
        finally:
            self._waiting.remove(mine)
            if self._waiting:
                self._waiting[-1].is_newest.set()


class _Waiter:
    """For a handshake; by identity."""

    def __init__(self) -> None:
        self.is_newest = trio.Event()


_Decided = tuple[Serve, trio.abc.Stream, bytes, Peer]
