"""How long the cluster waits for what, in seconds, as one value that refuses to be unsound.

Not a tuning surface: two profiles are offered. The proof of `safety.md` 1 holds for any lease,
as long as all clocks of the members run within `DRIFT` of each other; what is refused here is a
lease that no promise can cover, and timings under which no lease could live.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from dnslb.errors import InvalidValue

DRIFT = 0.10
"""By how much the clock of one member may run faster than another's (slewing included)."""

LEASE_S_MAX = 30.0
"""The longest lease that a member promises to anyone: whoever asks for more could silence it."""


def promise_s(lease_s: float) -> float:
    """How long a member must keep quiet by its own clock, for a lease that another one times."""
    return lease_s * (1 + DRIFT)


PROMISE_S_MAX = promise_s(LEASE_S_MAX)


@dataclass(frozen=True, slots=True)
class Timings:
    """``election_s_min`` to ``election_s_max``: silence after which a member asks for votes.
    ``heartbeat_s``: between two rounds of a leader. ``lease_s``: how long a round that a
    majority acknowledged lets its leader write, from when it was sent."""

    election_s_min: float
    election_s_max: float
    heartbeat_s: float
    lease_s: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidValue(f"{field.name} must be a number of seconds above 0, not {value}")
        if self.lease_s > LEASE_S_MAX:
            raise InvalidValue(
                f"lease_s = {self.lease_s:g} is more than the {LEASE_S_MAX:g} s that members "
                "promise at most"
            )
        if self.lease_s < 3 * self.heartbeat_s:
            raise InvalidValue(
                f"lease_s = {self.lease_s:g} must be at least three heartbeats of "
                f"{self.heartbeat_s:g} s, or one late answer would end a lease"
            )
        if self.election_s_min <= 3 * self.heartbeat_s:
            raise InvalidValue(
                f"election_s_min = {self.election_s_min:g} must be more than three heartbeats of "
                f"{self.heartbeat_s:g} s, or members would stand against a living leader"
            )
        if self.election_s_max < 1.5 * self.election_s_min:
            raise InvalidValue(
                f"election_s_max = {self.election_s_max:g} must be at least 1.5 times "
                f"election_s_min = {self.election_s_min:g}, or members would stand all at once"
            )
        if promise_s(self.lease_s) > 2 * self.election_s_max:
            raise InvalidValue(
                f"lease_s = {self.lease_s:g} is too long for election_s_max = "
                f"{self.election_s_max:g}: a new leader would wait longer for its first write "
                "than for its election"
            )


LAN = Timings(election_s_min=0.4, election_s_max=0.8, heartbeat_s=0.1, lease_s=0.4)
WAN = Timings(election_s_min=1.0, election_s_max=2.0, heartbeat_s=0.25, lease_s=1.0)
PROFILES = {"lan": LAN, "wan": WAN}
