"""Zones of AutoDNS as values, and changes as the body of one PATCH. Pure.

A zone is read whole, but only what stands at the names asked for is looked at closely. What is
to be removed is handed back exactly as it was read: whether TTL and preference must match is
documented nowhere.

Law: a zone without SOA, name servers or matching name is no zone, whatever HTTP said; a record
that cannot be understood at a name of ours makes that name refused, never empty; a record of
anybody else's is never in a body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from dnslb.errors import InvalidValue, ProviderTemporary
from dnslb.model.names import is_within, marker_name, to_name
from dnslb.model.plan import Change
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.autodns_answer import Answer

Raw = Mapping[str, object]
PAGE = 1000
_ALIASES = frozenset({"CNAME", "ALIAS", "PROCEED", "PROCEED_MUC"})
"""What takes a name's addresses from elsewhere."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as understood, and as it came."""

    ttl: int
    value: str
    raw: Raw = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ListedZone:
    """A zone as the search shows it: a name can stand on several sets of name servers."""

    zone: str
    name_server: str


@dataclass(frozen=True, slots=True)
class ZoneContent:
    """``name_server``: with the name, what makes the zone out. ``rrsets``, ``cnames``: at the
    names asked for. ``refused``: names among them that cannot be written here, each with a
    sentence. ``markers``: TXT records at the marker's name. ``name_servers``: who answers."""

    zone: str
    name_server: str
    records: Mapping[RRsetKey, tuple[Record, ...]]
    rrsets: Mapping[RRsetKey, RRset]
    cnames: Mapping[str, str]
    refused: Mapping[str, str]
    markers: tuple[Record, ...]
    total: int
    name_servers: tuple[str, ...] = ()
    domainsafe: bool = False


# ------------------------------------------------------------------------------- the directory


def search_body(offset: int) -> dict[str, object]:
    """All zones that the account may see, ``PAGE`` at a time; a filter could hide one."""
    return {
        "view": {"limit": PAGE, "offset": offset, "children": True},
        "orders": [{"key": "name", "type": "ASC"}],
    }


def to_listing(answer: Answer) -> tuple[ListedZone, ...]:
    """One page. Raises `ProviderTemporary` for a zone without name or name server."""
    return tuple(_listed(item) for item in answer.data)


def _listed(item: object) -> ListedZone:
    origin = item.get("origin") if isinstance(item, dict) else None
    name_server = item.get("virtualNameServer") if isinstance(item, dict) else None
    if not isinstance(origin, str) or not isinstance(name_server, str) or not name_server:
        raise ProviderTemporary(
            "AutoDNS listed a zone without name or name server; nothing is concluded from it."
        )
    try:
        zone = to_name(origin)
    except InvalidValue:
        # Such as 0/25.2.0.192.in-addr.arpa (RFC 2317): no name that dnslb accepts lies in it.
        zone = origin
    return ListedZone(zone, name_server)


# -------------------------------------------------------------------------------------- a zone


def to_content(answer: Answer, zone: str, name_server: str, names: Iterable[str]) -> ZoneContent:
    """What stands at ``names``. Raises `ProviderTemporary` when this is not that zone, whole."""
    whole = _whole_zone(answer, zone, name_server)
    found = whole.get("resourceRecords")
    raws = [] if found is None else found
    if not isinstance(raws, list):
        raise _odd(zone, "its records are no list")
    reader = _Reader(zone, name_server, frozenset(names), _default_ttl(whole))
    for raw in raws:
        reader.take(raw)
    reader.take_main(whole)
    return reader.content(
        total=len(raws),
        name_servers=_name_servers(whole["nameServers"]),
        domainsafe=whole.get("domainsafe") is True,
    )


def _whole_zone(answer: Answer, zone: str, name_server: str) -> Raw:
    if len(answer.data) != 1 or not isinstance(whole := answer.data[0], dict):
        raise _odd(zone, f"it came with {len(answer.data)} zones instead of one")
    try:
        origin = to_name(str(whole.get("origin") or ""))
    except InvalidValue:
        origin = ""
    if origin != zone:
        raise _odd(zone, "it is about another zone")
    came = whole.get("virtualNameServer")
    if came is not None and str(came).lower() != name_server.lower():
        raise _odd(zone, "it is about another name server")
    if not isinstance(whole.get("soa"), dict) or not whole.get("nameServers"):
        raise _odd(zone, "it has no SOA or no name servers, so it is not the whole zone")
    return whole


