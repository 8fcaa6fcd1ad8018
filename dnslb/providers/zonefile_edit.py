"""A plan carried out on the text of a zone file, and the proof that nothing else changed.

Not a writer of files and not a decider: it gets a parsed file and changes, and returns the file
as it is to be. Pure.

Law: only lines of RRsets that the plan names, and the digits of the SOA serial, may differ. Where
another record takes its owner or TTL from a line that goes, one of our lines stays in that place;
where none is left that could, the change is refused: others' text is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from dnslb.errors import PlanRefused, ProviderConflict, ProviderRefusal
from dnslb.model.loadbalancer import to_address
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.zonefile_text import (
    ADDRESS_TYPES,
    Entry,
    Record,
    ZoneText,
    parse_line,
    word_spans,
)

_PLAIN = re.compile(
    r"(?P<head>[^\s();\"$\\]+[ \t]+(?P<ttl>\d+)[ \t]+(?:IN[ \t]+)?(?:A|AAAA)[ \t]+)"
    r"(?P<value>[0-9A-Fa-f:.]+)[ \t]*(?:;[^\r\n]*)?\r?\n?",
    re.IGNORECASE,
)

Located = dict[str, list[int]]
"""Owner name → positions in the row of entries; only names that were asked for."""


class _Uprooted(ProviderRefusal):
    """Somebody else's record would take its owner from another line than before."""

    def __init__(self, sentence: str, position: int, owner: str) -> None:
        super().__init__(sentence)
        self.position = position
        self.owner = owner


def locate(zone: ZoneText, names: Collection[str]) -> Located:
    """Where the entries of each of ``names`` stand."""
    found: Located = {name: [] for name in names}
    for i, entry in enumerate(zone.entries):
        if entry.owner in found:
            found[entry.owner].append(i)
    return found


def rrsets_of(zone: ZoneText, located: Located) -> dict[RRsetKey, RRset]:
    """The address RRsets at these names; of differing TTLs the lowest counts (RFC 2181, 5.2)."""
    values: dict[RRsetKey, set[str]] = {}
    ttls: dict[RRsetKey, int] = {}
    for record in _records(zone, located):
        if record.rtype in ADDRESS_TYPES:
            key = RRsetKey(record.owner, record.rtype)
            values.setdefault(key, set()).add(to_address(record.value))
            ttls[key] = min(ttls.get(key, record.ttl), record.ttl)
    return {k: RRset(k, ttls[k], tuple(sorted(found))) for k, found in values.items()}


def cnames_of(zone: ZoneText, located: Located) -> dict[str, str]:
    """The CNAMEs at these names, owner → target."""
    return {
        record.owner: record.value.removesuffix(".").lower()
        for record in _records(zone, located)
        if record.rtype == "CNAME"
    }


def _records(zone: ZoneText, located: Located) -> list[Entry | Record]:
    entries: list[Entry | Record] = [zone.entries[i] for at in located.values() for i in at]
    return entries + [g for g in zone.generated if g.owner in located]


def cut_above(zone: ZoneText, name: str) -> tuple[str, str] | None:
    """The delegation or DNAME (owner, type) because of which this zone does not answer for
    ``name``, or None."""
    below = name
    while below != zone.zone and below:
        if (rtype := zone.cuts.get(below)) and not (rtype == "DNAME" and below == name):
            return below, rtype
        below = below.partition(".")[2]
    if name != zone.zone and zone.cuts.get(zone.zone) == "DNAME":
        return zone.zone, "DNAME"
    return None


def raised_serial(serial: int) -> int:
    """The next serial (RFC 1982), never 0, as named counts.

    Always by one, whether it reads as a date or as seconds: jumping to today's date would leave
    a hundred changes a day until whoever writes a date by hand falls behind, and secondaries
    stop following.
    """
    return (serial + 1) % 2**32 or 1


def revise(zone: ZoneText, plan: Plan, place: str) -> ZoneText:
    """The file with the plan carried out and its serial raised.

    Raises `ProviderConflict` when the file is not as the plan believes, and `ProviderRefusal`
    when it cannot be done without touching what is not ours.
    """
    located = locate(zone, {change.key.name for change in plan.changes})
    _check(zone, plan, located, place)
    try:
        entries = _settled_with_anchors(zone, plan, located, place, append=False)
    except ProviderRefusal:
        # Lines at the end have nobody after them who could inherit from them.
        entries = _settled_with_anchors(zone, plan, located, place, append=True)
    return zone._replace(entries=_with_raised_serial(entries, zone.zone, place))


