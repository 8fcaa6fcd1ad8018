"""How long to wait before the next attempt; pure, luck comes in as an argument.

Law: the wait never exceeds ``max_s``, however many attempts there were, and never falls below
``(1 - jitter)`` of the undisturbed wait, so that a herd spreads without anyone hammering.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off: ``first_s``, then ``factor`` times more after each failed attempt.

    ``jitter`` is the share of each wait that luck decides: 0 none, 1 all of it. Raises
    ValueError for bounds that make no sense.
    """

    first_s: float = 0.5
    max_s: float = 60.0
    factor: float = 2.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.max_s:
            raise ValueError(f"first_s must be above 0 and at most max_s, not {self.first_s}")
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be within 0 and 1, not {self.jitter}")

    def delay_s(self, attempt: int, luck: float) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 1).

        ``luck`` is a uniform random number within 0 and 1; 0 gives the shortest wait.
        """
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        if not 0 <= luck <= 1:
            raise ValueError(f"luck must be within 0 and 1, not {luck}")
        try:
            whole_s = min(self.max_s, self.first_s * self.factor ** (attempt - 1))
        except OverflowError:
            whole_s = self.max_s
        return whole_s * (1 - self.jitter + self.jitter * luck)
