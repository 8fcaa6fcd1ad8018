"""An ordered set of changes to one zone: a value that can refuse itself before it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from dnslb.errors import PlanRefused
from dnslb.model.loadbalancer import rtype_of
from dnslb.model.names import is_within
from dnslb.model.rrset import RRset, RRsetKey

Cause = Literal["health", "operator", "configuration", "drift", "release"]


@dataclass(frozen=True, slots=True)
class Change:
    """One RRset from ``before`` (None: absent) to ``after`` (None: removed).

    ``empties_because``: why the RRset may vanish; a change that empties one without is refused.
    """

    key: RRsetKey
    before: RRset | None
    after: RRset | None
    reason: str
    cause: Cause
    empties_because: str | None = None

    @property
    def added(self) -> tuple[str, ...]:
        return _minus(self.after, self.before)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        return _minus(self.before, self.after)


def _minus(left: RRset | None, right: RRset | None) -> tuple[str, ...]:
    gone = set(right.values) if right else set()
    return tuple(v for v in (left.values if left else ()) if v not in gone)


@dataclass(frozen=True)
class Plan:
    """What is to be written to ``zone``, in one go; ``term`` is that of the lease it was made
    under. ``basis`` is the reading's, for providers that compare zones as a whole."""

    zone: str
    changes: tuple[Change, ...]
    term: int
    basis: object = None

    @cached_property
    def id(self) -> str:
        """Eight hexadecimal digits over what is changed, not over when."""
        digest = hashlib.blake2b(self.zone.encode(), digest_size=4)
        for change in self.changes:
            before, after = change.before, change.after
            shown = (change.key, before and before.values, after and (after.ttl, after.values))
            digest.update(repr(shown).encode())
        return digest.hexdigest()

    def check(self, owned: Collection[str]) -> None:
        """Raises `PlanRefused` unless every change keeps the law: owned names only, within the
        zone, address types only, sound values, nothing emptied without a reason."""
        keys = [change.key for change in self.changes]
        if len(set(keys)) != len(keys):
            raise PlanRefused(f"the plan for {self.zone} names an RRset twice")
        for change in self.changes:
            self._check_change(change, owned)

    def _check_change(self, change: Change, owned: Collection[str]) -> None:
        key = change.key
        if key.name not in owned:
            raise PlanRefused(f"the plan for {self.zone} touches {key}, which is not ours")
        if not is_within(key.name, self.zone):
            raise PlanRefused(f"the plan for {self.zone} touches {key}, which lies outside it")
        if key.rtype not in ("A", "AAAA"):
            raise PlanRefused(f"the plan for {self.zone} touches {key}, which holds no addresses")
        if change.before == change.after:
            raise PlanRefused(f"the plan for {self.zone} changes nothing at {key}")
        if change.after is None:
            if not change.empties_because:
                raise PlanRefused(f"the plan for {self.zone} would empty {key} without a reason")
        elif not change.after.values or any(rtype_of(v) != key.rtype for v in change.after.values):
            raise PlanRefused(f"the plan for {self.zone} has values that do not fit {key}")
