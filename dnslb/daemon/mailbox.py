"""The one way in for facts: a bounded queue in front of the controller; decides nothing.

The newest report of an agent replaces its older one that still waits, and takes its own place at
the end. Nothing else is coalesced, dropped or reordered (`safety.md` 5.8).

Law: it cannot grow without bound. Reports are bounded by the number of agents; everything else
is an answer to something that was asked, so a full mailbox is a broken invariant and raises.
"""

from __future__ import annotations

from itertools import count

import trio

from dnslb.decide.events import Event, ReportArrived
from dnslb.model.report import Report

REPORTERS_MAX = 256
EVENTS_MAX = 100_000


class MailboxFull(RuntimeError):
    """Far more waits than can have been asked for; the process must not go on."""


class Mailbox:
    """``coalesced``: reports that a newer one of the same agent replaced; ``refused``: reports of
    agents beyond ``reporters_max``, who cannot all be configured. Both are totals."""

    def __init__(self, *, reporters_max: int = REPORTERS_MAX, events_max: int = EVENTS_MAX) -> None:
        self._reporters_max = reporters_max
        self._events_max = events_max
        self._waiting: dict[str | int, Event] = {}
        self._numbers = count()
        self._reporters = 0
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self.coalesced = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put_nowait(self, event: Event) -> None:
        """Takes a fact in. Raises `MailboxFull` when something has run away."""
        if isinstance(event, ReportArrived):
            self._put_report(event)
        elif len(self._waiting) - self._reporters >= self._events_max:
            raise MailboxFull(f"{self._events_max} events wait for the controller")
        else:
            self._waiting[next(self._numbers)] = event
        self._filled.set()

    def _put_report(self, event: ReportArrived) -> None:
        agent = event.report.agent
        older = self._waiting.pop(agent, None)
        if isinstance(older, ReportArrived):
            self.coalesced += 1
            if older.report.seen_mono > event.report.seen_mono:
                # It went a longer way; per agent the younger one counts (`safety.md` 4.2).
                event = older
        elif self._reporters >= self._reporters_max:
            self.refused += 1
            return
        else:
            self._reporters += 1
        self._waiting[agent] = event

    async def deliver(self, report: Report) -> None:
        """`dnslb.ports.source.Deliver`: waits for nothing but a checkpoint."""
        self.put_nowait(ReportArrived(report))
        await trio.lowlevel.checkpoint()

    def take_nowait(self) -> Event | None:
        """The oldest fact, or None when nothing waits."""
        for key in self._waiting:
            event = self._waiting.pop(key)
            if isinstance(key, str):
                self._reporters -= 1
            if not self._waiting:
                self._emptied.set()
            return event
        return None

    async def wait_filled(self) -> None:
        """Returns when something waits; always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._filled = trio.Event()
            await self._filled.wait()

    async def wait_empty(self) -> None:
        """Returns when nothing waits, and the last fact has been dealt with."""
        await trio.lowlevel.checkpoint()
        while self._waiting:
            self._emptied = trio.Event()
            await self._emptied.wait()
