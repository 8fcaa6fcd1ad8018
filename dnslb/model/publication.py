"""Whether what was applied is published: what a zone's servers should answer, and what they do.

*applied*: the provider accepted it. *published*: every authoritative server that is asked answers
it. Values only; asking belongs to `dnslb.verify`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from dnslb.model.rrset import RRset, RRsetKey


class Expected(NamedTuple):
    """One RRset as the provider accepted it (None: removed), with the plan and when that was.
    Without a plan: as it stood when the lease began, and since when that is known."""

    key: RRsetKey
    rrset: RRset | None
    plan_id: str | None
    applied_mono: float
    applied_wall: float

    def is_met_by(self, values: Collection[str], ttl: int) -> bool:
        """Whether these addresses, in canonical form and any order, with this TTL are it. A
        lower TTL is as good: some servers count theirs down."""
        if self.rrset is None:
            return not values
        return ttl <= self.rrset.ttl and frozenset(values) == frozenset(self.rrset.values)


@dataclass(frozen=True, slots=True)
class Lag:
    """One server that does not answer yet what was applied.

    ``server``: for people, ``ns1.example.org (192.0.2.53)``. ``silent``: it gives no answer that
    counts, ``sentence`` says what happens instead; else it answers something else. ``names``: of
    the ``count`` RRsets that are missing there the first few. ``since_wall``: since when the
    oldest of them should be there. ``overdue``: for longer than `-verify-timeout`.
    """

    server: str
    silent: bool
    sentence: str
    names: tuple[str, ...]
    count: int
    since_wall: float
    overdue: bool


class Seen(NamedTuple):
    """What every server that is asked answers now, seconds after it was applied."""

    expected: Expected
    took_s: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """What asking the servers of ``zone`` came to: ``seen`` is news, the rest how it is now.

    ``unverified``: why nobody can be asked. ``unasked``: servers that cannot be reached from this
    machine at all, and why: what is said is said of the others.
    """

    zone: str
    seen: tuple[Seen, ...] = ()
    lagging: tuple[Lag, ...] = ()
    unverified: str | None = None
    unasked: tuple[str, ...] = ()
