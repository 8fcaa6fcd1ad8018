"""How long an answer took: by the schedule alone, and by the prober."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.model.loadbalancer import Monitor
from dnslb.sources.checks.result import SUCCESS, CheckResult, not_checked
from dnslb.sources.schedule import Schedule
from tests.sources.test_prober import REFUSED, Scene, tcp
from tests.sources.test_schedule import World, good, monitor_list


def test_the_last_answer_is_timed_and_silence_has_no_time() -> None:
    slow, refusing, hanging = tcp(1), tcp(2), tcp(3)
    answers: dict[Monitor, tuple[CheckResult, float] | None] = {
        slow: (SUCCESS, 0.3),
        refusing: (REFUSED, 0.02),
        hanging: None,
    }
    world = World(monitor_list(*answers), lambda monitor, at: answers[monitor])
    trip_s = world.schedule.round_trip_s
    assert [trip_s(monitor) for monitor in answers] == [None] * 3
    world.run_until(5.0)
    assert trip_s(slow) == pytest.approx(0.3)
    assert trip_s(refusing) == pytest.approx(0.02)
    assert trip_s(hanging) is None
    answers[slow] = (SUCCESS, 0.1)
    answers[refusing] = None
    world.run_until(10.0)
    assert trip_s(slow) == pytest.approx(0.1)
    assert trip_s(refusing) is None
    assert trip_s(tcp(4)) is None


def test_what_asked_nobody_and_what_failed_here_has_no_round_trip() -> None:
    answers = {tcp(1): (SUCCESS, 0.0), tcp(2): (not_checked("no memory"), 0.01)}
    world = World(monitor_list(*answers), lambda monitor, at: answers[monitor])
    world.run_until(3.0)
    assert world.schedule.is_complete
    assert [world.schedule.round_trip_s(monitor) for monitor in answers] == [None, None]


def test_a_round_trip_is_kept_through_a_void_and_forgotten_with_the_vote() -> None:
    schedule: Schedule = (world := World(monitor_list(tcp(1)), good)).schedule
    world.run_until(3.0)
    schedule.void(world.now)
    assert schedule.round_trip_s(tcp(1)) == pytest.approx(0.01)
    schedule.forget_older(5.0, world.now + 1000)
    assert schedule.round_trip_s(tcp(1)) is None


async def test_another_round_trip_is_no_news(autojump_clock: MockClock) -> None:
    scene = Scene(tcp(1))
    scene.takes_s = 0.01
    async with scene.probed(keep_alive_s=1000) as prober:
        await trio.sleep(5.5)
        assert prober.round_trip_s(tcp(1)) == pytest.approx(0.01)
        scene.reports.clear()
        scene.takes_s = 0.2
        await trio.sleep(5)
        assert prober.round_trip_s(tcp(1)) == pytest.approx(0.2)
        assert prober.round_trip_s(tcp(2)) is None
    assert scene.reports == []
