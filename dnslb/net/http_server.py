"""Accepts HTTP clients on any number of listeners, decides who may stay, and ends in time.

Law: the server never waits for a client longer than its limits say, and no client's connections
crowd out another's: when the places are taken, the longest idle one of whoever holds the most
has to go. After `shutdown` nothing lasts longer than the grace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence

import trio

from dnslb.net.clock import mono_s
from dnslb.net.http1 import Connection
from dnslb.net.http_limits import HttpStats, Limits, Refusal
from dnslb.net.http_message import Handler
from dnslb.net.http_visit import OnRefused, Service, Throttle, Visit
from dnslb.net.peer import Peer, read_peer
from dnslb.net.tls import handshake_sentence

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpServer:
    """One handler, its limits and its counts; serves within one trio run, once.

    ``on_error`` gets what handlers and streams raise, with a note of what was being answered;
    ``on_refused`` each refusal, for the log; ``throttle`` may delay a peer's requests by 429.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        on_error: Callable[[Exception], None],
        on_refused: OnRefused = lambda kind, peer, sentence: None,
        throttle: Throttle | None = None,
    ) -> None:
        self._service = Service(handler, limits, on_error, on_refused, throttle)
        # Per account, in the order of arrival.
        self._visits: dict[Hashable, dict[Visit, None]] = {}

    @property
    def stats(self) -> HttpStats:
        """The live counts; copy what must not change."""
        return self._service.stats

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until `shutdown`, then closes the listeners and waits for the grace to end."""
        async with trio.open_nursery() as visits, trio.open_nursery() as accepting:
            accepting.start_soon(self._accept, listeners, visits)
            task_status.started()
            await self._service.closing.wait()
            accepting.cancel_scope.cancel()

    async def _accept(
        self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]], visits: trio.Nursery
    ) -> None:
        await trio.serve_listeners(self.serve_stream, list(listeners), handler_nursery=visits)

    def shutdown(self) -> None:
        """Takes no more clients and lets the idle go at once; requests under way get the grace.

        Streams are told by the request's ``closing``. Calling it again changes nothing.
        """
        if self._service.closing.is_set():
            return
        self._service.closing.set()
        deadline = mono_s() + self._service.limits.grace_s
        for visits in self._visits.values():
            for visit in visits:
                visit.end_idle()
                visit.whole.deadline = deadline

    async def serve_stream(
        self, stream: trio.abc.Stream, *, received: bytes = b"", peer: Peer | None = None
    ) -> None:
        """Serves one client and closes the stream; for `serve`, and for whoever accepts by
        themselves.

        ``received`` was read from the stream already; ``peer`` stands in for what the stream
        knows about its other end. Raises nothing that a client or a handler caused.
        """
        service = self._service
        try:
            peer_at_first = peer or read_peer(stream)
        except OSError:
            return await trio.aclose_forcefully(stream)  # gone before it was looked at
        visit = Visit(service, peer_at_first)
        refusal = self._make_room(visit)
        if refusal is not None:
            visit.refused(refusal, "all places are taken, and none of them is idle")
            return await _turn_away(stream)
        self._enter(visit)
        try:
            with visit.whole:
                if await self._shake_hands(visit, stream, peer):
                    await Connection(visit, stream, received).run()
                    await _close(stream, service.limits.linger_s)
            if visit.whole.cancelled_caught:
                visit.refused(Refusal.GRACE_ENDED, "cut off by the shutdown")
        except* Exception as group:  # noqa: BLE001  # one connection's fault ends one connection
            visit.failed(Refusal.STREAM_FAILED, group, "serving a connection")
        finally:
            self._leave(visit)
            await trio.aclose_forcefully(stream)
        return None

    async def _shake_hands(self, visit: Visit, stream: trio.abc.Stream, peer: Peer | None) -> bool:
        """Ends the TLS handshake, if there is one, and learns the certificate's names."""
        if not isinstance(stream, trio.SSLStream):
            return True
        done = False
        try:
            with visit.idling(self._service.limits.handshake_s) as waiting:
                await stream.do_handshake()
                visit.peer = peer or read_peer(stream)
                done = True
        except (*_GONE, OSError) as error:
            visit.refused(Refusal.HANDSHAKE_FAILED, handshake_sentence(error))
            return False
        if not done and mono_s() >= waiting.deadline:
            visit.refused(Refusal.HANDSHAKE_TIMEOUT, "the TLS handshake took too long")
        return done

    # ---------------------------------------------------------------------------- the places

    def _enter(self, visit: Visit) -> None:
        self._visits.setdefault(visit.account, {})[visit] = None
        self._service.stats.open += 1
        self._service.stats.accepted += 1
        if self._service.closing.is_set():
            visit.whole.deadline = mono_s() + self._service.limits.grace_s

    def _leave(self, visit: Visit) -> None:
        del self._visits[visit.account][visit]
        if not self._visits[visit.account]:
            del self._visits[visit.account]
        self._service.stats.open -= 1

    def _make_room(self, visit: Visit) -> Refusal | None:
        """Sends an idle visit away if that is needed; says why when there is none to send."""
        limits = self._service.limits
        mine = self._visits.get(visit.account, {})
        if len(mine) >= limits.connections_per_peer_max:
            return None if _evict_one(mine) else Refusal.PEER_CONNECTIONS
        if self._service.stats.open >= limits.connections_max:
            by_size = sorted(self._visits.values(), key=len, reverse=True)
            return None if any(map(_evict_one, by_size)) else Refusal.CONNECTIONS
        return None


def _evict_one(visits: dict[Visit, None]) -> bool:
    """Ends the visit that has been idle for longest; False when none is idle."""
    idle = [visit for visit in visits if visit.idle_since is not None]
    if not idle:
        return False
    longest = min(idle, key=lambda visit: visit.idle_since or 0.0)
    longest.end_idle()
    longest.refused(Refusal.EVICTED, "idle, and its place was needed")
    return True


async def _turn_away(stream: trio.abc.Stream) -> None:
    """A short answer where it costs nothing, then the end; a TLS client gets only the end."""
    if not isinstance(stream, trio.SSLStream):
        with trio.move_on_after(1), contextlib.suppress(*_GONE):
            await stream.send_all(_BUSY)
    await trio.aclose_forcefully(stream)


async def _close(stream: trio.abc.Stream, limit_s: float) -> None:
    """Says goodbye in TLS, so that the client knows that nothing was cut off."""
    with trio.move_on_after(limit_s), contextlib.suppress(*_GONE):
        await stream.aclose()
