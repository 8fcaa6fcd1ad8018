"""Failures in a row and how long to wait after them. No clock, no luck: both come in."""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.model.instant import Now
from dnslb.model.outcome import Failure

BACKOFF_S = 0.5
BACKOFF_S_MAX = 45.0
"""A server that is back after a long outage is to have its first failover soon."""
REFUSED_S = 30.0
REFUSED_S_MAX = 300.0
"""Only a person ends this, and asks for the next try by ``sync``."""
GATED_WAIT_S = 0.05
"""After what the lease gate kept back."""


def backoff_s(failures: int, failure: Failure) -> float:
    """Seconds until the next try: doubling, jittered, never sooner than the provider said."""
    is_refusal = failure.kind == "refused"
    first, most = (REFUSED_S, REFUSED_S_MAX) if is_refusal else (BACKOFF_S, BACKOFF_S_MAX)
    waited = min(first * 2.0 ** min(failures - 1, 20), most) * (0.5 + failure.jitter / 2)
    return max(waited, failure.retry_after_s or 0.0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures in a row of reading or of writing; ``error``: what the last one said, at
    ``last_wall``."""

    failures: int
    error: str
    since_wall: float
    last_wall: float


def worse(before: Trouble | None, failure: Failure, now: Now) -> Trouble:
    if before is None:
        return Trouble(1, failure.sentence, now.wall, now.wall)
    return Trouble(before.failures + 1, failure.sentence, before.since_wall, now.wall)
