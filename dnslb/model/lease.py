"""The right to write, as a value: who holds it, under which token, until when on the boot clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

EPOCH_MAX = 10**18 - 1
"""The most that a marker has room for."""
NOBODYS_EPOCH = 0
"""In a marker that a person's command wrote: each instance of its owner may follow."""


class FencingToken(NamedTuple):
    """(owner id, epoch, term, nonce) as in `safety.md`; ordered by (epoch, term) only."""

    owner_id: str
    epoch: int
    term: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Lease:
    """``good_until_boot``: seconds on CLOCK_BOOTTIME; infinite in `singleton`.

    ``clean_start``: the last holder on this ground stopped cleanly, so nothing of its can still
    be under way (`safety.md` 2.4).
    """

    holder: str
    token: FencingToken
    good_until_boot: float = math.inf
    clean_start: bool = False

    @property
    def term(self) -> int:
        return self.token.term

    def holds(self, at_boot: float) -> bool:
        """Whether a write may begin at this instant of the boot clock."""
        return at_boot < self.good_until_boot
