"""One agent's posts against the clock: what waits, what is coalesced, what comes first."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st
from trio.testing import MockClock

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import FakeClock
from dnslb.sources.healthd_codec import WireMonitors
from dnslb.sources.healthd_intake import (
    POSTS_BURST,
    POSTS_PER_S,
    WAITING_MAX,
    Allowance,
    Intake,
    Post,
    TooFast,
)

ONE = Monitor("tcp", "10.0.0.1", 80)
TWO = Monitor("tcp", "10.0.0.2", 80)
WIRE = WireMonitors(MonitorList((ONE, TWO), (0, 1)))
BURST = int(POSTS_BURST)


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.counts: Counter[str] = Counter()
        self.reports: list[Report] = []
        self.told_at: list[float] = []
        self.wire = WIRE
        self.trusted = True
        self.slow_s = 0.0
        self.intake = Intake(
            "fra-1", self.deliver, self.clock, self.counts, lambda fetched: self.trusted
        )

    async def deliver(self, report: Report) -> None:
        await trio.sleep(self.slow_s)
        self.reports.append(report)
        self.told_at.append(self.clock.now().mono)

    def post(self, *healthy: bool) -> Post:
        statuses = [
            {"IP": monitor.host, "Port": 80, "Healthy": one}
            for monitor, one in zip((ONE, TWO), healthy, strict=False)
        ]
        return Post(json.dumps(statuses).encode(), False, self.clock.now())

    async def take(self, nursery: trio.Nursery, post: Post) -> None:
        await self.intake.take(post, lambda: self.wire, nursery)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_posts_within_the_allowance_are_told_at_once(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    assert len(stage.reports) == BURST
    assert stage.told_at == [0.0] * BURST


async def test_above_the_allowance_the_newest_is_told_when_its_turn_comes(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    async with trio.open_nursery() as late:
        for healthy in (True, True, False):
            late.start_soon(stage.take, nursery, stage.post(healthy, True))
            await trio.testing.wait_all_tasks_blocked()
        assert len(stage.reports) == BURST
    assert len(stage.reports) == BURST + 1
    assert stage.reports[-1].votes == bytes([DOWN, UP])
    assert stage.told_at[-1] == pytest.approx(1 / POSTS_PER_S)
    assert stage.counts["coalesced"] == 2


async def test_a_post_that_waited_keeps_the_instant_of_its_arrival(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    await stage.take(nursery, stage.post(True, False))
    assert stage.reports[-1].arrived_mono == 0.0
    assert stage.told_at[-1] > 0.0


async def test_the_newest_is_told_even_when_its_sender_has_hung_up(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    with trio.move_on_after(0.001):
        await stage.take(nursery, stage.post(False, False))
    assert len(stage.reports) == BURST
    await trio.sleep(1)
    assert stage.reports[-1].votes == bytes([DOWN, DOWN])


async def test_too_many_that_wait_are_put_off_but_the_newest_is_kept(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    async with trio.open_nursery() as late:
        for _ in range(WAITING_MAX):
            late.start_soon(stage.take, nursery, stage.post(True, True))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(TooFast):
            await stage.take(nursery, stage.post(False, True))
    assert stage.reports[-1].votes == bytes([DOWN, UP])
    assert len(stage.reports) == BURST + 1


async def test_who_keeps_posting_too_fast_is_told_at_the_allowed_rate(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as flood:
        for n in range(1000):
            flood.start_soon(stage.take, nursery, stage.post(n % 2 == 0, True))
            await trio.sleep(0.004)
    assert BURST + 4 * POSTS_PER_S - 2 <= len(stage.reports) <= BURST + 4 * POSTS_PER_S + 2
    assert stage.reports[-1].votes == bytes([DOWN, UP])
    arrivals = [report.arrived_mono for report in stage.reports]
    assert arrivals == sorted(arrivals)


async def test_a_newer_post_never_overtakes_an_older_one(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stage.slow_s = 0.5
    async with trio.open_nursery() as both:
        for healthy in (True, False, True, False):
            both.start_soon(stage.take, nursery, stage.post(healthy, True))
            await trio.testing.wait_all_tasks_blocked()
    assert [report.votes[0] for report in stage.reports] == [UP, DOWN, UP, DOWN]


async def test_a_malformed_post_that_waited_is_refused_too(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for _ in range(BURST):
        await stage.take(nursery, stage.post(True, True))
    with pytest.raises(SourceError, match="truncated"):
        await stage.take(nursery, Post(b"[", False, stage.clock.now()))
    await stage.take(nursery, stage.post(False, True))
    assert stage.reports[-1].votes == bytes([DOWN, UP])


async def test_an_unchanged_body_is_the_same_votes_later(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await stage.take(nursery, stage.post(True, False))
    await trio.sleep(30)
    await stage.take(nursery, stage.post(True, False))
    first, second = stage.reports
    assert second.votes is first.votes
    assert second.messages is first.messages
    assert (first.arrived_mono, second.arrived_mono) == (0.0, 30.0)
    assert second.arrived_wall - first.arrived_wall == 30.0


async def test_an_unchanged_body_means_something_else_against_another_list(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await stage.take(nursery, stage.post(True, False))
    stage.wire = WireMonitors(MonitorList((TWO, ONE, Monitor("tcp", "10.0.0.3", 80)), (0, 1, 2)))
    await stage.take(nursery, stage.post(True, False))
    assert stage.reports[-1].votes == bytes([DOWN, UP, UNKNOWN])
    assert stage.reports[-1].monitors is stage.wire.monitors


async def test_an_unchanged_body_is_read_again_when_its_order_is_no_longer_trusted(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    http = Monitor("http", "10.0.0.1", 80)
    stage.wire = WireMonitors(MonitorList((ONE, http), (0, 1)))
    entry = {"IP": "10.0.0.1", "Port": 80}
    body = json.dumps([{**entry, "Healthy": True}, {**entry, "Healthy": False}]).encode()
    await stage.take(nursery, Post(body, False, stage.clock.now()))
    stage.trusted = False
    await stage.take(nursery, Post(body, False, stage.clock.now()))
    assert [report.votes for report in stage.reports] == [
        bytes([UP, DOWN]),
        bytes([UNKNOWN, UNKNOWN]),
    ]


async def test_what_is_forgotten_is_read_again(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await stage.take(nursery, stage.post(True, False))
    assert stage.intake.kept_bytes > 0
    stage.intake.forget()
    assert stage.intake.kept_bytes == 0
    await stage.take(nursery, stage.post(True, False))
    assert stage.counts["unchanged"] == 0
    assert stage.reports[0].votes == stage.reports[1].votes


@given(st.lists(st.floats(0, 1), max_size=200))
def test_an_allowance_is_never_exceeded(gaps: list[float]) -> None:
    allowance, now, taken = Allowance(5.0, 10.0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += allowance.take(now)
        assert taken <= 10.0 + 5.0 * now + 1e-6
