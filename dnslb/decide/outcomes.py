"""What comes back from the provider, each noted where it belongs: zones, markers, readings, writes.

Tells the controller what to look at again and whether another writer holds the fence; decides
nothing about addresses and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from dnslb.decide.events import FenceTaken, PublicationChecked, WriteEnded, ZoneFound, ZoneRead
from dnslb.decide.journal import Journal
from dnslb.decide.writer import Writer
from dnslb.decide.zone import Zone
from dnslb.decide.zones import Zones
from dnslb.model.instant import Now
from dnslb.model.outcome import Failure

Outcome = ZoneFound | FenceTaken | ZoneRead | WriteEnded | PublicationChecked


class Noted(NamedTuple):
    """``names``: owner names to look at again. ``fenced``: another writer holds the fence of a
    zone, and why that is known."""

    names: AbstractSet[str] = frozenset()
    fenced: str | None = None


class Outcomes:
    """One per controller."""

    def __init__(self, zones: Zones, writer: Writer, journal: Journal) -> None:
        self._zones = zones
        self._writer = writer
        self._journal = journal

    def take(self, outcome: Outcome, now: Now) -> Noted:
        match outcome:
            case ZoneFound():
                return self._take_found(outcome, now)
            case FenceTaken():
                return self._take_fence(outcome, now)
            case ZoneRead():
                return self._take_read(outcome, now)
            case WriteEnded():
                return self._take_write(outcome, now)
            case PublicationChecked(sighting):
                self._writer.take_sighting(sighting, now)
                return Noted()

    def _take_found(self, event: ZoneFound, now: Now) -> Noted:
        name, result = event.name, event.result
        is_news = self._zones.take_found(name, result, now)
        if isinstance(result, Failure):
            self._journal.count("read_failures")
            if is_news:
                self._journal.log("zone-error", f"{name}: {result.sentence}", now)
        return Noted({name})

    def _take_fence(self, event: FenceTaken, now: Now) -> Noted:
        zone, failure = self._zones.by_name.get(event.zone), event.failure
        if zone is None or zone.taking != event.token:
            return Noted()
        zone.take_fence(event.token, failure, now)
        if failure is None:
            epoch, term = event.token.epoch, event.token.term
            text = f"zone {zone.name}: the marker is ours (epoch {epoch}, term {term})"
            self._journal.log("fence", text, now)
        elif failure.kind != "gated":
            self._search_again(zone, failure)
            self._journal.count("fence_failures")
            self._journal.log("zone-error", f"zone {zone.name}: {failure.sentence}", now)
        return Noted(fenced=_fenced(failure))

    def _take_read(self, event: ZoneRead, now: Now) -> Noted:
        result = event.outcome.result
        zone = self._zones.by_name.get(event.outcome.zone)
        if zone is None:
            return Noted()
        if not isinstance(result, Failure):
            if zone.take_reading(result, now):
                self._writer.recognize(zone)
            return Noted(self._zones.names_in(zone.name))
        zone.take_read_failure(result, now)
        self._search_again(zone, result)
        self._journal.count("read_failures")
        self._journal.log("zone-error", f"zone {zone.name}: {result.sentence}", now)
        return Noted(fenced=_fenced(result))

    def _take_write(self, event: WriteEnded, now: Now) -> Noted:
        plan, result = event.outcome.plan, event.outcome.result
        self._writer.take_outcome(event.outcome, now)
        if isinstance(result, Failure):
            if result.kind == "gated":
                return Noted()
            self._journal.count("write_failures", plan.zone)
            text = f"zone {plan.zone}: {result.sentence}"
            self._journal.log("write-failed", text, now, plan=plan.id)
            names = {change.key.name for change in plan.changes}
            if result.kind == "refused" and len(names) == 1:
                self._zones.search_again(names)
            return Noted(fenced=_fenced(result))
        self._journal.count("writes", plan.zone)
        for change in plan.changes:
            self._journal.log("applied", f"{change.key}: {change.reason}", now, plan=plan.id)
        for notice in result.notices:
            self._journal.count("write_notices", plan.zone)
            self._journal.log("notice", f"zone {plan.zone}: {notice}", now, plan=plan.id)
        return Noted({change.key.name for change in plan.changes})

    def _search_again(self, zone: Zone, failure: Failure) -> None:
        """A zone that is refused as a whole may not be there any more. One name is enough to
        find out: where that one lives elsewhere, all are looked for."""
        if failure.kind == "refused":
            self._zones.search_again(sorted(self._zones.names_in(zone.name))[:1])


def _fenced(failure: Failure | None) -> str | None:
    return failure.sentence if failure is not None and failure.kind == "fenced" else None
