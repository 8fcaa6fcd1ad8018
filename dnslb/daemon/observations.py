"""What the daemon measures of itself as events and pictures pass by; changes neither."""

from __future__ import annotations

from dnslb.decide.events import Event, LoopStalled, PublicationChecked, WriteEnded
from dnslb.metrics.counters import Counters
from dnslb.model.outcome import Receipt
from dnslb.model.status import ChangeView, Status


class Observations:
    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._changes: tuple[ChangeView, ...] = ()
        self._timed: set[tuple[str, float]] = set()

    def take_event(self, event: Event) -> None:
        match event:
            case WriteEnded(outcome) if isinstance(outcome.result, Receipt):
                self._counters.dns_sync_ms.observe(outcome.took_s * 1000)
            case PublicationChecked(sighting):
                for expected, took_s in sighting.seen:
                    if expected.plan_id is not None:
                        self._counters.applied_to_published_s.observe(took_s)
            case LoopStalled(stalled_s):
                self._counters.count_stall(stalled_s)

    def take_status(self, status: Status) -> None:
        """Times each change once, when it is first seen as applied."""
        if status.changes is self._changes:
            return
        self._changes = status.changes
        seen: set[tuple[str, float]] = set()
        for change in status.changes:
            if change.applied_wall is None or change.decided_to_applied_s is None:
                continue
            key = (change.id, change.applied_wall)
            seen.add(key)
            if key not in self._timed:
                self._counters.decided_to_applied_s.observe(change.decided_to_applied_s)
        self._timed = seen
