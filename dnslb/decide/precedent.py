"""What our configuration may change in DNS unasked, held against the one that is in force there.

Members of a cluster may have different files for a while, or by mistake. Whoever takes over holds
what its configuration alone would change, until a person approved it or all voters have the same
one; health is followed meanwhile (`safety.md` 3.5). Stores nothing itself, and sends nothing.

Law: what both configurations say alike of an endpoint is no cause of a change, so what happens to
it is health. In doubt it is configuration, and waits.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping

from dnslb.decide.diff import Difference
from dnslb.decide.settings import Settings
from dnslb.model.checkpoint import Precedent
from dnslb.model.loadbalancer import LoadBalancer

_PRINT_BYTES = 5
_FALLBACK = -1


def _print(*facts: object) -> bytes:
    return hashlib.blake2b(repr(facts).encode(), digest_size=_PRINT_BYTES).digest()


def prints_of(lb: LoadBalancer) -> bytes:
    """What is remembered of it: a print of the whole first, then of each address with what checks
    it, and with its priority."""
    checks: dict[str, list[str]] = {}
    priorities = dict.fromkeys(lb.policy.fallback, _FALLBACK)
    for endpoint in lb.endpoints:
        checks.setdefault(endpoint.address, []).append(endpoint.monitor.id)
        priorities[endpoint.address] = endpoint.priority
    parts = {_print(address, sorted(ids)) for address, ids in checks.items()}
    parts |= {_print(address, priority) for address, priority in priorities.items()}
    whole = _print(lb.policy, sorted(repr(endpoint) for endpoint in lb.endpoints))
    return whole + b"".join(sorted(parts))


class _Known:
    """What two configurations say alike of one load balancer; ``ours`` is the present one."""

    def __init__(self, prints: bytes, ours: LoadBalancer) -> None:
        step = _PRINT_BYTES
        self._prints = {prints[i : i + step] for i in range(step, len(prints), step)}
        self._checks: dict[str, list[str]] = {}
        self._priorities = dict.fromkeys(ours.policy.fallback, _FALLBACK)
        for endpoint in ours.endpoints:
            self._checks.setdefault(endpoint.address, []).append(endpoint.monitor.id)
            self._priorities[endpoint.address] = endpoint.priority

    def checked_alike(self, address: str) -> bool:
        ids = self._checks.get(address)
        return ids is not None and _print(address, sorted(ids)) in self._prints

    def placed_alike(self, address: str) -> bool:
        """Checked alike where it is checked, and of the same priority."""
        priority = self._priorities.get(address)
        if priority is None or _print(address, priority) not in self._prints:
            return False
        return address not in self._checks or self.checked_alike(address)


def following(d: Difference, prints: bytes | None) -> Difference:
    """``d`` without what only our configuration would change. ``prints``: of the load balancer in
    the configuration that is in force, None where it has none of that name."""
    existing = d.existing
    if prints is None:
        return d._replace(wanted=d.before, ttl=existing.ttl if existing else d.ttl)
    balancer, known = d.balancer, _Known(prints, d.balancer.lb)
    ours = frozenset(a for values in (d.owned.may_show if d.owned else ()) for a in values)
    alike = all(map(known.placed_alike, balancer.desired.addresses))

    def may_leave(address: str) -> bool:
        if address in balancer.operator_out or address not in ours:
            return True
        if address in balancer.living:
            return alike and known.placed_alike(address)
        return known.checked_alike(address) or (alike and known.placed_alike(address))

    leaving = {a for a in d.withdrawn if may_leave(a)}
    coming = {a for a in d.wanted if a in ours or known.placed_alike(a)}
    ttl = d.owned.ttl if d.owned else existing.ttl if existing else d.ttl
    return d._replace(wanted=tuple(sorted((set(d.before) - leaving) | coming)), ttl=ttl)


class Precedence:
    """Of the configuration that is in force over our own. ``in_force``: what is judged by, None
    where nobody else decides here; ``due``: that, while it still has to be stored."""

    def __init__(self) -> None:
        self._digest = ""
        self._printed: tuple[LoadBalancer, ...] = ()
        self._mine: dict[str, bytes] = {}
        self._agreed = ""
        self._stored = Precedent()
        self._looked_at: tuple[object, ...] = ()
        self._meant: set[str] = set()
        self.due: Precedent | None = None

    def configure(self, settings: Settings, *, leads: bool) -> None:
        """A reload of a leader is a person's wish: where its configuration was in force until
        now, it is so from now on."""
        before, stored = self._mine, self._stored.prints
        lbs = settings.loadbalancers if settings.digest else ()
        self._digest = settings.digest
        if lbs is self._printed:
            return
        self._printed, self._mine = lbs, {lb.name: prints_of(lb) for lb in lbs}
        if leads and self._looked_at:
            names = {*before, *self._mine}
            self._meant |= {name for name in names if stored.get(name) == before.get(name)}

    def take_agreed(self, digest: str) -> None:
        """All voters have the configuration with this digest; "": not all have the same."""
        self._agreed = digest

    def lay_down(self) -> None:
        """Another instance may write from now on."""
        self._looked_at, self._meant, self.due = (), set(), None

    def look(self, stored: Precedent, *, storable: bool) -> None:
        """As the lease holder, before each round. Not ``storable``: another one could not be put
        in force a moment ago, so that what is stored is judged by meanwhile, and health goes on."""
        basis = (stored, self._mine, self._agreed, storable)
        if len(self._looked_at) and all(map(operator.is_, basis, self._looked_at)):
            return
        self._looked_at, self._stored = basis, stored
        self.due = None
        if not self._digest:
            return
        if not stored.digest or self._agreed == self._digest:
            self._meant = {*stored.prints, *self._mine}
        due = self._with_ours(stored, self._meant)
        if due == stored:
            self._meant = set()
        elif storable:
            self.due = due

    @property
    def in_force(self) -> Precedent | None:
        judged_by = self.due or self._stored
        return judged_by if self._digest and judged_by.digest else None

    def part_of(self, d: Difference) -> Difference:
        """What of it flows; ``d`` itself where that is all."""
        in_force, name = self.in_force, d.balancer.lb.name
        if in_force is None or in_force.prints.get(name) == self._mine.get(name):
            return d
        flowing = following(d, in_force.prints.get(name))
        return d if (flowing.wanted, flowing.ttl) == (d.wanted, d.ttl) else flowing

    def approved(self, names: Iterable[str]) -> Precedent:
        """What is in force once a person said yes to our configuration of these names."""
        return self._with_ours(self._stored, self._meant.union(names))

    def _with_ours(self, base: Precedent, names: set[str]) -> Precedent:
        prints: Mapping[str, bytes] = {
            **{name: one for name, one in base.prints.items() if name not in names},
            **{name: self._mine[name] for name in names & self._mine.keys()},
        }
        return Precedent(self._digest if prints == self._mine else base.digest, prints)
