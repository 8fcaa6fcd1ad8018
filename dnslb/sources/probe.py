"""One monitor under check: its turns, its votes, and what is under way; pure.

Law: one check at a time. A turn that comes while the last check is still under way is taken as
soon as that one ends, so that an endpoint that always hangs is still asked at its time-out's pace.
"""

from __future__ import annotations

import math

from dnslb.model.loadbalancer import Monitor
from dnslb.model.report import UNKNOWN, UP
from dnslb.sources.cadence import Cadence
from dnslb.sources.checks.result import CheckResult, Flight
from dnslb.sources.streak import Streak

NEVER = math.inf
FOLLOW_UP_S_MAX = 0.2
NOT_CHECKED_YET = "not checked yet"
NOT_CHECKED_LATELY = "not checked for too long"


class Probe:
    """State of one monitor. Instants are on the monotonic clock.

    ``turn``: its place among all turns (`cadence.phase`). ``checked_round``: the newest round in
    which a check of it ended. ``alarm_at``: when the schedule is to look at it next.
    ``flight``: what ends the check under way. ``message``: why the vote is not up.
    ``asked_at``: when the newest check was sent. ``round_trip_s``: how long the answer to the
    last check took; None where none came.
    """

    __slots__ = (
        "_extra_at",
        "_overdue",
        "alarm_at",
        "asked_at",
        "cadence",
        "checked_at",
        "checked_round",
        "deadline_at",
        "flight",
        "index",
        "is_gone",
        "is_waiting",
        "message",
        "monitor",
        "round_trip_s",
        "streak",
        "turn",
    )

    def __init__(self, monitor: Monitor, turn: float, now: float) -> None:
        self.monitor = monitor
        self.turn = turn
        self.index = -1
        self.cadence = Cadence(now + turn * monitor.interval_s, monitor.interval_s)
        self.streak = Streak(monitor.rise, monitor.fall)
        self.message = NOT_CHECKED_YET
        self.checked_at = self.asked_at = now
        self.round_trip_s: float | None = None
        self.checked_round = 0
        self.deadline_at = NEVER
        self.alarm_at = NEVER
        self.flight: Flight | None = None
        self.is_waiting = False
        self.is_gone = False
        self._extra_at = NEVER
        self._overdue = False

    @property
    def in_flight(self) -> bool:
        return self.deadline_at != NEVER

    @property
    def next_at(self) -> float:
        """When its next check is to start, if none is under way then."""
        return min(self.cadence.next_at, self._extra_at)

    def bring_forward(self, at: float) -> None:
        """Wants one check more, not later than ``at``; the cadence does not move."""
        self._extra_at = min(self._extra_at, at)

    def start(self, now: float, until: float) -> int:
        """A check starts, which stands for all turns ``until`` then; how many too many those
        are."""
        self._extra_at = NEVER
        self.deadline_at = now + self.monitor.timeout_s
        return self.cadence.take(until)

    def pass_turn(self, until: float) -> int:
        """Turns come while a check is under way: the last of them is made up for when that one
        ends; how many are not."""
        skipped = self.cadence.take(until) + (1 if self._overdue else 0)
        self._overdue = True
        return skipped

    def land(self, now: float) -> None:
        """The check under way is over, whatever came of it."""
        self.deadline_at = NEVER
        self.flight = None
        if self._overdue:
            self._overdue = False
            self._extra_at = now

    def judge(self, result: CheckResult, now: float) -> bool:
        """Counts a result; whether the vote changed."""
        streak = self.streak
        before = streak.vote
        self.checked_at = now
        self.round_trip_s = None
        if result.healthy:
            streak.good()
        elif result.healthy is None:
            streak.lost()
        else:
            streak.bad()
            if streak.is_failing:
                self.bring_forward(now + min(self.monitor.interval_s / 10, FOLLOW_UP_S_MAX))
        if streak.vote == UP:
            self.message = ""
        elif not result.healthy:
            self.message = result.message
        return streak.vote != before

    def forget_if_older(self, age_s_max: float, now: float) -> bool:
        """Votes "unknown" when no check has ended for that long, beyond what is its pace."""
        monitor = self.monitor
        if now - self.checked_at <= monitor.interval_s + monitor.timeout_s + age_s_max:
            return False
        self.round_trip_s = None
        if self.streak.vote == UNKNOWN:
            return False
        self.streak.lost()
        self.message = NOT_CHECKED_LATELY
        return True
