"""Wanted against existing, one RRset at a time: what differs, and what kind of difference it is.

Knows owned names only; says nothing about whether a change may go out now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dnslb.decide import reason
from dnslb.decide.balancer import Balancer
from dnslb.decide.ownership import Relation, is_as_left, relation
from dnslb.decide.zone import Zone
from dnslb.model.checkpoint import Owned
from dnslb.model.loadbalancer import rtype_of
from dnslb.model.plan import Cause, Change
from dnslb.model.rrset import RRset, RRsetKey


class Difference(NamedTuple):
    """One RRset that is not as wanted. ``wanted`` is sorted; empty: it should not exist."""

    balancer: Balancer
    key: RRsetKey
    existing: RRset | None
    wanted: tuple[str, ...]
    ttl: int
    relation: Relation
    owned: Owned | None

    @property
    def before(self) -> tuple[str, ...]:
        return self.existing.values if self.existing else ()

    @property
    def withdrawn(self) -> frozenset[str]:
        return frozenset(self.before) - frozenset(self.wanted)

    @property
    def is_one(self) -> bool:
        """Whether anything differs at all."""
        return self.before != self.wanted or bool(self.existing and self.existing.ttl != self.ttl)

    @property
    def cause(self) -> Cause:
        if self.relation == "drifted":
            return "drift"
        if self.withdrawn & self.balancer.operator_out:
            return "operator"
        added = set(self.wanted) - set(self.before)
        known = set(self.balancer.lb.addresses) | set(self.balancer.lb.policy.fallback)
        if self.withdrawn - known or not (added or self.withdrawn):
            return "configuration"
        return "health"


def wanted_values(balancer: Balancer, rtype: str) -> tuple[str, ...]:
    return tuple(sorted(a for a in balancer.desired.addresses if rtype_of(a) == rtype))


def differences(
    balancer: Balancer,
    zone: Zone,
    owned: Mapping[RRsetKey, Owned],
    ttl_min: int,
) -> tuple[list[Difference], list[RRsetKey]]:
    """What differs at this load balancer's name, and the RRsets that are just as wanted."""
    ttl = max(balancer.lb.policy.ttl, ttl_min)
    different: list[Difference] = []
    equal: list[RRsetKey] = []
    for rtype in balancer.lb.rtypes:
        key = RRsetKey(balancer.lb.name, rtype)
        existing, wanted = zone.rrsets.get(key), wanted_values(balancer, rtype)
        mine = owned.get(key)
        if mine is not None and mine.zone != zone.name and not is_as_left(existing, mine):
            # The name moved to this zone, where nothing but our own is known as ours.
            mine = None
        if existing is None and not wanted:
            if mine is not None:
                equal.append(key)
            continue
        if existing is not None and existing.values == wanted and existing.ttl == ttl:
            equal.append(key)
            continue
        relates = relation(existing, wanted, ttl, mine)
        different.append(Difference(balancer, key, existing, wanted, ttl, relates, mine))
    return different, equal


def to_change(difference: Difference, kept: frozenset[str], others_live: bool) -> Change | None:
    """The change that may go out now, with ``kept`` addresses staying; None when that is none.

    ``others_live``: the load balancer keeps addresses of the other family in DNS, so this RRset
    may vanish.
    """
    d = difference
    values = tuple(sorted(set(d.wanted) | kept))
    empties_because: str | None = None
    if not values:
        empties_because = _may_empty(d, others_live)
        if empties_because is None:
            return None
    after = RRset(d.key, d.ttl, values) if values else None
    if after == d.existing:
        return None
    added = [v for v in values if v not in d.before]
    withdrawn = [v for v in d.before if v not in values]
    text = reason.change(added, withdrawn, _why_now(d, added, withdrawn))
    return Change(d.key, d.existing, after, text, d.cause, empties_because)


def why(d: Difference) -> str:
    """The load balancer's sentence, or what somebody else did."""
    if d.relation == "drifted":
        return "somebody else changed it, and drift is restored"
    known = set(d.balancer.lb.addresses) | set(d.balancer.lb.policy.fallback)
    if gone := sorted(d.withdrawn - known):
        verb = "is" if len(gone) == 1 else "are"
        text = f"{reason.listed(gone)} {verb} not in the configuration"
        return f"{text}; {d.balancer.desired.sentence}"
    return d.balancer.desired.sentence


def _why_now(d: Difference, added: Sequence[str], withdrawn: Sequence[str]) -> str:
    """Why these addresses change: also whose order took them out or brought them in."""
    text = why(d)
    if d.relation == "drifted":
        return text
    told = {a: d.balancer.order_on(a, adds=a in added) for a in (*added, *withdrawn)}
    orders = {address: order for address, order in told.items() if order is not None}
    return reason.by_orders(orders, len(told), text) if orders else text


def _may_empty(d: Difference, others_live: bool) -> str | None:
    if others_live:
        return f"{d.key.name} keeps addresses of the other family"
    if d.balancer.desired.rule == "none":
        return "when-all-down is none"
    return None
