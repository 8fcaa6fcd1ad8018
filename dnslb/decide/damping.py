"""How long a verdict must stand before an address counts as living or dead (`safety.md` 4.7).

`up-after` doubles with each flap, up to five minutes, and halves with each ten quiet minutes. A
flap is a loss within ten minutes of a return; the first publication is not a return. Unknown is
neither a loss nor a return: what was settled stays settled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dnslb.model.checkpoint import Flaps
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Policy
from dnslb.model.verdict import VerdictState

UP_AFTER_S_MAX = 300.0
FLAP_WINDOW_S = 600.0

Standing = Literal["living", "dead", "unknown"]


@dataclass(slots=True)
class Damper:
    """One address: its verdict as last seen and what that has been settled to."""

    state: VerdictState = "unknown"
    since_mono: float = 0.0
    since_wall: float = 0.0
    settled: Literal["living", "dead"] | None = None
    lived_mono: float = float("-inf")
    returned_mono: float | None = None
    flaps: int = 0
    flaps_changed_mono: float = 0.0

    def flap_count(self, mono: float) -> int:
        """Flaps that still weigh, after what the quiet minutes took off."""
        quiet = int(max(0.0, mono - self.flaps_changed_mono) // FLAP_WINDOW_S)
        return max(0, self.flaps - quiet)

    def up_after_s(self, policy: Policy, mono: float) -> float:
        base = float(policy.up_after_s)
        doubled = base * 2.0 ** min(self.flap_count(mono), 30)
        return max(base, min(doubled, UP_AFTER_S_MAX))

    def turn(self, state: VerdictState, now: Now) -> bool:
        """Takes the verdict as of now; says whether it is another one."""
        if state == self.state:
            return False
        self.state, self.since_mono, self.since_wall = state, now.mono, now.wall
        return True

    def settle(self, policy: Policy, published: bool, now: Now) -> float | None:
        """Settles what has stood long enough; returns the instant at which more is due.

        What is in DNS already lives as soon as it is up: waiting protects nobody then.
        """
        if self.state == "up":
            if self.settled != "living":
                due = self.since_mono + self.up_after_s(policy, now.mono)
                if now.mono < due and not published:
                    return due
                if self.settled == "dead":
                    self.returned_mono = now.mono
                self.settled = "living"
            self.lived_mono = now.mono
        elif self.state == "down" and self.settled != "dead":
            due = self.since_mono + policy.down_after_s
            if now.mono < due:
                return due
            if self.settled == "living":
                self._lose(policy, now.mono)
            self.settled = "dead"
        return None

    def _lose(self, policy: Policy, mono: float) -> None:
        self.lived_mono = self.since_mono
        if self.returned_mono is not None and mono - self.returned_mono <= FLAP_WINDOW_S:
            self.flaps = min(self.flap_count(mono) + 1, _flaps_max(policy))
            self.flaps_changed_mono = mono
        self.returned_mono = None

    @property
    def standing(self) -> Standing:
        """What the address counts as: an address that rises is not living before its time."""
        if self.state == "unknown" or self.settled is None:
            return "unknown"
        return self.settled

    def waiting_s(self, policy: Policy, mono: float) -> float | None:
        """How long the verdict must stand in all before it counts; None when it does, or when
        there is no verdict."""
        if self.state == "up" and self.settled != "living":
            return self.up_after_s(policy, mono)
        if self.state == "down" and self.settled != "dead":
            return policy.down_after_s
        return None

    def to_flaps(self, mono: float) -> Flaps | None:
        """For the checkpoint; None when there is nothing worth remembering."""
        if not self.flaps and self.returned_mono is None:
            return None
        count = self.flap_count(mono)
        returned = self.returned_mono
        if returned is not None and mono - returned > FLAP_WINDOW_S:
            returned = None
        if not count and returned is None:
            return None
        age = None if returned is None else mono - returned
        return Flaps(count, age, max(0.0, mono - self.flaps_changed_mono) % FLAP_WINDOW_S)

    def restore(self, flaps: Flaps, older_s: float, mono: float) -> None:
        """Takes over a memory composed ``older_s`` seconds ago, where it knows of more flaps than
        this process saw itself."""
        changed_mono = mono - flaps.changed_age_s - older_s
        remembered = Damper(flaps=flaps.count, flaps_changed_mono=changed_mono)
        if remembered.flap_count(mono) >= self.flap_count(mono):
            self.flaps, self.flaps_changed_mono = remembered.flaps, changed_mono
        if flaps.returned_age_s is not None and self.settled != "dead":
            returned_mono = mono - flaps.returned_age_s - older_s
            self.returned_mono = max(returned_mono, self.returned_mono or returned_mono)


def _flaps_max(policy: Policy) -> int:
    """More would not make `up-after` longer, only later to halve."""
    return max(1, math.ceil(math.log2(UP_AFTER_S_MAX / max(policy.up_after_s, 0.1))))


def combined(states: list[VerdictState]) -> VerdictState:
    """The verdict on an address that several endpoints speak for: the worst known one."""
    if "down" in states:
        return "down"
    return "unknown" if "unknown" in states or not states else "up"
