"""All zones: which name lives where, what must be read next, and what may be written now.

Asks (as intents) and remembers the answers; judges instants and back-off, never addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dnslb.decide.intents import FindZones, Intent, ReadZone
from dnslb.decide.settings import Settings
from dnslb.decide.zone import Zone, backoff_s
from dnslb.model.instant import Now
from dnslb.model.outcome import Failure
from dnslb.model.rrset import RRsetKey

_UNSERVED_RETRY_S = 30.0


@dataclass(slots=True)
class _Search:
    """The search for the zone of one name that has none yet."""

    asked: bool = False
    failures: int = 0
    not_before_mono: float = float("-inf")
    sentence: str | None = None


class Zones:
    def __init__(self) -> None:
        self.by_name: dict[str, Zone] = {}
        self.of_owner: dict[str, str] = {}
        self._searches: dict[str, _Search] = {}
        self._wait_until_mono = float("-inf")

    def want(self, names: Iterable[str]) -> None:
        """The owner names to look after; others are forgotten."""
        wanted = set(names)
        for name in [n for n in self._searches if n not in wanted]:
            del self._searches[name]
        for name in [n for n in self.of_owner if n not in wanted]:
            del self.of_owner[name]
        for name in wanted:
            if name not in self.of_owner:
                self._searches.setdefault(name, _Search())

    def place(self, name: str, zone: str) -> None:
        """``name`` lives in ``zone``: found now, or remembered from before."""
        self._searches.pop(name, None)
        self.of_owner[name] = zone
        if zone not in self.by_name:
            self.by_name[zone] = Zone(zone, read_after_mono=self._wait_until_mono)

    def take_found(self, name: str, result: str | Failure | None, now: Now) -> None:
        search = self._searches.get(name)
        if search is None:
            return
        search.asked = False
        if isinstance(result, str):
            self.place(name, result)
        elif result is None:
            search.sentence = "the provider has no zone for it"
            search.not_before_mono = now.mono + _UNSERVED_RETRY_S
        else:
            search.failures += 1
            search.sentence = result.sentence
            search.not_before_mono = now.mono + backoff_s(search.failures, result)

    def unserved(self) -> list[tuple[str, str]]:
        """Names without a zone, and why."""
        return [(n, s.sentence) for n, s in sorted(self._searches.items()) if s.sentence]

    def names_in(self, zone: str) -> frozenset[str]:
        return frozenset(name for name, z in self.of_owner.items() if z == zone)

    def requests(self, settings: Settings, now: Now) -> list[Intent]:
        """What must be asked of the provider now."""
        names = [
            n
            for n, s in sorted(self._searches.items())
            if not s.asked and now.mono >= s.not_before_mono
        ]
        for name in names:
            self._searches[name].asked = True
        intents: list[Intent] = [FindZones(tuple(names))] if names else []
        members: dict[str, set[str]] = {}
        for name, at in self.of_owner.items():
            members.setdefault(at, set()).add(name)
        for zone_name, owners in members.items():
            zone, wanted = self.by_name[zone_name], frozenset(owners)
            if zone.needs_reading(wanted, settings.download_interval_s, now.mono):
                zone.reading = True
                intents.append(ReadZone(zone_name, wanted))
        return intents

    def take_over(self, wait_until_mono: float) -> None:
        """A new lease: everything is read anew, and not before a predecessor's last write can
        have landed (`safety.md` 2.4)."""
        self._wait_until_mono = wait_until_mono
        for zone in self.by_name.values():
            zone.stale = True
            zone.read_after_mono = wait_until_mono
            zone.not_before_mono = float("-inf")
        for search in self._searches.values():
            search.not_before_mono = float("-inf")

    def reread(self) -> None:
        """Somebody wants to know now: back-off is forgotten, everything is read again."""
        for zone in self.by_name.values():
            zone.stale = True
            zone.not_before_mono = float("-inf")
        for search in self._searches.values():
            search.not_before_mono = float("-inf")

    def published(self, name: str) -> tuple[str, ...] | None:
        """The addresses at ``name`` as last read or written; None when that was never seen."""
        zone = self.by_name.get(self.of_owner.get(name, ""))
        if zone is None or name not in zone.names_read:
            return None
        keys = (RRsetKey(name, "A"), RRsetKey(name, "AAAA"))
        return tuple(v for key in keys if key in zone.rrsets for v in zone.rrsets[key].values)

    def is_readable(self, zone: Zone) -> bool:
        """Whether plans may rest on what was read of this zone."""
        return not zone.is_unread(frozenset()) and not zone.reading

    def next_due(self, settings: Settings, mono: float) -> float:
        due = [
            zone.next_due(settings.download_interval_s, settings.upload_interval_s, mono)
            for zone in self.by_name.values()
        ]
        due += [s.not_before_mono for s in self._searches.values() if s.not_before_mono > mono]
        return min(due, default=float("inf"))
