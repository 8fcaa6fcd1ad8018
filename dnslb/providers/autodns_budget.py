"""The call budget of one egress address: a token bucket of capacity one, empty at the start.

AutoDNS grants 3 requests a second to each address that they come from, whatever the account.
2.5 a second, never two at once, stays below it; since the first token takes its time too, a
process that is restarted in a loop stays below it as well.

Law: a call is made only with a permit, and no permit is given while another one is out. Who
waits is served in the order of arrival, shifted by how long each urgency may be kept waiting:
nobody is overtaken for ever.
"""

from __future__ import annotations

import heapq
import itertools
from enum import Enum
from types import TracebackType
from typing import Self

import trio

from dnslb.net.clock import mono_s

CALLS_PER_S = 2.5
LAPSE_S = 2.0
"""A permit that was neither used nor given back for so long binds nobody any more."""


class Urgency(Enum):
    """How many seconds a call counts as having come later than it did."""

    FINISH = -30.0  # a change that has begun: its write, and the reading after it
    CHANGE = 0.0  # a change that begins
    ROUTINE = 10.0  # comparisons, searches, the look at the password


class Permit:
    """One call. A context manager: what was not used is given back."""

    def __init__(self, budget: CallBudget) -> None:
        self._budget = budget

    def use(self) -> bool:
        """Right before the first byte; False when it lapsed, or was used: then send nothing."""
        return self._budget._use(self)

    def give_back(self) -> None:
        """Changes nothing once it was used."""
        self._budget._give_back(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()


class _Ticket:
    """One who waits; ordered by when it counts as having come."""

    def __init__(self, order: tuple[float, int]) -> None:
        self.order = order
        self.woken = trio.Event()

    def __lt__(self, other: _Ticket) -> bool:
        return self.order < other.order


class CallBudget:
    """Permits at ``calls_per_s`` at most; share one among all that use the same address."""

    def __init__(self, calls_per_s: float = CALLS_PER_S) -> None:
        if calls_per_s <= 0:
            raise ValueError(f"calls_per_s must be above 0, not {calls_per_s}")
        self.calls_per_s = calls_per_s
        self._interval_s = 1.0 / calls_per_s
        self._due_mono = -1.0
        self._out: Permit | None = None
        self._lapses_mono = 0.0
        self._waiting: list[_Ticket] = []
        self._numbers = itertools.count()

    async def take(self, urgency: Urgency) -> Permit:
        """Waits for its turn, then for the next token. When cancelled, nothing is used up."""
        await trio.lowlevel.checkpoint()
        self._begin()
        ticket = _Ticket((mono_s() + urgency.value, next(self._numbers)))
        heapq.heappush(self._waiting, ticket)
        self._wake_next()
        try:
            while (free_mono := self._free_mono(ticket)) > mono_s():
                with trio.CancelScope(deadline=free_mono):
                    await ticket.woken.wait()
                ticket.woken = trio.Event()
            self._out = Permit(self)
            self._lapses_mono = mono_s() + LAPSE_S
            return self._out
        finally:
            self._waiting.remove(ticket)
            heapq.heapify(self._waiting)
            self._wake_next()

    def hold(self, seconds: float) -> None:
        """Gives no permit for so long: the provider said that it has had enough."""
        self._begin()
        self._due_mono = max(self._due_mono, mono_s() + seconds)

    def _begin(self) -> None:
        """The first token is as far away as any other. Here, since clocks run only in a run."""
        if self._due_mono < 0:
            self._due_mono = mono_s() + self._interval_s

    def _free_mono(self, ticket: _Ticket) -> float:
        """The instant at which this one may go, as far as is known now."""
        if self._waiting[0] is not ticket:
            return float("inf")
        return self._due_mono if self._out is None else max(self._due_mono, self._lapses_mono)

    def _wake_next(self) -> None:
        if self._waiting:
            self._waiting[0].woken.set()

    def _use(self, permit: Permit) -> bool:
        if permit is not self._out or mono_s() >= self._lapses_mono:
            return False
        self._out = None
        self._due_mono = max(self._due_mono, mono_s() + self._interval_s)
        self._wake_next()
        return True

    def _give_back(self, permit: Permit) -> None:
        if permit is self._out:
            self._out = None
            self._wake_next()
