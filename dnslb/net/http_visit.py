"""One client's stay at a server: who it is, whether it idles, and what it may not exceed.

`Service` is what all visits to one server share. Neither speaks HTTP: see `http1`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import trio

from dnslb.net.clock import mono_s
from dnslb.net.http_limits import HttpStats, Limits, Refusal
from dnslb.net.http_message import Handler
from dnslb.net.peer import Peer

Throttle = Callable[[Peer], float]
"""In how many seconds the peer may ask again; 0: it may now, and that is counted."""

OnRefused = Callable[[Refusal, Peer, str], None]
"""Told of each refusal, with a sentence for the log; limiting the log's rate is its business."""


@dataclass(slots=True)
class Service:
    """What all visits to one server have in common."""

    handler: Handler
    limits: Limits
    on_error: Callable[[Exception], None]
    on_refused: OnRefused
    throttle: Throttle | None
    stats: HttpStats = field(default_factory=HttpStats)
    closing: trio.Event = field(default_factory=trio.Event)


class Visit:
    """One connection in the server's accounts."""

    def __init__(self, service: Service, peer: Peer) -> None:
        self.service = service
        self.peer = peer
        self.account = peer.account
        self.whole = trio.CancelScope()
        """Ends the visit whatever it does; given a deadline at shutdown."""
        self.idle_since: float | None = None
        self._idle: trio.CancelScope | None = None

    @contextlib.contextmanager
    def idling(self, limit_s: float) -> Iterator[trio.CancelScope]:
        """Within it nothing is lost when the visit ends: `end_idle` cancels the scope."""
        now = mono_s()
        with trio.CancelScope(deadline=now + limit_s) as scope:
            self._idle, self.idle_since = scope, now
            if self.service.closing.is_set():
                scope.cancel()
            try:
                yield scope
            finally:
                self._idle = self.idle_since = None

    def end_idle(self) -> None:
        """Ends the visit if it is idle; from then on it does not count as idle any more."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = self.idle_since = None

    def refused(self, kind: Refusal, sentence: str) -> None:
        """Counts a refusal and tells of it."""
        self.service.stats.refused[kind] += 1
        self.service.on_refused(kind, self.peer, sentence)

    def failed(self, kind: Refusal, error: Exception, doing: str) -> None:
        """Counts a fault of ours and hands it over, with a note of what was being answered."""
        error.add_note(f"while {doing} for {self.peer}")
        self.service.stats.refused[kind] += 1
        self.service.on_error(error)
