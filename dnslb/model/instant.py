"""One reading of the three clocks, passed along as a value; reads no clock itself.

``mono`` (trio's clock) is for decisions, ``boot`` (CLOCK_BOOTTIME, which counts suspend) for
leases, ``wall`` for people and for override expiry. Instants of different clocks never meet.
"""

from __future__ import annotations

from typing import NamedTuple


class Now(NamedTuple):
    """One instant on all three clocks, in seconds."""

    mono: float
    boot: float
    wall: float

    def later(self, seconds: float) -> Now:
        """The instant ``seconds`` later, as if no clock jumped."""
        return Now(self.mono + seconds, self.boot + seconds, self.wall + seconds)
