"""When one endpoint's checks start: at ``origin + k × interval``, whatever happened before; pure.

Not a timer: time comes in as an argument.

Law: a late check delays no later one, and what could not start in time is skipped and counted,
never made up for in a burst.
"""

from __future__ import annotations

import math

_GOLDEN = (math.sqrt(5) - 1) / 2


def phase(index: int) -> float:
    """Where in the interval endpoint number ``index`` has its turn, within 0 and 1.

    Multiples of the golden ratio: however many endpoints there are, their turns lie evenly
    (Knuth, TAOCP 6.4), so that one more or one fewer moves nobody else's turn.
    """
    return index * _GOLDEN % 1.0


class Cadence:
    """The instants at which checks are to start, and the next of them. Seconds."""

    __slots__ = ("_interval_s", "_origin_at", "_slot", "next_at")

    def __init__(self, origin_at: float, interval_s: float) -> None:
        self._origin_at = origin_at
        self._interval_s = interval_s
        self._slot = 0
        self.next_at = origin_at

    def take(self, now: float) -> int:
        """Uses up the next slot, and every further one that has come by ``now``: how many those
        were. Before `next_at` nothing is used up."""
        if now < self.next_at:
            return 0
        # A sum of intervals would drift; a multiple has only its own rounding.
        slot = max(self._slot, math.floor((now - self._origin_at) / self._interval_s)) + 1
        if self._origin_at + slot * self._interval_s <= now:
            slot += 1
        skipped = slot - self._slot - 1
        self._slot = slot
        self.next_at = self._origin_at + slot * self._interval_s
        return skipped