def _default_ttl(whole: Raw) -> object:
    soa = whole["soa"]
    return soa.get("ttl") if isinstance(soa, dict) else None


def _name_servers(found: object) -> tuple[str, ...]:
    """Their host names. One that has none cannot be asked; nothing is written by what this says."""
    names = []
    for server in found if isinstance(found, list) else ():
        name = server.get("name") if isinstance(server, dict) else None
        with suppress(InvalidValue):
            names.append(to_name(name if isinstance(name, str) else ""))
    return tuple(names)


def _odd(zone: str, why: str) -> ProviderTemporary:
    return ProviderTemporary(
        f"AutoDNS gave an unusable answer about {zone}: {why}; nothing is concluded from it."
    )


class _Reader:
    """Sorts records by what they mean for the names asked for."""

    def __init__(
        self, zone: str, name_server: str, names: frozenset[str], default_ttl: object
    ) -> None:
        self._zone = zone
        self._name_server = name_server
        self._names = names
        self._default_ttl = default_ttl
        self._marker = marker_name(zone)
        self._cuts = {cut for name in names for cut in _ancestors(name, zone)}
        self._watched = {*names, *self._cuts, self._marker}
        self._below_zone = f".{zone}"
        self._records: dict[RRsetKey, list[Record]] = {}
        self._cnames: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._markers: list[Record] = []
        self._hidden: dict[RRsetKey, Record] = {}

    def take(self, raw: object) -> None:
        if not isinstance(raw, dict) or not isinstance(rtype := raw.get("type"), str):
            raise _odd(self._zone, "a record has no type")
        name = self._owner(raw.get("name"))
        if name not in self._watched:
            return
        rtype = rtype.upper()
        if name == self._marker and rtype == "TXT":
            self._markers.append(self._record(raw))
        if name in self._cuts and rtype == "NS":
            self._refuse_below(name)
        if name not in self._names:
            return
        if rtype in ("A", "AAAA"):
            self._take_address(name, rtype, raw)
        elif rtype in _ALIASES:
            target = str(raw.get("value") or "?")
            self._cnames[name] = self._absolute(target) if rtype == "CNAME" else target
            if rtype != "CNAME":
                self._refused[name] = (
                    f"{name} has the AutoDNS record {rtype}, beside which no address may be "
                    "written; remove it by hand, or take the name out of the configuration"
                )

    def _take_address(self, name: str, rtype: str, raw: Raw) -> None:
        record = self._record(raw)
        if (address := _address(record.value, rtype)) is None:
            self._refused[name] = (
                f"{name} {rtype} holds {record.value[:60]!r} at AutoDNS, which is no address; "
                "put it right by hand"
            )
            address = record.value
        self._records.setdefault(RRsetKey(name, rtype), []).append(
            Record(record.ttl, address, record.raw)
        )

    def take_main(self, whole: Raw) -> None:
        """The apex address that stands in no record, and the one of www that it may imply."""
        main = whole.get("main")
        text = main.get("address") if isinstance(main, dict) else main
        if text in (None, ""):
            return
        if not isinstance(main, dict) or not isinstance(text, str):
            raise _odd(self._zone, "its main address cannot be read")
        rtype = "AAAA" if ":" in text else "A"
        if (address := _address(text, rtype)) is None:
            raise _odd(self._zone, "its main address is no address")
        record = Record(self._ttl(main.get("ttl")), address, main)
        # Documented default: true; where it is not said, www may well be served by it.
        www = f"www.{self._zone}" if whole.get("wwwInclude") is not False else None
        for name in filter(None, (self._zone, www)):
            if name in self._names:
                self._hidden[RRsetKey(name, rtype)] = record
                self._refused[name] = (
                    f"{name} is served by the legacy main address {address} of {self._zone} at "
                    "AutoDNS, which no record can change; move that address into a record and "
                    "empty 'main' (and set wwwInclude to false) in the AutoDNS interface"
                )

    def _owner(self, name: object) -> str:
        """Relative to the zone unless it ends in a dot; the apex is empty, and may be left out."""
        if name is None or name == "":
            return self._zone
        if not isinstance(name, str):
            raise _odd(self._zone, "the name of a record is no text")
        if name == "@":
            return self._zone
        lower = name.lower()
        return lower[:-1] if lower[-1] == "." else lower + self._below_zone

    def _absolute(self, target: str) -> str:
        return target[:-1] if target.endswith(".") else f"{target}.{self._zone}"

    def _record(self, raw: Raw) -> Record:
        value = raw.get("value")
        if not isinstance(value, str):
            raise _odd(self._zone, f"a record at {self._owner(raw.get('name'))} has no value")
        return Record(self._ttl(raw.get("ttl")), value, raw)

    def _ttl(self, ttl: object) -> int:
        """Left out or 0, it is the zone's."""
        found = self._default_ttl if ttl is None or ttl == 0 else ttl
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise _odd(self._zone, "the TTL of a record, or that of the SOA, is no number")
        return found

    def _refuse_below(self, cut: str) -> None:
        for name in self._names:
            if is_within(name, cut):
                self._refused[name] = (
                    f"{name} is at or below the NS records of {cut}, so {self._zone} does not "
                    "answer for it"
                )

    def content(
        self, *, total: int, name_servers: tuple[str, ...], domainsafe: bool
    ) -> ZoneContent:
        rrsets = {}
        for key in sorted(self._records.keys() | self._hidden.keys()):
            shown = list(self._records.get(key, ()))
            if key in self._hidden:
                shown.append(self._hidden[key])
            values = tuple(sorted({record.value for record in shown}))
            rrsets[key] = RRset(key, min(record.ttl for record in shown), values)
        return ZoneContent(
            zone=self._zone,
            name_server=self._name_server,
            records={key: tuple(records) for key, records in self._records.items()},
            rrsets=rrsets,
            cnames=self._cnames,
            refused=self._refused,
            markers=tuple(self._markers),
            total=total,
            name_servers=name_servers,
            domainsafe=domainsafe,
        )


