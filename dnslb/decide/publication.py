"""What was applied and is still to be seen at the servers of its zone; and which of them lag.

Keeps what is expected and what was told of it; asks nobody. Not a cause of anything: a server
that lags is no reason to write again, or to write otherwise (`dnslb.model.publication`).

Law: nothing is called published but what every server that is asked answers, and an answer
speaks only of what is expected now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dnslb.decide import reason
from dnslb.decide.intents import Intent, Verify
from dnslb.decide.journal import Journal
from dnslb.decide.ownership import is_as_left
from dnslb.decide.settings import Settings
from dnslb.decide.zone import Zone
from dnslb.model.checkpoint import Owned
from dnslb.model.instant import Now
from dnslb.model.plan import Plan
from dnslb.model.publication import Expected, Lag, Seen, Sighting
from dnslb.model.rrset import RRsetKey

_LOOKED_AT_A_STEP = 1000
"""So that no step holds the event loop for long; nobody waits for it."""


class Publication:
    """All zones. ``revision`` of a zone: that of its records when what is expected was last
    compared with them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._unverified: str | None = Settings().unverified
        self._expected: dict[str, dict[RRsetKey, Expected]] = {}
        self._revisions: dict[str, int] = {}
        self._changed: set[str] = set()
        self._names: Collection[str] = ()
        self._looked_at: set[str] = set()
        self._to_look_at: dict[str, list[RRsetKey]] = {}

    def configure(self, settings: Settings) -> None:
        """Of names that left the configuration nothing is expected any more."""
        self._unverified = settings.unverified
        self._names = settings.by_name
        for zone, expected in self._expected.items():
            for key in [k for k in expected if k.name not in settings.by_name]:
                del expected[key]
                self._changed.add(zone)

    def expect(self, plan: Plan, zone: Zone, now: Now) -> None:
        """The provider accepted the plan, and ``zone`` knows it: now its servers should answer
        so. Replaces what was expected of the same RRsets."""
        if self._unverified is not None:
            zone.unverified = self._unverified
            return
        expected = self._expected.setdefault(zone.name, {})
        for change in plan.changes:
            rrset = zone.rrsets.get(change.key)
            expected[change.key] = Expected(change.key, rrset, plan.id, now.mono, now.wall)
        self._changed.add(zone.name)

    def review(
        self, zones: Mapping[str, Zone], owned: Mapping[RRsetKey, Owned], leads: bool, now: Now
    ) -> list[Intent]:
        """Drops what is not so any more (somebody else wrote there, or may write now), takes up
        what a new lease finds, and returns what the verifier is to be told."""
        if not leads:
            self._looked_at.clear()
            self._to_look_at.clear()
        elif self._unverified is None:
            self._look(zones, owned, now)
        for name in list(self._expected):
            zone = zones.get(name)
            if zone is None or not leads:
                self._expected[name] = {}
                self._changed.add(name)
            elif zone.revision != self._revisions.get(name):
                self._revisions[name] = zone.revision
                self._compare(zone)
        intents: list[Intent] = [
            Verify(name, dict(self._expected[name])) for name in sorted(self._changed)
        ]
        for name in [name for name, expected in self._expected.items() if not expected]:
            del self._expected[name]
            self._revisions.pop(name, None)
            zone = zones.get(name)
            if zone is not None and name in self._changed:
                zone.lagging, zone.unasked, zone.unverified = (), (), None
        self._changed.clear()
        return intents

    def _look(self, zones: Mapping[str, Zone], owned: Mapping[RRsetKey, Owned], now: Now) -> None:
        """What stands when a lease begins is as we left it, and whether its servers all had it
        by then nobody remembers: a server that lagged must not be forgotten by a restart."""
        for zone in zones.values():
            if not (zone.name in self._looked_at or zone.stale or zone.read_mono is None):
                self._looked_at.add(zone.name)
                self._to_look_at[zone.name] = list(zone.rrsets)
        room = _LOOKED_AT_A_STEP
        for name, keys in list(self._to_look_at.items()):
            rrsets = zones[name].rrsets if name in zones else {}
            expected = self._expected.setdefault(name, {})
            while keys and room:
                room -= 1
                key = keys.pop()
                rrset, known = rrsets.get(key), owned.get(key)
                if rrset is None or known is None or key in expected or key.name not in self._names:
                    continue
                if is_as_left(rrset, known):
                    expected[key] = Expected(key, rrset, None, now.mono, now.wall)
                    self._changed.add(name)
            if not keys:
                del self._to_look_at[name]

    def _compare(self, zone: Zone) -> None:
        expected = self._expected[zone.name]
        for key in [k for k, e in expected.items() if zone.rrsets.get(k) != e.rrset]:
            del expected[key]
            self._changed.add(zone.name)

    def take(self, sighting: Sighting, zone: Zone | None, now: Now) -> list[Expected]:
        """The verifier's word; returns what is published now. The verifier has dropped it, too."""
        expected = self._expected.get(sighting.zone)
        if zone is None or expected is None:
            return []
        published = [s for s in sighting.seen if expected.get(s.expected.key) == s.expected]
        for seen in published:
            del expected[seen.expected.key]
            if seen.expected.plan_id is not None:
                self._log_published(seen, now)
        self._log_overdue(zone, sighting.lagging, now)
        zone.lagging, zone.unasked = sighting.lagging, sighting.unasked
        zone.unverified = sighting.unverified
        return [seen.expected for seen in published]

    def _log_published(self, seen: Seen, now: Now) -> None:
        self._journal.count("published")
        text = f"{seen.expected.key}: every server asked answers it, after {seen.took_s:.2f} s"
        self._journal.log("published", text, now, plan=seen.expected.plan_id)

    def _log_overdue(self, zone: Zone, lagging: tuple[Lag, ...], now: Now) -> None:
        """Each server that is overdue is told once, and once that it is not any more."""
        before = {lag.server for lag in zone.lagging if lag.overdue}
        after = {lag.server: lag for lag in lagging if lag.overdue}
        for server, lag in after.items():
            if server not in before:
                text = f"zone {zone.name}: {reason.of_lag(lag)}"
                self._journal.log("not-published", text, now, server=server)
        for server in sorted(before - after.keys()):
            text = f"zone {zone.name}: {server} has caught up, or is not asked any more"
            self._journal.log("caught-up", text, now, server=server)