def _check(zone: ZoneText, plan: Plan, located: Located, place: str) -> None:
    plan.check(located)
    if plan.zone != zone.zone:
        raise PlanRefused(f"{place} holds {zone.zone}, not {plan.zone}")
    if zone.signed:
        raise ProviderRefusal(
            f"{place} holds {zone.signed} records: it was signed before it was put here, and a "
            "change would break the signatures; let the name server sign"
        )
    existing, cnames = rrsets_of(zone, located), cnames_of(zone, located)
    for key, before, after in ((c.key, c.before, c.after) for c in plan.changes):
        if existing.get(key) != before:
            raise ProviderConflict(f"{key} in {place} is not as it was read; reading it again")
        if key.name in cnames and after is not None:
            raise ProviderConflict(f"{key.name} has become a CNAME in {place}; reading it again")
        if cut := cut_above(zone, key.name):
            raise ProviderRefusal(
                f"{key.name} is below the {cut[1]} record of {cut[0]} in {place}, so this zone "
                "does not answer for it"
            )
        if any((g.owner, g.rtype) == key for g in zone.generated):
            raise ProviderRefusal(
                f"{key} in {place} is made by $GENERATE; write it as a record of its own"
            )


def _settled_with_anchors(
    zone: ZoneText, plan: Plan, located: Located, place: str, *, append: bool
) -> tuple[Entry, ...]:
    anchors: dict[int, str] = {}
    while True:
        edit = _Edit(zone, located, place, append=append)
        for change in plan.changes:
            edit.change(change, anchors)
        try:
            return edit.settled()
        except _Uprooted as e:
            if e.position in anchors:
                raise
            anchors[e.position] = e.owner


class _Edit:
    """Where each of our lines goes: ``before`` an entry, ``instead`` of it (None: it goes),
    ``after`` it, or at the end of the file."""

    def __init__(self, zone: ZoneText, located: Located, place: str, *, append: bool) -> None:
        self.zone = zone
        self.located = located
        self.place = place
        self.append = append
        self.before: dict[int, Entry] = {}
        self.instead: dict[int, Entry | None] = {}
        self.after: dict[int, list[Entry]] = {}
        self.tail: list[Entry] = []
        found = (i for i, entry in enumerate(zone.entries) if entry.text[:4].upper() == "$TTL")
        self._ttl_from = next(found, len(zone.entries))

    def change(self, change: Change, anchors: Mapping[int, str]) -> None:
        """Keeps what may stay as it stands, uses lines that become free, adds the rest."""
        key, after = change.key, change.after
        entries, siblings = self.zone.entries, self.located[change.key.name]
        here = [i for i in siblings if entries[i].rtype == key.rtype]
        todo = list(after.values) if after else []
        ttl = after.ttl if after else 0
        staying: list[tuple[int, str]] = []
        free: list[int] = []
        for i in here:
            value = to_address(entries[i].value)
            if value in todo and entries[i].ttl == ttl:
                todo.remove(value)
                staying.append((i, value))
            else:
                free.append(i)
        for i, owner in anchors.items():
            if owner != key.name or i in self.before or not (todo or staying):
                continue
            if not todo:
                moved, value = staying.pop()
                free.append(moved)
                todo.append(value)
            self.before[i] = self._line(i, key, ttl, todo.pop(0))
        self._fill(free, key, ttl, todo)
        last = None if self.append else max(here or siblings, default=None)
        added = [self._line(last, key, ttl, value) for value in todo]
        if added and last is not None:
            self.after.setdefault(last, []).extend(added)
        else:
            self.tail += added

    def _fill(self, free: Sequence[int], key: RRsetKey, ttl: int, todo: list[str]) -> None:
        """Lines that are free get a value that was theirs, else another, else they go."""
        for i in free:
            self.instead[i] = None
            value = to_address(self.zone.entries[i].value)
            if value in todo:
                todo.remove(value)
                self.instead[i] = self._line(i, key, ttl, value)
        for i in sorted(free):
            if todo and self.instead[i] is None and not self.append:
                self.instead[i] = self._line(i, key, ttl, todo.pop(0))

    def _line(self, at: int | None, key: RRsetKey, ttl: int, value: str, note: str = "") -> Entry:
        """A line that depends on no other, written like the one it stands for or beside."""
        zone = self.zone
        position = len(zone.entries) if at is None else at
        origin = zone.entries[min(position, len(zone.entries) - 1)].origin
        like = None if at is None else zone.entries[at]
        form = _PLAIN.fullmatch(like.text) if like and (like.owner, like.rtype) == key else None
        if form and int(form["ttl"]) == ttl:
            text = form["head"] + value
        else:
            text = f"{_relative(key.name, origin)}\t{ttl}\tIN\t{key.rtype}\t{value}"
        text += note + zone.newline
        stated = None if position > self._ttl_from else str(ttl)
        made = parse_line(text, origin, zone.zone, self.place)
        if (made.owner, made.rtype, made.ttl, to_address(made.value)) != (*key, ttl, value):
            raise ProviderRefusal(f"{self.place}: {text.strip()!r} would not mean {key} {value}")
        return made._replace(stated_ttl=stated)

    def settled(self) -> tuple[Entry, ...]:
        """The new row of entries, each of which takes owner and TTL from where it did before.

        Address lines at the plan's names are given their owner and TTL; others' stay untouched.
        """
        entries = self.zone.entries
        settled: list[Entry] = []
        done = 0
        for position in sorted({*self.before, *self.instead, *self.after}):
            if position >= done:
                settled += entries[done:position]
                done = self._settle(position, settled)
        settled += entries[done:]
        for entry in self.tail:
            self._append(settled, entry)
        return tuple(settled)

    def _settle(self, position: int, settled: list[Entry]) -> int:
        """Walks on from ``position`` until everything inherits as before; where that is."""
        entries = self.zone.entries
        owner, ttl = self._stated_before(position)
        for i in range(position, len(entries)):
            for one in self._row(i):
                entry = self._rooted(i, one, owner, ttl)
                self._append(settled, entry)
                if entry.kind == "generate":
                    ttl = entry.text
                if entry.kind == "record":
                    owner = entry.owner
                    ttl = ttl if entry.stated_ttl is None else entry.stated_ttl
            touched = i in self.instead or i in self.after
            is_same = not touched and entries[i].kind == "record"
            knows_ttl = i > self._ttl_from or entries[i].stated_ttl is not None
            if is_same and not entries[i].inherits_owner and knows_ttl:
                return i + 1
        return len(entries)

    def _row(self, position: int) -> list[Entry]:
        """What stands at ``position`` now."""
        row = [self.before[position]] if position in self.before else []
        kept = self.instead.get(position, self.zone.entries[position])
        row += [kept] if kept is not None else []
        return row + self.after.get(position, [])

    def _stated_before(self, position: int) -> tuple[str, str]:
        """The owner and the TTL that an entry at ``position`` would have inherited."""
        owner, ttl = None, None
        for entry in map(self.zone.entries.__getitem__, range(position - 1, -1, -1)):
            if entry.kind == "generate" and ttl is None:
                ttl = entry.text
            if entry.kind == "record":
                owner = entry.owner if owner is None else owner
                found = entry.borrowed_ttl if entry.stated_ttl is None else entry.stated_ttl
                ttl = found if ttl is None else ttl
            if owner is not None and (ttl is not None or position > self._ttl_from):
                break
        return self.zone.zone if owner is None else owner, ttl or ""

    def _rooted(self, position: int, entry: Entry, owner: str, ttl: str) -> Entry:
        if entry.kind not in ("record", "generate"):
            return entry
        lost_owner = entry.inherits_owner and entry.owner != owner
        lost_ttl = entry.borrowed_ttl is not None and entry.borrowed_ttl != ttl
        if not (lost_owner or lost_ttl):
            return entry
        if entry.rtype not in ADDRESS_TYPES or entry.owner not in self.located:
            self._refuse(position, entry, lost_owner)
        key = RRsetKey(entry.owner, entry.rtype)
        value = to_address(entry.value)
        return self._line(position, key, entry.ttl, value, _comment(entry.text))

    def _append(self, settled: list[Entry], entry: Entry) -> None:
        if settled and not settled[-1].text.endswith("\n"):
            text = settled[-1].text + self.zone.newline
            settled[-1] = settled[-1]._replace(text=text)
        settled.append(entry)

    def _refuse(self, position: int, entry: Entry, lost_owner: bool) -> NoReturn:
        at = f"{self.place}, line {self.zone.line_of(position)}"
        if lost_owner:
            raise _Uprooted(
                f"{at}: this {entry.rtype} record takes its name from a line that is to go; "
                f"write {entry.owner}. at its beginning",
                position,
                entry.owner,
            )
        raise ProviderRefusal(
            f"{at}: this record takes its TTL from a line that is to change; put a $TTL line at "
            "the top of the file, or a TTL into this record"
        )