def _ancestors(name: str, zone: str) -> Iterable[str]:
    """``name`` and the names between it and the apex, the apex left out."""
    while name != zone and is_within(name, zone):
        yield name
        _, _, name = name.partition(".")


@lru_cache(maxsize=65_536)
def _address(text: str, rtype: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if address.version != (4 if rtype == "A" else 6) or getattr(address, "scope_id", None):
        return None
    return str(address)


# ------------------------------------------------------------------------------------- a change

Body = dict[str, list[Raw]]


def patch_body(content: ZoneContent, changes: Iterable[Change]) -> Body:
    """What makes ``content`` as the changes want it: only what differs is taken out or put in."""
    adds: list[Raw] = []
    rems: list[Raw] = []
    for change in changes:
        present = content.records.get(change.key, ())
        wanted = change.after.values if change.after else ()
        ttl = change.after.ttl if change.after else 0
        stays = {record.value for record in present if record.ttl == ttl} & set(wanted)
        rems += [r.raw for r in present if r.value not in stays or r.ttl != ttl]
        adds += [
            _new(change.key.name, change.key.rtype, content.zone, ttl, value)
            for value in wanted
            if value not in stays
        ]
    return {"resourceRecordsAdd": adds, "resourceRecordsRem": rems}


def marker_body(content: ZoneContent, text: str | None, ttl: int) -> Body:
    """Puts ``text`` in the place of every marker that stands there; None: takes them away."""
    adds = [] if text is None else [_new(marker_name(content.zone), "TXT", content.zone, ttl, text)]
    return {
        "resourceRecordsAdd": adds,
        "resourceRecordsRem": [record.raw for record in content.markers],
    }


def _new(name: str, rtype: str, zone: str, ttl: int, value: str) -> Raw:
    relative = "" if name == zone else name.removesuffix(f".{zone}")
    return {"name": relative, "ttl": ttl, "type": rtype, "value": value}
