"""The prober under a mock clock, with checks that answer as the test says; then on real sockets."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import pytest
import trio
from trio.testing import MockClock

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import FakeClock
from dnslb.net.watchable import Watchable
from dnslb.sources.checks.checker import Checker
from dnslb.sources.checks.result import SUCCESS, CheckResult, Flight, not_checked
from dnslb.sources.checks.trust import Trust
from dnslb.sources.probe import NOT_CHECKED_LATELY, NOT_CHECKED_YET, Probe
from dnslb.sources.prober import KEEP_ALIVE_S, NEWS_RATE, Prober
from tests.sources import endpoints

REFUSED = CheckResult(False, "connection refused")
HANGS = None


def tcp(number: int, **options: float) -> Monitor:
    host = f"192.0.{number >> 8}.{number & 255}"
    return Monitor("tcp", host, 80, **options)  # type: ignore[arg-type]


class Scene:
    """What the endpoints answer, and what the prober told. An answer takes ``takes_s``."""

    def __init__(self, *monitors: Monitor) -> None:
        self.monitors = Watchable(MonitorList(monitors))
        self.answers: dict[Monitor, CheckResult | None] = {}
        self.takes_s = 0.0
        self.starts: list[tuple[float, Monitor]] = []
        self.cancelled = 0
        self.reports: list[Report] = []
        self.told = trio.Event()

    async def deliver(self, report: Report) -> None:
        await trio.lowlevel.checkpoint()
        self.reports.append(report)
        self.told.set()
        self.told = trio.Event()

    @property
    def last(self) -> Report:
        return self.reports[-1]

    @contextlib.asynccontextmanager
    async def probed(self, **options: float) -> AsyncIterator[Prober]:
        prober = Prober(
            "fra-1",
            clock=FakeClock(),
            open_checks=lambda nursery, _, wake: FakeChecks(self, nursery, wake),
            concurrency=1000,
            **options,  # type: ignore[arg-type]
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(prober.run, self.deliver, self.monitors)
            yield prober
            nursery.cancel_scope.cancel()


class FakeFlight:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.is_over = False

    def cancel(self) -> None:
        self.scene.cancelled += not self.is_over
        self.is_over = True


class FakeChecks:
    """A twin of `Checker` that asks a scene."""

    def __init__(self, scene: Scene, nursery: trio.Nursery, wake: Callable[[], None]) -> None:
        self._scene = scene
        self._nursery = nursery
        self._wake = wake
        self._ended: list[tuple[Probe, FakeFlight, CheckResult]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def start(self, key: Probe, monitor: Monitor) -> Flight | CheckResult:
        self._scene.starts.append((trio.current_time(), monitor))
        result = self._scene.answers.get(monitor, SUCCESS)
        if result is not None and self._scene.takes_s == 0:
            return result
        flight = FakeFlight(self._scene)
        if result is not None:
            self._nursery.start_soon(self._answer, key, flight, result)
        return flight

    async def _answer(self, key: Probe, flight: FakeFlight, result: CheckResult) -> None:
        await trio.sleep(self._scene.takes_s)
        self._ended.append((key, flight, result))
        self._wake()

    async def wait(self) -> None:
        await trio.sleep_forever()

    def collect(self) -> list[tuple[Probe, CheckResult]]:
        ended = [(key, result) for key, flight, result in self._ended if not flight.is_over]
        for _, flight, _ in self._ended:
            flight.is_over = True
        self._ended.clear()
        return ended


async def test_the_first_reports(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1), tcp(2), tcp(3))
    scene.takes_s = 0.01
    scene.answers[tcp(3)] = REFUSED
    async with scene.probed():
        await trio.sleep(5)
    first, *_, last = scene.reports
    assert (first.votes, first.complete) == (bytes(3), False)
    assert first.messages == dict.fromkeys(range(3), NOT_CHECKED_YET)
    assert (last.votes, last.complete) == (bytes([UP, UP, DOWN]), True)
    assert last.messages == {2: "connection refused"}
    assert {report.agent for report in scene.reports} == {"fra-1"}
    assert {report.via for report in scene.reports} == {"prober"}
    completes = [report.complete for report in scene.reports]
    assert completes == sorted(completes)
    told = next(report for report in scene.reports if report.complete)
    assert NOT_CHECKED_YET not in told.messages.values()


async def test_reports_are_stamped_by_the_clock(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1))
    async with scene.probed():
        await trio.sleep(12)
    started = FakeClock(wall_at=0).now().wall
    for report in scene.reports:
        assert 0 <= report.arrived_mono <= started
        assert report.arrived_wall - report.arrived_mono == pytest.approx(1_767_225_600.0)


async def test_silence_is_bounded_by_keep_alives(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1))
    async with scene.probed():
        await trio.sleep(1)
        scene.reports.clear()
        await trio.sleep(60)
    instants = [report.arrived_mono for report in scene.reports]
    assert len(instants) in (5, 6)
    for before, after in itertools.pairwise(instants):
        assert after - before == pytest.approx(KEEP_ALIVE_S, abs=0.1)
    assert {report.votes for report in scene.reports} == {bytes([UP])}


async def test_only_changes_of_votes_are_news(autojump_clock: MockClock) -> None:
    monitor = tcp(1, fall=3)
    scene = Scene(monitor)
    async with scene.probed(keep_alive_s=1000):
        await trio.sleep(5.5)
        scene.reports.clear()
        scene.answers[monitor] = REFUSED
        await trio.sleep(0.55)  # one failure, its first follow-up
        scene.answers[monitor] = SUCCESS
        await trio.sleep(5)
        assert scene.reports == []
        scene.answers[monitor] = REFUSED
        await trio.sleep(2)
        scene.answers[monitor] = HANGS
        await trio.sleep(5)
    assert [report.votes for report in scene.reports] == [bytes([DOWN])]


async def test_a_mass_failure_is_told_at_a_bounded_rate(autojump_clock: MockClock) -> None:
    monitors = [tcp(n, fall=1) for n in range(1, 1001)]
    scene = Scene(*monitors)
    async with scene.probed():
        await trio.sleep(5)
        scene.reports.clear()
        scene.answers = dict.fromkeys(monitors, REFUSED)
        await trio.sleep(1.1)
    assert scene.last.votes == bytes([DOWN]) * 1000
    assert 10 < len(scene.reports) <= NEWS_RATE * 1.1


async def test_another_list_is_answered_at_once(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1), tcp(2))
    async with scene.probed():
        await trio.sleep(5)
        scene.monitors.set(MonitorList((tcp(3), tcp(2))))
        await trio.sleep(0.001)
        assert scene.last.monitors is scene.monitors.value
        assert (scene.last.votes, scene.last.complete) == (bytes([UNKNOWN, UP]), False)
        await trio.sleep(1.1)
        assert (scene.last.votes, scene.last.complete) == (bytes([UP, UP]), True)
        scene.monitors.set(MonitorList())
        await trio.sleep(0.1)
        assert (scene.last.votes, scene.last.complete) == (b"", True)
        checked = len(scene.starts)
        await trio.sleep(10)
        assert len(scene.starts) == checked


async def test_a_hanging_endpoint_is_down_after_two_time_outs(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1), tcp(2, timeout_s=2))
    scene.takes_s = 0.01
    async with scene.probed() as prober:
        await trio.sleep(10)
        scene.answers[tcp(2, timeout_s=2)] = HANGS
        died_at = trio.current_time()
        while scene.last.votes != bytes([UP, DOWN]):
            await scene.told.wait()
        assert trio.current_time() - died_at <= 1.1 + 0.2 + 2 * 2
        assert scene.last.messages == {1: "timed out after 2 s"}
        assert prober.counts.timed_out == 2
        assert scene.cancelled == 2


async def test_local_trouble_is_not_down(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1), tcp(2))
    async with scene.probed():
        await trio.sleep(5)
        trouble = not_checked("this process has no file descriptor left")
        scene.answers = dict.fromkeys((tcp(1), tcp(2)), trouble)
        await trio.sleep(20)
        assert scene.last.votes == bytes([UNKNOWN, UNKNOWN])
        assert scene.last.messages == dict.fromkeys((0, 1), trouble.message)
        assert DOWN not in b"".join(report.votes for report in scene.reports)
        scene.answers = {}
        await trio.sleep(1.1)
        assert scene.last.votes == bytes([UP, UP])


async def test_a_stall_that_is_told_voids_what_is_in_flight(autojump_clock: MockClock) -> None:
    monitor = tcp(1, interval_s=10, timeout_s=5)
    scene = Scene(monitor, tcp(2, interval_s=100))
    scene.takes_s = 3.0
    async with scene.probed() as prober:
        await trio.sleep(20.5)
        assert scene.last.complete
        assert prober.in_flight == 1
        scene.reports.clear()
        scene.answers[monitor] = REFUSED
        prober.void_in_flight()
        await trio.sleep(0.01)
        assert monitor in [checked for at, checked in scene.starts if at >= 20.5]
        assert prober.counts.voided == 1
        await trio.sleep(2.5)
        assert [report for report in scene.reports if report.complete] == []
        await trio.sleep(1.0)
        assert scene.last.complete
        since_stall = [monitor for at, monitor in scene.starts if at >= 20.5]
        assert set(since_stall) == set(scene.monitors.value.monitors)


async def test_a_stall_that_nobody_tells_is_noticed(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0
    monitor = tcp(1, fall=1)
    scene = Scene(monitor)
    scene.takes_s = 0.01
    async with scene.probed() as prober:
        await trio.sleep(5.5)
        scene.answers[monitor] = HANGS
        await trio.sleep(1.0)
        assert prober.in_flight == 1
        scene.answers[monitor] = SUCCESS
        mock_clock.jump(60.0)
        await trio.sleep(0.5)
        assert prober.counts.voided == 1
        assert prober.counts.timed_out == 0
        await trio.sleep(2)
    assert DOWN not in b"".join(report.votes for report in scene.reports)
    assert scene.last.complete


async def test_a_stall_within_a_long_time_out_is_noticed(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0
    monitor = tcp(1, interval_s=10, timeout_s=8, fall=1)
    scene = Scene(monitor)
    scene.answers[monitor] = HANGS
    async with scene.probed() as prober:
        await trio.sleep(2)
        assert (prober.in_flight, prober.counts.voided) == (1, 0)
        mock_clock.jump(3.0)
        await trio.sleep(0.01)
        assert prober.counts.voided == 1
        await trio.sleep(7.9)
        assert prober.counts.timed_out == 0


async def test_votes_do_not_outlive_what_they_rest_on(autojump_clock: MockClock) -> None:
    scene = Scene(*(tcp(n, timeout_s=60) for n in range(1, 4)))
    prober = Prober(
        "fra-1",
        clock=FakeClock(),
        concurrency=1,
        open_checks=lambda nursery, _, wake: FakeChecks(scene, nursery, wake),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(prober.run, scene.deliver, scene.monitors)
        await trio.sleep(5)
        assert scene.last.votes == bytes([UP] * 3)
        scene.answers = dict.fromkeys(scene.monitors.value.monitors, HANGS)
        await trio.sleep(120)
        # The second's turn came last: it has waited for both others to time out.
        assert scene.last.votes[1] == UNKNOWN
        assert scene.last.messages[1] == NOT_CHECKED_LATELY
        nursery.cancel_scope.cancel()


async def test_certificates_are_read_when_https_is_in_the_list(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []

    async def prepare(_: Trust) -> None:
        await trio.lowlevel.checkpoint()
        prepared.append(len(scene.starts))

    monkeypatch.setattr(Trust, "prepare", prepare)
    scene = Scene(tcp(1))
    async with scene.probed():
        await trio.sleep(1)
        assert prepared == []
        scene.monitors.set(MonitorList((Monitor("https", "192.0.2.1", 443),)))
        await trio.sleep(0.1)
        assert [m.protocol for _, m in scene.starts[: prepared[0]]].count("https") == 0
        assert len(prepared) == 1


async def test_death_and_return_on_real_sockets() -> None:
    opened: list[Checker[Probe]] = []

    def opening(nursery: trio.Nursery, trust: Trust, wake: Callable[[], None]) -> Checker[Probe]:
        opened.append(Checker(nursery, trust, wake))
        return opened[-1]

    async def wait_votes(scene: Scene, votes: list[int]) -> None:
        with trio.fail_after(60):
            while not scene.reports or scene.last.votes != bytes(votes):
                await scene.told.wait()

    status = [200]

    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 %d Hm\r\n\r\n" % status[0])

    before = set(os.listdir("/proc/self/fd"))
    async with endpoints.serving(serve) as port, trio.open_nursery() as nursery:
        with endpoints.refusing() as refusing, endpoints.silent() as silent:
            scene = Scene(
                Monitor("http", "127.0.0.1", port, interval_s=0.1),
                Monitor("tcp", "127.0.0.1", port, interval_s=0.1),
                Monitor("tcp", "127.0.0.1", refusing, interval_s=0.1),
                Monitor("tcp", "127.0.0.1", silent, interval_s=0.1, timeout_s=0.1),
                Monitor("none", "127.0.0.1", silent),
            )
            prober = Prober("fra-1", open_checks=opening)
            nursery.start_soon(prober.run, scene.deliver, scene.monitors)
            await wait_votes(scene, [UP, UP, DOWN, DOWN, UP])
            assert scene.last.messages == {
                2: "connection refused",
                3: "timed out after 0.1 s",
            }
            trips = [prober.round_trip_s(monitor) for monitor in scene.monitors.value.monitors]
            assert all(trip_s is not None and 0 < trip_s < 1 for trip_s in trips[:2])
            assert trips[3:] == [None, None]
            status[0] = 503
            await wait_votes(scene, [DOWN, UP, DOWN, DOWN, UP])
            assert scene.last.messages[0] == "status code is `503`"
            status[0] = 204
            await wait_votes(scene, [UP, UP, DOWN, DOWN, UP])
            nursery.cancel_scope.cancel()
    assert len(opened) == 1
    assert set(os.listdir("/proc/self/fd")) == before
