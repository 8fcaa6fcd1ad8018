"""RRsets as read from a provider, and what a reading of a zone positively says.

A reading speaks only of the names that were asked for. A provider that is not sure raises: an
RRset that is missing from a reading is *known* to be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class RRsetKey(NamedTuple):
    """Owner name (normalised) and type of an RRset."""

    name: str
    rtype: str

    def __str__(self) -> str:
        return f"{self.name} {self.rtype}"


@dataclass(frozen=True, slots=True)
class RRset:
    """Addresses in canonical form, sorted; ``basis`` is the provider's own opaque memory of what
    it read, handed back with a write so that it can compare."""

    key: RRsetKey
    ttl: int
    values: tuple[str, ...]
    basis: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ZoneReading:
    """What stands at ``names`` in ``zone``: RRsets of type A and AAAA, and CNAMEs (name → target).

    ``basis``: the provider's memory of the zone as a whole (a file's digest, a serial).
    """

    zone: str
    names: frozenset[str]
    rrsets: Mapping[RRsetKey, RRset]
    cnames: Mapping[str, str] = field(default_factory=dict)
    basis: object = field(default=None, compare=False, repr=False)
