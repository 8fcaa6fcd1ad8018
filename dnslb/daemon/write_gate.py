"""The lease gate: may these bytes leave now? Asked by zone workers, last thing before `send`.

Not the controller's gates (cold start, pause, guard), which save work; this one is the proof.
It learns of a lost lease in the same turn of the loop in which the elector does, without a queue
between, and ends what is under way.

Law (`safety.md` 1.8): a write begins only under the lease of its own plan's term and token, with
a margin left, and is cancelled when that lease ends or is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

import trio

from dnslb.model.lease import FencingToken, Lease
from dnslb.model.operator import ANY_SCOPE, Pause
from dnslb.model.plan import Plan
from dnslb.net.clock import Clock

MARGIN_S = 0.1
"""What may pass between the question and the first byte on the wire, and be forgotten at the
end: twice a turn of a loaded event loop."""

Pauses = Callable[[], Mapping[str, Pause]]


class WriteGate:
    """``closed``: why nobody may write whatever the lease says (a dry run, stopping), or None."""

    def __init__(
        self, clock: Clock, pauses: Pauses, *, margin_s: float = MARGIN_S, closed: str | None = None
    ) -> None:
        self._clock = clock
        self._pauses = pauses
        self._margin_s = margin_s
        self._lease: Lease | None = None
        self._under_way: dict[trio.CancelScope, Passage] = {}
        self._rest = trio.Event()
        self._rest.set()
        self._barred: FencingToken | None = None
        self.closed = closed

    @property
    def lease(self) -> Lease | None:
        return self._lease

    @property
    def under_way(self) -> int:
        """Writes that have passed the gate and have not ended."""
        return len(self._under_way)

    def set_lease(self, lease: Lease | None) -> None:
        """Gained, prolonged or lost; writes under another lease end now."""
        self._lease = lease
        for scope, passage in self._under_way.items():
            if lease is None or lease.token != passage.token:
                scope.cancel()
            else:
                scope.deadline = min(passage.limit_mono, self._lease_end_mono(lease))

    def refuses(self, plan: Plan, token: FencingToken | None = None) -> str | None:
        """Why this plan may not be sent now, in one sentence; None when it may.

        ``token``: the one it was prepared with; None while it is not prepared.
        """
        lease = self._lease
        if lease is not None and lease.term != plan.term:
            return self.closed or f"not sent: it was planned under term {plan.term}, which is over"
        return self.refuses_token(token) or self._paused(plan)

    def refuses_token(self, token: FencingToken | None) -> str | None:
        """Why nothing may be sent now under ``token`` (None: under whatever is in force), not
        even the marker; None when it may."""
        if self.closed is not None:
            return self.closed
        lease = self._lease
        if lease is None:
            return "not sent: this instance does not hold the right to write"
        if token is not None and lease.token != token:
            return f"not sent: it was planned under term {token.term}, which is over"
        if lease.token == self._barred:
            return "not sent: the leadership is being handed over"
        if not lease.holds(self._clock.now().boot + self._margin_s):
            return "not sent: the lease ends too soon"
        return None

    def _paused(self, plan: Plan) -> str | None:
        pauses = self._pauses()
        for scope in (ANY_SCOPE, plan.zone, *(change.key.name for change in plan.changes)):
            if (pause := pauses.get(scope)) is not None:
                return f"not sent: paused by {pause.by}: {pause.reason}"
        return None

    def pass_through(self, token: FencingToken, limit_s: float) -> Passage:
        """The scope for `send`: ends after ``limit_s`` seconds, with the lease less the margin,
        or when the lease is lost. Enter it right after `refuses` said None, and send at once."""
        lease = self._lease
        assert lease is not None
        limit_mono = self._clock.now().mono + limit_s
        scope = trio.CancelScope(deadline=min(limit_mono, self._lease_end_mono(lease)))
        return Passage(self, scope, token, limit_mono)

    def _enter(self, passage: Passage) -> None:
        self._under_way[passage.scope] = passage
        if self._rest.is_set():
            self._rest = trio.Event()

    def _leave(self, passage: Passage) -> None:
        del self._under_way[passage.scope]
        if not self._under_way:
            self._rest.set()

    def _lease_end_mono(self, lease: Lease) -> float:
        now = self._clock.now()
        return now.mono + (lease.good_until_boot - self._margin_s - now.boot)

    def bar(self, token: FencingToken | None) -> None:
        """Nobody passes under ``token`` any more; None takes that back. Writes that have passed
        go on."""
        self._barred = token

    async def wait_rest(self) -> None:
        """Returns when no write is past the gate."""
        await trio.lowlevel.checkpoint()
        while self._under_way:
            await self._rest.wait()

    def cancel_all(self) -> None:
        """Ends what is under way; each zone is then whole, old or new."""
        for scope in self._under_way:
            scope.cancel()


@dataclass(frozen=True, slots=True)
class Passage:
    """One write past the gate; a context manager that ends it like a cancel scope."""

    gate: WriteGate
    scope: trio.CancelScope
    token: FencingToken
    limit_mono: float

    def __enter__(self) -> trio.CancelScope:
        self.gate._enter(self)
        return self.scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.gate._leave(self)
        return bool(self.scope.__exit__(kind, error, traceback))
