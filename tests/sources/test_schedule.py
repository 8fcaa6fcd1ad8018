"""The schedule alone, against a clock that is a number: what starts when, and what is told."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import pytest

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.sources.checks.result import SUCCESS, CheckResult, not_checked
from dnslb.sources.probe import NOT_CHECKED_YET, Probe
from dnslb.sources.schedule import BATCH_MAX, EARLY_S, ROUND_RATE, Schedule

REFUSED = CheckResult(False, "connection refused")
Answer = Callable[[Monitor, float], tuple[CheckResult, float] | None]


class FakeFlight:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def tcp(number: int, **options: float) -> Monitor:
    host = f"192.0.2.{number}" if number < 256 else f"198.51.{number // 256}.{number % 256}"
    return Monitor("tcp", host, 80, **options)  # type: ignore[arg-type]


def monitor_list(*monitors: Monitor) -> MonitorList:
    return MonitorList(monitors, ())


class World:
    """Runs a schedule through time. ``answer``: a check's result and how long it takes; None: it
    never answers."""

    def __init__(
        self, monitors: MonitorList, answer: Answer, *, concurrency: int = 1000, at: float = 0.0
    ) -> None:
        self.now = at
        self.schedule = Schedule(concurrency)
        self.starts: dict[Monitor, list[float]] = {}
        self.news: list[tuple[float, bytes, bool]] = []
        self._answer = answer
        self._landings: list[tuple[float, int, Probe, CheckResult, FakeFlight]] = []
        self._numbers = itertools.count()
        self.schedule.adopt(monitors, at)
        self._tell()

    def run_until(self, end: float) -> None:
        while (due := self._next_at()) <= end:
            self.now = max(self.now, due)
            self.step()
        self.now = end

    def step(self) -> None:
        schedule = self.schedule
        while self._landings and self._landings[0][0] <= self.now:
            _, _, probe, result, flight = heapq.heappop(self._landings)
            if not flight.cancelled:
                schedule.ended(probe, result, self.now)
        expired, starting = schedule.turn(self.now)
        for abandoned in expired:
            abandoned.cancel()
        for probe in starting:
            probe.asked_at = self.now
            self._start(probe)
        self._tell()

    def is_complete(self) -> bool:
        return self.schedule.is_complete

    def _start(self, probe: Probe) -> None:
        self.starts.setdefault(probe.monitor, []).append(self.now)
        answered = self._answer(probe.monitor, self.now)
        flight = FakeFlight()
        if answered is None:
            probe.flight = flight
        elif answered[1] == 0:
            self.schedule.ended(probe, answered[0], self.now)
        else:
            probe.flight = flight
            at = self.now + answered[1]
            heapq.heappush(self._landings, (at, next(self._numbers), probe, answered[0], flight))

    def _next_at(self) -> float:
        landing = self._landings[0][0] if self._landings else float("inf")
        return min(self.schedule.next_at(), landing)

    def _tell(self) -> None:
        if self.schedule.has_news:
            self.schedule.has_news = False
            self.news.append((self.now, self.schedule.votes, self.schedule.is_complete))


def good(monitor: Monitor, at: float) -> tuple[CheckResult, float]:
    return SUCCESS, 0.01


def silent(monitor: Monitor, at: float) -> None:
    return None


def test_every_endpoint_keeps_its_cadence_and_turns_are_spread() -> None:
    monitors = [tcp(n) for n in range(1, 101)]
    world = World(monitor_list(*monitors), good)
    world.run_until(20.5)
    for starts in world.starts.values():
        assert len(starts) in (20, 21)
        for number, at in enumerate(starts):
            assert at == pytest.approx(starts[0] + number, abs=EARLY_S)
    every = sorted(at for starts in world.starts.values() for at in starts)
    assert max(b - a for a, b in itertools.pairwise(every)) < 0.03
    assert world.schedule.counts.skipped == 0


def test_a_hanging_endpoint_delays_no_other() -> None:
    monitors = [tcp(n, timeout_s=5.0) for n in range(1, 21)]
    hanging = monitors[3]
    world = World(monitor_list(*monitors), lambda m, at: None if m is hanging else (SUCCESS, 0.01))
    world.run_until(30.0)
    for monitor in monitors:
        gaps = [b - a for a, b in itertools.pairwise(world.starts[monitor])]
        expected = 5.0 if monitor is hanging else 1.0
        assert all(gap == pytest.approx(expected, abs=2 * EARLY_S) for gap in gaps)


def test_a_hanging_endpoint_with_the_default_times_is_asked_every_second() -> None:
    world = World(monitor_list(tcp(1)), silent)
    world.run_until(10.5)
    assert len(world.starts[tcp(1)]) == 11
    assert world.schedule.counts.skipped == 0


@pytest.mark.parametrize("interval_s", [0.2, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("died_after", [0.001, 0.3, 0.6, 0.999])
def test_a_refusing_endpoint_is_down_in_time(interval_s: float, died_after: float) -> None:
    died_at = 60.0 + died_after * interval_s
    monitor = tcp(1, interval_s=interval_s)
    world = World(
        monitor_list(monitor), lambda m, at: (SUCCESS if at < died_at else REFUSED, 0.001)
    )
    world.run_until(200.0)
    assert world.news[-1][1] == bytes([DOWN])
    assert world.news[-1][0] - died_at <= 1.1 * interval_s + 0.2


@pytest.mark.parametrize("timeout_s", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("died_after", [0.001, 0.3, 0.6, 0.999])
def test_a_hanging_endpoint_is_down_in_time(timeout_s: float, died_after: float) -> None:
    died_at = 60.0 + died_after
    monitor = tcp(1, timeout_s=timeout_s)
    world = World(monitor_list(monitor), lambda m, at: (SUCCESS, 0.001) if at < died_at else None)
    world.run_until(100.0)
    assert world.news[-1][1] == bytes([DOWN])
    assert world.news[-1][0] - died_at <= 1.1 * 1.0 + 0.2 + 2 * timeout_s


def test_news_comes_with_votes_and_with_the_end_of_the_round() -> None:
    world = World(monitor_list(tcp(1), tcp(2)), lambda m, at: (SUCCESS, 0.25))
    world.run_until(10.0)
    assert [(votes, complete) for _, votes, complete in world.news] == [
        (bytes([UNKNOWN, UNKNOWN]), False),
        (bytes([UP, UNKNOWN]), False),
        (bytes([UP, UP]), True),
    ]


def test_a_round_ends_with_the_last_check_even_if_no_vote_changes() -> None:
    world = World(monitor_list(tcp(1, fall=9)), lambda m, at: (REFUSED, 0.0))
    world.run_until(0.05)
    assert world.news[-1] == (0.0, bytes([UNKNOWN]), True)


def test_local_trouble_counts_as_checked_and_votes_unknown() -> None:
    world = World(monitor_list(tcp(1)), lambda m, at: (not_checked("no port left"), 0.0))
    world.run_until(3.5)
    assert world.news[-1][1:] == (bytes([UNKNOWN]), True)
    assert world.schedule.messages == {0: "not checked: no port left"}
    assert len(world.starts[tcp(1)]) == 4
    assert world.schedule.counts.local == 4


def test_the_first_round_does_not_wait_for_long_intervals() -> None:
    monitors = [tcp(n, interval_s=3600.0) for n in range(1, 11)]
    world = World(monitor_list(*monitors), good)
    world.run_until(1.1)
    assert world.is_complete()
    world.run_until(3601.0)
    assert all(len(starts) == 2 for m, starts in world.starts.items() if m is not monitors[0])


def test_the_first_round_of_many_has_a_pace() -> None:
    monitors = [tcp(n, interval_s=600.0) for n in range(1, 3001)]
    world = World(monitor_list(*monitors), good)
    for second in range(1, 5):
        world.run_until(second)
        assert world.schedule.counts.started <= second * ROUND_RATE * 1.1
    assert world.is_complete()


def test_concurrency_has_a_limit_and_waiting_is_counted() -> None:
    monitors = [tcp(n, timeout_s=2.0) for n in range(1, 11)]
    world = World(monitor_list(*monitors), silent, concurrency=3)
    world.run_until(60.0)
    counts = world.schedule.counts
    assert counts.in_flight_peak == 3
    assert counts.waited > 0
    starts = [len(starts) for starts in world.starts.values()]
    assert max(starts) - min(starts) <= 1
    assert sum(starts) == pytest.approx(3 * 30, abs=3)
    assert world.schedule.votes == bytes([DOWN]) * 10


def test_starts_come_in_bounded_batches() -> None:
    monitors = [tcp(n) for n in range(1, 501)]
    world = World(monitor_list(*monitors), silent)
    world.now = 5.0
    sizes = []
    while world.schedule.next_at() <= world.now:
        _, starting = world.schedule.turn(world.now)
        for probe in starting:
            probe.flight = FakeFlight()
        sizes.append(len(starting))
    assert max(sizes) == BATCH_MAX
    assert sum(sizes) == 500
    assert world.schedule.counts.skipped >= 500 * 4


def test_what_stays_in_the_list_keeps_its_vote_and_its_cadence() -> None:
    world = World(monitor_list(tcp(1), tcp(2)), good)
    world.run_until(5.2)
    first = world.starts[tcp(2)][0]
    assert not world.schedule.adopt(monitor_list(tcp(3), tcp(2)), world.now)
    assert world.schedule.votes == bytes([UNKNOWN, UP])
    assert world.schedule.messages == {0: NOT_CHECKED_YET}
    assert not world.is_complete()
    assert world.schedule.has_news
    world.run_until(10.0)
    assert world.schedule.votes == bytes([UP, UP])
    assert world.is_complete()
    assert world.starts[tcp(2)][9] == pytest.approx(first + 9, abs=EARLY_S)
    assert max(world.starts[tcp(1)]) < 5.2


def test_a_check_of_what_is_gone_is_cancelled() -> None:
    world = World(monitor_list(tcp(1), tcp(2)), silent)
    world.run_until(0.1)
    assert world.schedule.in_flight == 1
    flights = world.schedule.adopt(monitor_list(tcp(2)), world.now)
    assert len(flights) == 1
    assert world.schedule.in_flight == 0
    world.run_until(9.0)
    assert len(world.starts[tcp(1)]) == 1


def test_what_is_gone_while_it_waits_never_starts() -> None:
    world = World(monitor_list(tcp(1, timeout_s=5.0), tcp(2)), silent, concurrency=1)
    world.run_until(2.0)
    assert tcp(2) not in world.starts
    world.schedule.adopt(monitor_list(tcp(1, timeout_s=5.0)), world.now)
    world.run_until(9.0)
    assert tcp(2) not in world.starts


def test_expected_monitors_are_adopted_as_if_they_had_not_been() -> None:
    plain, prepared = Schedule(10), Schedule(10)
    monitors = monitor_list(*(tcp(n) for n in range(1, 50)))
    prepared.expect(monitors.monitors[:30], 0.0)
    for schedule in (plain, prepared):
        schedule.adopt(monitors, 0.0)
    starts = []
    for schedule in (plain, prepared):
        _, starting = schedule.turn(0.1)
        starts.append([probe.monitor for probe in starting])
    assert starts[0] == starts[1] != []


def test_an_empty_list_is_complete_and_never_due() -> None:
    schedule = Schedule(10)
    schedule.adopt(MonitorList(), 0.0)
    assert schedule.is_complete
    assert schedule.has_news
    assert schedule.next_at() == float("inf")


def test_voided_checks_are_made_again_at_once_and_the_round_begins_anew() -> None:
    slow = tcp(2, interval_s=100.0)
    hangs_until = 10.0
    world = World(
        monitor_list(tcp(1), slow),
        lambda m, at: None if m == tcp(1) and at < hangs_until else (SUCCESS, 0.01),
    )
    world.run_until(9.5)
    assert world.schedule.votes == bytes([DOWN, UP])
    assert world.is_complete()
    world.run_until(10.0)
    (flight,) = world.schedule.void(10.0)
    flight.cancel()
    assert not world.is_complete()
    assert world.schedule.votes == bytes([DOWN, UP])  # what was known stays
    world.step()
    assert world.starts[tcp(1)][-1] == 10.0
    world.run_until(11.1)
    assert world.is_complete()
    assert [at >= 10.0 for at in world.starts[slow]] == [False, True]
    assert world.schedule.counts.voided == 1


def test_a_voided_check_proves_nothing() -> None:
    world = World(monitor_list(tcp(1, fall=1)), good)
    world.run_until(4.5)
    world.schedule.turn(5.0)
    assert world.schedule.in_flight == 1
    world.schedule.void(8.0)
    assert world.schedule.in_flight == 0
    assert world.schedule.votes == bytes([UP])


def test_votes_that_nothing_renews_are_forgotten() -> None:
    world = World(monitor_list(tcp(1)), good)
    world.run_until(1.0)
    world.schedule.forget_older(45.0, 40.0)
    assert world.schedule.votes == bytes([UP])
    world.schedule.forget_older(45.0, 50.0)
    assert world.schedule.votes == bytes([UNKNOWN])
    assert world.schedule.has_news
    assert world.schedule.messages


def test_memory_of_moved_alarms_is_bounded() -> None:
    schedule = Schedule(10)
    schedule.adopt(monitor_list(tcp(1, interval_s=3600.0, fall=100)), 0.0)
    now = 0.0
    for _ in range(20_000):
        now = max(now, schedule.next_at())
        for probe in schedule.turn(now)[1]:
            result = SUCCESS if schedule.counts.started % 2 else REFUSED
            schedule.ended(probe, result, now)
        schedule.void(now)
        now += 0.3
    assert len(schedule._alarms) < 2000


def test_a_concurrency_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrency"):
        Schedule(0)