def _relative(name: str, origin: str) -> str:
    if name == origin:
        return "@"
    if origin and name.endswith("." + origin):
        return name.removesuffix("." + origin)
    return name + "."


def _comment(text: str) -> str:
    """The comment at the end of a record that stands on one line, with the space before it."""
    found = re.fullmatch(r"[^;()\"\\\n]*?([ \t]*;[^\r\n]*)\r?\n?", text)
    return found[1] if found else ""


def _with_raised_serial(entries: tuple[Entry, ...], zone: str, place: str) -> tuple[Entry, ...]:
    position = next(i for i, e in enumerate(entries) if e.rtype == "SOA")
    soa = entries[position]
    fields = soa.value.split()
    serial, raised = int(fields[2]), raised_serial(int(fields[2]))
    spans = word_spans(soa.text)[0 if soa.inherits_owner else 1 :]
    at = next((n for n, (a, b) in enumerate(spans) if soa.text[a:b].upper() == "SOA"), None)
    if at is None or len(spans) < at + 4:
        raise ProviderRefusal(f"{place}: the serial in the SOA record was not found")
    start, end = spans[at + 3]
    if not re.fullmatch(r"[0-9]{1,10}", soa.text[start:end]) or int(soa.text[start:end]) != serial:
        raise ProviderRefusal(f"{place}: the serial in the SOA record is no plain number")
    text = f"{soa.text[:start]}{raised}{soa.text[end:]}"
    value = " ".join((*fields[:2], str(raised), *fields[3:]))
    if parse_line(text, soa.origin, zone, place).value != value:
        raise ProviderRefusal(f"{place}: the SOA record cannot be rewritten; put it on plain lines")
    changed = soa._replace(text=text, value=value)
    return (*entries[:position], changed, *entries[position + 1 :])
