"""What a populated octoDNS zone says about the names asked for, as values; and the comparisons.

Part of the worker. Pure: zones come in as foreign objects and are only read.

Law: what cannot be understood, or means more than plain addresses, at a name of ours makes that
name refused, never empty; nothing is looked at beside our names, the marker and delegations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from dnslb.errors import OutcomeUnknown, ProviderConflict, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.model.names import is_within, marker_name
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers import marker
from dnslb.providers.octodns_wire import Swap


@dataclass(frozen=True, slots=True)
class Content:
    """``rrsets``: at the names asked for, and the TXT at the marker's name. ``refused``: names
    that cannot be written here, each with why."""

    zone: str
    rrsets: Mapping[RRsetKey, RRset]
    cnames: Mapping[str, str]
    refused: Mapping[str, str]
    total: int

    @property
    def tokens(self) -> tuple[str, ...]:
        """The texts at the marker's name."""
        held = self.rrsets.get(marker_key(self.zone))
        return held.values if held is not None else ()

    def held_token(self) -> FencingToken | None:
        """Raises `ProviderRefusal` when what stands there does not tell whose the zone is."""
        return marker.newest(self.zone, self.tokens)


def marker_key(zone: str) -> RRsetKey:
    return RRsetKey(marker_name(zone), "TXT")


def look(populated: Any, zone: str, names: Iterable[str]) -> Content:
    """``populated``: an octodns.zone.Zone."""
    names = frozenset(names)
    cuts = {cut for name in names for cut in _ancestors(name, zone)}
    watched = names | cuts | {marker_name(zone)}
    rrsets: dict[RRsetKey, RRset] = {}
    cnames: dict[str, str] = {}
    refused: dict[str, str] = {}
    records = populated.records
    for record in records:
        name = absolute(record.name, zone)
        if name not in watched:
            continue
        key = RRsetKey(name, str(record._type))
        if key == marker_key(zone):
            rrsets[key] = RRset(key, int(record.ttl), values_of(record))
        if key.rtype == "NS" and name in cuts:
            refused |= {
                below: f"{below} is at or below the NS records of {name}, so {zone} does not "
                "answer for it"
                for below in names
                if is_within(below, name)
            }
        if name in names:
            _take(key, record, rrsets, cnames, refused)
    return Content(zone, rrsets, cnames, refused, len(records))


def _take(
    key: RRsetKey,
    record: Any,
    rrsets: dict[RRsetKey, RRset],
    cnames: dict[str, str],
    refused: dict[str, str],
) -> None:
    name, rtype = key
    if rtype in ("A", "AAAA"):
        values = values_of(record)
        if any(_address(value, rtype) is None for value in values):
            refused[name] = f"{key} holds something that is no address; put it right by hand"
        elif getattr(record, "dynamic", None) or getattr(record, "geo", None):
            refused[name] = (
                f"{key} is a dynamic record, whose pools or regions no plain addresses may "
                "replace; remove it by hand, or take the name out of the configuration"
            )
        rrsets[key] = RRset(key, int(record.ttl), values)
    elif rtype == "CNAME":
        cnames[name] = str(record.value).rstrip(".").lower()
    elif rtype in ("ALIAS", "URLFWD") or "/" in rtype:
        # Types with a slash are a provider's own, such as Route53Provider/ALIAS.
        cnames[name] = str(getattr(record, "value", None) or rtype)
        refused[name] = (
            f"{name} has the provider's own record {rtype}, beside which no address may be "
            "written; remove it by hand, or take the name out of the configuration"
        )


def absolute(relative: str, zone: str) -> str:
    relative = relative.lower()
    return f"{relative}.{zone}" if relative else zone


def relative(name: str, zone: str) -> str:
    return "" if name == zone else name.removesuffix(f".{zone}")


def _ancestors(name: str, zone: str) -> Iterator[str]:
    """``name`` and the names between it and the apex, the apex left out."""
    while name != zone and is_within(name, zone):
        yield name
        _, _, name = name.partition(".")


def _address(text: str, rtype: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if address.version != (4 if rtype == "A" else 6) or getattr(address, "scope_id", None):
        return None
    return str(address)


def values_of(record: Any) -> tuple[str, ...]:
    """Addresses in canonical form, texts without the quotes that some classes leave on them."""
    rtype = str(record._type)
    if rtype in ("A", "AAAA"):
        values = {str(value) for value in record.values}
        return tuple(sorted(_address(value, rtype) or value for value in values))
    return tuple(sorted(str(value).strip('"') for value in record.values))


# ---------------------------------------------------------------------------------- comparisons


def compare(content: Content, swaps: Iterable[Swap]) -> None:
    """Raises `ProviderRefusal` for what cannot be written here, `ProviderConflict` for what is
    not as the plan believes."""
    for swap in swaps:
        name = swap.key.name
        if (why := content.refused.get(name)) is not None:
            raise ProviderRefusal(f"Nothing was written to {content.zone}: {why}.")
        if content.rrsets.get(swap.key) != swap.before:
            raise ProviderConflict(f"{swap.key} in {content.zone} is not as it was read.")
        if swap.after is not None and name in content.cnames:
            raise ProviderConflict(f"{name} in {content.zone} has become a CNAME.")


def outcome(content: Content, swaps: Iterable[Swap]) -> tuple[tuple[RRset, ...], tuple[str, ...]]:
    """What stands after a write, if that is what was wanted, and what to say about it."""
    swaps = tuple(swaps)
    stand = [content.rrsets.get(swap.key) for swap in swaps]
    for swap, rrset in zip(swaps, stand, strict=True):
        if _values(rrset) != _values(swap.after):
            break
    else:
        kept = [rrset for rrset in stand if rrset is not None]
        return tuple(kept), tuple(_ttl_notices(swaps, stand))
    if stand == [swap.before for swap in swaps]:
        raise OutcomeUnknown(
            f"The change of {content.zone} was accepted and does not show yet; it is read again."
        )
    raise ProviderConflict(
        f"{swap.key} in {content.zone} is not as it was just written: somebody else writes it, too."
    )


def _values(rrset: RRset | None) -> tuple[str, ...] | None:
    return None if rrset is None else rrset.values


def _ttl_notices(swaps: Iterable[Swap], stand: Iterable[RRset | None]) -> Iterator[str]:
    for swap, rrset in zip(swaps, stand, strict=True):
        if rrset is not None and swap.after is not None and rrset.ttl != swap.after.ttl:
            yield (
                f"{swap.key} has the TTL {rrset.ttl} at the provider, and not "
                f"{swap.after.ttl}: set ttl = {rrset.ttl} for this name."
            )
