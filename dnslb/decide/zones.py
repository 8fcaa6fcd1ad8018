"""All zones: which name lives where, what must be read next, and what may be written now.

Asks (as intents) and remembers the answers; judges instants and back-off, never addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet
from dataclasses import dataclass

from dnslb.decide.backoff import Trouble, backoff_s, worse
from dnslb.decide.intents import FindZones, Intent, ReadZone, TakeFence
from dnslb.decide.settings import Settings
from dnslb.decide.zone import Zone
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Failure
from dnslb.model.rrset import RRsetKey

_UNSERVED_RETRY_S = 30.0
_SEARCH_S_MAX = 1.0
"""How long reading waits for searches under way: a zone is read once for all its names, or, where
the search takes long, once in this time for those that were found meanwhile."""


@dataclass(slots=True)
class _Search:
    """The search for the zone of one name: that has none yet, or may have another one now.
    ``missing``: the provider said that it has none, which is something else than ``trouble``: that
    it could not be asked."""

    asked: bool = False
    missing: bool = False
    trouble: Trouble | None = None
    not_before_mono: float = float("-inf")


class Zones:
    def __init__(self) -> None:
        self.by_name: dict[str, Zone] = {}
        self.of_owner: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}
        self._searches: dict[str, _Search] = {}
        self._search_due_mono = float("inf")
        self._asked = 0
        self._told: set[str] = set()
        self._read_from_mono = float("-inf")
        self._wait_until_mono = float("-inf")

    def want(self, names: Iterable[str]) -> None:
        """The owner names to look after; others are forgotten."""
        wanted = set(names)
        for name in [n for n in self._searches if n not in wanted]:
            self._asked -= self._searches.pop(name).asked
        for name in [n for n in self.of_owner if n not in wanted]:
            self._members[self.of_owner.pop(name)].discard(name)
        for name in wanted - self.of_owner.keys() - self._searches.keys():
            self._searches[name] = _Search()
        self._drop_empty()
        self._search_due_mono = float("-inf")

    def search_again(self, names: Iterable[str]) -> None:
        """Something says that these may live in another zone by now; until one is found, they
        stay where they are."""
        for name in names:
            if name in self.of_owner and name not in self._searches:
                self._searches[name] = _Search()
                self._search_due_mono = float("-inf")

    def place(self, name: str, zone: str) -> None:
        """``name`` lives in ``zone``: found now, or remembered from before."""
        if (search := self._searches.pop(name, None)) is not None:
            self._asked -= search.asked
        before = self.of_owner.get(name)
        if before is not None and before != zone:
            self._members[before].discard(name)
            self.by_name[before].forget(name)
            self._drop_empty()
        self.of_owner[name] = zone
        self._members.setdefault(zone, set()).add(name)
        if zone not in self.by_name:
            self.by_name[zone] = Zone(zone, read_after_mono=self._wait_until_mono)

    def _drop_empty(self) -> None:
        for zone in [z for z, owners in self._members.items() if not owners]:
            if not self.by_name[zone].outstanding:
                del self._members[zone], self.by_name[zone]

    def take_found(self, name: str, result: str | Failure | None, now: Now) -> bool:
        """Whether this is a failure that is worth a line: the first of its kind since a search
        went well. What stands in the way of one name mostly stands in the way of thousands."""
        search = self._searches.get(name)
        if search is None:
            return False
        self._asked -= search.asked
        search.asked = False
        if not isinstance(result, Failure):
            self._told.clear()
        if isinstance(result, str):
            before = self.of_owner.get(name)
            self.place(name, result)
            if before is not None and before != result:
                self.search_again(self.names_in(before))
            return False
        if name in self.of_owner:
            del self._searches[name]
            return False
        if result is None:
            search.missing, search.trouble = True, None
            search.not_before_mono = now.mono + _UNSERVED_RETRY_S
        else:
            search.missing, search.trouble = False, worse(search.trouble, result, now)
            search.not_before_mono = now.mono + backoff_s(search.trouble.failures, result)
        self._search_due_mono = min(self._search_due_mono, search.not_before_mono)
        if result is None or result.sentence in self._told:
            return False
        self._told.add(result.sentence)
        return True

    @property
    def is_searching(self) -> bool:
        """Whether answers are still to come from a search for zones."""
        return self._asked > 0

    def unserved(self) -> list[str]:
        """Names for which the provider says that it has no zone."""
        return sorted(name for name, search in self._searches.items() if search.missing)

    def unasked(self) -> dict[str, Trouble]:
        """Names whose zone could not be asked for, and what stood in the way."""
        found = ((name, search.trouble) for name, search in sorted(self._searches.items()))
        return {name: trouble for name, trouble in found if trouble is not None}

    def names_in(self, zone: str) -> frozenset[str]:
        return frozenset(self._members.get(zone, ()))

    def requests(self, settings: Settings, token: FencingToken | None, now: Now) -> list[Intent]:
        """What must be asked of the provider now. ``token``: what the marker of a zone must hold
        before the zone is read; None where none is kept."""
        intents: list[Intent] = []
        if now.mono >= self._search_due_mono:
            names = [
                n
                for n, s in sorted(self._searches.items())
                if not s.asked and now.mono >= s.not_before_mono
            ]
            for name in names:
                self._searches[name].asked = True
            self._asked += len(names)
            if names:
                self._read_from_mono = now.mono + _SEARCH_S_MAX
                intents.append(FindZones(tuple(names)))
            self._search_due_mono = min(
                (s.not_before_mono for s in self._searches.values() if not s.asked),
                default=float("inf"),
            )
        for name, zone in self.by_name.items():
            if not (members := self._members.get(name)):
                continue
            if token is not None and zone.fence != token:
                if zone.needs_fence(token, now.mono):
                    zone.taking = token
                    intents.append(TakeFence(name, token))
            elif self._waits_for_names(zone, now.mono):
                continue
            elif zone.needs_reading(members, settings.download_interval_s, now.mono):
                zone.reading = True
                scan = not zone.is_unread(members)
                intents.append(ReadZone(name, frozenset(members), scan))
        return intents

    def _waits_for_names(self, zone: Zone, mono: float) -> bool:
        if not self._asked or (zone.stale and zone.read_mono is not None):
            return False
        last_mono = float("-inf") if zone.read_mono is None else zone.read_mono
        return mono < max(self._read_from_mono, last_mono + _SEARCH_S_MAX)

    def take_over(self, wait_until_mono: float) -> None:
        """A new lease: everything is read anew, and not before a predecessor's last write can
        have landed (`safety.md` 2.4)."""
        self._wait_until_mono = wait_until_mono
        for zone in self.by_name.values():
            zone.take_over(wait_until_mono)
        for search in self._searches.values():
            search.not_before_mono = float("-inf")
        self._search_due_mono = float("-inf")

    def lay_down(self) -> None:
        """The right to write passed to another, who tells what is wrong from now on."""
        for zone in self.by_name.values():
            zone.lay_down()

    def reread(self, names: AbstractSet[str]) -> None:
        """Somebody wants to know now: back-off is forgotten, and the zones of these owner names,
        or so called, are read again."""
        for name in {self.of_owner.get(name, name) for name in names} & self.by_name.keys():
            self.by_name[name].stale = True
        self.retry()

    def retry(self) -> None:
        """Somebody may have put right what went wrong: back-off is forgotten."""
        for zone in self.by_name.values():
            zone.not_before_mono = float("-inf")
            zone.quarantine.retry()
        self.search_again(self.of_owner)
        for search in self._searches.values():
            search.not_before_mono = float("-inf")
        self._search_due_mono = float("-inf")

    def published(self, name: str) -> tuple[str, ...] | None:
        """The addresses at ``name`` as last read or written; None when that was never seen."""
        zone = self.by_name.get(self.of_owner.get(name, ""))
        if zone is None or name not in zone.names_read:
            return None
        keys = (RRsetKey(name, "A"), RRsetKey(name, "AAAA"))
        return tuple(v for key in keys if key in zone.rrsets for v in zone.rrsets[key].values)

    def is_readable(self, zone: Zone) -> bool:
        """Whether plans may rest on what was read of this zone. A scan under way does not hinder:
        reads and writes of a zone end in the order in which they were asked for."""
        return not zone.is_unread(frozenset())

    def next_due(self, settings: Settings, mono: float) -> float:
        due = [
            zone.next_due(settings.download_interval_s, settings.upload_interval_s, mono)
            for zone in self.by_name.values()
        ]
        if self._asked:
            due.append(max(self._read_from_mono, mono + _SEARCH_S_MAX))
        if self._search_due_mono > mono:
            due.append(self._search_due_mono)
        return min(due, default=float("inf"))
