"""Which monitors are to be checked now, and what this agent has to say; pure.

Not the prober: it opens nothing and reads no clock. The shell (`prober.py`) asks `turn` what to
do, does it, and tells what came of it.

Every probe has one alarm in a heap: its next start, or the time-out of its check. An alarm that
was moved leaves its old entry behind, which is passed over when its time comes.

A *round* is one check of every monitor. The first begins with the process, a new one with each
stall of the event loop: from then until the round is over, `is_complete` is False. Since a round
must not wait for the slowest interval, its checks are brought forward: within one second, or at
the pace of `ROUND_RATE` where there are more.

Law: a check that was under way in a stall proves nothing; and what is not known is not voted.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.sources.cadence import phase
from dnslb.sources.checks.result import CheckResult, Flight, timed_out
from dnslb.sources.probe import NEVER, Probe

BATCH_MAX = 64
"""Checks started in one turn: some milliseconds, so that nobody else waits long for the loop."""

ROUND_S = 1.0
ROUND_RATE = 1000.0
EARLY_S = 0.002
"""Starts that lie this close together are one turn of the event loop: it saves a fifth of
the cost of a check, and costs no cadence, since the instants on it do not move."""

_ALARMS_SPARE = 1000


@dataclass(slots=True)
class ProberCounts:
    """Totals since the start. ``skipped``: turns that passed while the check before was still
    under way, or that we came too late for. ``waited``: starts that had to wait for a check to
    end, since as many were under way as may be. ``local``: checks that proved nothing for a
    reason on this machine. ``voided``: checks thrown away because the event loop had stalled."""

    started: int = 0
    good: int = 0
    bad: int = 0
    local: int = 0
    timed_out: int = 0
    voided: int = 0
    skipped: int = 0
    waited: int = 0
    in_flight_peak: int = 0


class Schedule:
    """All probes. ``has_news``: something is to be reported at once; the shell takes it back."""

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.monitors = MonitorList()
        self.counts = ProberCounts()
        self.has_news = False
        self.in_flight = 0
        self._concurrency = concurrency
        self._probes: dict[Monitor, Probe] = {}
        self._expected: dict[Monitor, Probe] = {}
        self._votes = bytearray()
        self._messages: dict[int, str] = {}
        self._alarms: list[tuple[float, int, Probe]] = []
        self._numbers = itertools.count()
        self._waiting: deque[Probe] = deque()
        self._turns: dict[float, int] = {}
        self._round = 1
        self._unchecked = 0

    # ------------------------------------------------------------------ what is to be said

    @property
    def is_complete(self) -> bool:
        """Whether every monitor has been checked in this round."""
        return self._unchecked == 0

    @property
    def votes(self) -> bytes:
        """One vote per monitor, in the order of `monitors`."""
        return bytes(self._votes)

    @property
    def messages(self) -> dict[int, str]:
        """By index, why a vote is not up."""
        return self._messages.copy()

    def round_trip_s(self, monitor: Monitor) -> float | None:
        """From the start of the last check to its answer; None where none came."""
        probe = self._probes.get(monitor)
        return None if probe is None else probe.round_trip_s

    # ---------------------------------------------------------------- what is to be checked

    def expect(self, monitors: Iterable[Monitor], now: float) -> None:
        """Makes ready for monitors of the list that `adopt` gets next, some at a time, so that
        to adopt thousands takes little time in one piece."""
        for monitor in monitors:
            if monitor not in self._probes and monitor not in self._expected:
                self._expected[monitor] = Probe(monitor, self._next_turn(monitor), now)

    def adopt(self, monitors: MonitorList, now: float) -> list[Flight]:
        """Takes another list: what stays keeps its state. Returns what the shell is to cancel."""
        before, self._probes = self._probes, {}
        expected, self._expected = self._expected, {}
        self.monitors = monitors
        self._votes = bytearray(len(monitors))
        self._messages = {}
        self._unchecked = 0
        added = []
        for index, monitor in enumerate(monitors.monitors):
            probe = before.pop(monitor, None)
            if probe is None:
                probe = expected.get(monitor) or Probe(monitor, self._next_turn(monitor), now)
                added.append(probe)
            probe.index = index
            self._probes[monitor] = probe
            self._unchecked += probe.checked_round != self._round
            self._note(probe)
        cancelled: list[Flight] = []
        for probe in before.values():
            probe.is_gone = True
            probe.alarm_at = NEVER
            cancelled += self._land(probe, now)
        self._bring_forward(added, now)
        self.has_news = True
        return cancelled

    def void(self, now: float) -> list[Flight]:
        """Throws away every check under way, to be made again at once, and begins a new round.
        Returns what the shell is to cancel."""
        flying = [probe for probe in self._probes.values() if probe.in_flight]
        self.counts.voided += len(flying)
        self._round += 1
        self._unchecked = len(self._probes)
        cancelled: list[Flight] = []
        for probe in flying:
            cancelled += self._land(probe, now)
            probe.bring_forward(now)
        self._bring_forward(self._probes.values(), now)
        return cancelled

    def next_at(self) -> float:
        """When `turn` is to be called next; the past when it is already time."""
        if self._waiting and self.in_flight < self._concurrency:
            return -NEVER
        return self._alarms[0][0] if self._alarms else NEVER

    def turn(self, now: float) -> tuple[list[Flight], list[Probe]]:
        """What is due: the checks that timed out, already judged, which the shell is to cancel;
        then the probes whose check it is to start, already counted as under way. It starts at
        most `BATCH_MAX`; there is more while `next_at` is not in the future."""
        expired: list[Flight] = []
        starting: list[Probe] = []
        while self._waiting and self.in_flight < self._concurrency and len(starting) < BATCH_MAX:
            probe = self._waiting.popleft()
            probe.is_waiting = False
            if not probe.is_gone:
                self._start(probe, now, starting)
        alarms = self._alarms
        horizon = now + EARLY_S
        while alarms and alarms[0][0] <= horizon and len(starting) < BATCH_MAX:
            at, _, probe = heapq.heappop(alarms)
            if at != probe.alarm_at:
                continue
            probe.alarm_at = NEVER
            if not probe.in_flight:
                self._start_or_wait(probe, now, starting)
            elif now >= probe.deadline_at:
                self.counts.timed_out += 1
                expired += self._judge(probe, timed_out(probe.monitor.timeout_s), now)
            else:
                self.counts.skipped += probe.pass_turn(horizon)
                self._set_alarm(probe, self._flight_alarm(probe))
        return expired, starting

    def ended(self, probe: Probe, result: CheckResult, now: float) -> None:
        """A check that `turn` had started is over, and nothing is left to be cancelled."""
        # What ended at once asked nobody; and what failed for a reason of ours is no answer.
        answered = probe.flight is not None and result.healthy is not None
        self._judge(probe, result, now)
        probe.round_trip_s = now - probe.asked_at if answered else None

    def forget_older(self, age_s_max: float, now: float) -> None:
        """Votes "unknown" wherever no check has ended for that long."""
        for probe in self._probes.values():
            if probe.forget_if_older(age_s_max, now):
                self._note(probe)
                self.has_news = True

    # ------------------------------------------------------------------------------ inside

    def _next_turn(self, monitor: Monitor) -> float:
        number = self._turns.get(monitor.interval_s, 0)
        self._turns[monitor.interval_s] = number + 1
        return phase(number)

    def _bring_forward(self, probes: Collection[Probe], now: float) -> None:
        """Lets each have a check in time for the round, and an alarm."""
        round_s = max(ROUND_S, len(probes) / ROUND_RATE)
        latest_at = now + round_s
        for probe in probes:
            at = probe.next_at
            if at > latest_at:
                at = now + probe.turn * round_s
                probe.bring_forward(at)
            if not probe.is_waiting and not probe.in_flight:
                probe.alarm_at = at
        self._sort_alarms()

    def _set_alarm(self, probe: Probe, at: float) -> None:
        probe.alarm_at = at
        alarms = self._alarms
        heapq.heappush(alarms, (at, next(self._numbers), probe))
        if len(alarms) > _ALARMS_SPARE + 4 * len(self._probes):
            self._sort_alarms()

    def _sort_alarms(self) -> None:
        """One entry for each alarm that is set, and none besides."""
        live = [probe for probe in self._probes.values() if probe.alarm_at != NEVER]
        self._alarms[:] = [(probe.alarm_at, next(self._numbers), probe) for probe in live]
        heapq.heapify(self._alarms)

    def _flight_alarm(self, probe: Probe) -> float:
        # Entries are taken `EARLY_S` before their time; a time-out must not be.
        return min(probe.deadline_at + EARLY_S, probe.cadence.next_at)

    def _start_or_wait(self, probe: Probe, now: float, starting: list[Probe]) -> None:
        # Whoever waits goes first: else those that hang would take each other's place for ever.
        if self.in_flight < self._concurrency and not self._waiting:
            self._start(probe, now, starting)
        else:
            self.counts.waited += 1
            probe.is_waiting = True
            self._waiting.append(probe)

    def _start(self, probe: Probe, now: float, starting: list[Probe]) -> None:
        counts = self.counts
        counts.skipped += probe.start(now, now + EARLY_S)
        counts.started += 1
        self.in_flight += 1
        counts.in_flight_peak = max(counts.in_flight_peak, self.in_flight)
        self._set_alarm(probe, self._flight_alarm(probe))
        starting.append(probe)

    def _land(self, probe: Probe, now: float) -> tuple[Flight, ...]:
        """The check under way, if any, is over."""
        flight = probe.flight
        if probe.in_flight:
            self.in_flight -= 1
            probe.land(now)
        return () if flight is None else (flight,)

    def _judge(self, probe: Probe, result: CheckResult, now: float) -> tuple[Flight, ...]:
        cancelled = self._land(probe, now)
        counts = self.counts
        if result.healthy:
            counts.good += 1
        elif result.healthy is None:
            counts.local += 1
        else:
            counts.bad += 1
        message = probe.message
        if probe.judge(result, now):
            self.has_news = True
            self._note(probe)
        elif probe.message != message:
            self._note(probe)
        if probe.checked_round != self._round:
            probe.checked_round = self._round
            self._unchecked -= 1
            self.has_news = self.has_news or self._unchecked == 0
        if probe.alarm_at != probe.next_at:
            self._set_alarm(probe, probe.next_at)
        return cancelled

    def _note(self, probe: Probe) -> None:
        self._votes[probe.index] = probe.streak.vote
        if probe.message:
            self._messages[probe.index] = probe.message
        else:
            self._messages.pop(probe.index, None)
