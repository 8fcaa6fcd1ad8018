"""Three clocks in one value, jumps of the wall clock, stalls of the loop."""

from __future__ import annotations

import math
import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dnslb.model.instant import Now
from dnslb.net.clock import Clock, FakeClock, StallWatch, boot_s, mono_s, wall_jump_s


async def test_mono_follows_trio(autojump_clock: MockClock) -> None:
    clock = Clock()
    began = clock.now()
    await trio.sleep(1000)
    assert clock.now().mono == began.mono + 1000 == mono_s()


async def test_boot_and_wall_are_the_machines() -> None:
    before, now, after = (boot_s(), time.time()), Clock().now(), (boot_s(), time.time())
    assert before[0] <= now.boot <= after[0]
    assert before[1] <= now.wall <= after[1]


def test_boot_time_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    before = time.monotonic()
    assert before <= boot_s() <= time.monotonic()


async def test_the_fake_clock_moves_as_told(autojump_clock: MockClock) -> None:
    clock = FakeClock(boot_at=100, wall_at=5000)
    assert clock.now() == Now(mono=0, boot=100, wall=5000)
    await trio.sleep(2)
    clock.jump_wall(-30)
    clock.suspend(7)
    assert clock.now() == Now(mono=2, boot=109, wall=4979)
    with pytest.raises(ValueError, match="cannot sleep"):
        clock.suspend(-1)


async def test_a_jump_is_told_from_a_suspend(autojump_clock: MockClock) -> None:
    clock = FakeClock()
    before = clock.now()
    await trio.sleep(10)
    clock.suspend(3600)
    assert wall_jump_s(before, clock.now()) == 0
    clock.jump_wall(-30)
    assert wall_jump_s(before, clock.now()) == -30


async def watched(*waits: tuple[float, float, float]) -> list[float]:
    """What is told when the loop begins to wait at an instant of the machine's clock, for at most
    so long, and goes on at another instant."""
    stalls: list[float] = []
    reading = 0.0
    watch = StallWatch(stalls.append, limit_s=0.1, period_s=60, read_s=lambda: reading)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(watch)
        watch.before_io_wait(math.inf)
        for begins, timeout_s, ends in waits:
            reading = begins
            watch.before_io_wait(timeout_s)
            reading = ends
            watch.after_io_wait(timeout_s)
            await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(watch)
        nursery.cancel_scope.cancel()
    return stalls


async def test_a_stall_is_noticed(autojump_clock: MockClock) -> None:
    assert await watched((0.0, 0.025, 0.025), (0.085, 0.01, 0.155), (0.2, math.inf, 99.0)) == []
    # A task that took too long; a wait that ended late.
    assert await watched((0.0, 1.0, 0.5), (0.75, 0.0, 0.75)) == [pytest.approx(0.25)]
    assert await watched((0.0, 1.0, 0.5), (0.5, 0.2, 0.9)) == [pytest.approx(0.2)]
    # Each is told once.
    late = (0.0, 0.1, 0.3), (0.3, 0.1, 0.4), (0.6, 0.1, 0.7)
    assert await watched(*late) == [pytest.approx(0.2), pytest.approx(0.2)]


async def test_a_loop_that_stands_still_is_noticed() -> None:
    stalls: list[float] = []

    def stalled(late_s: float) -> None:
        stalls.append(late_s)
        nursery.cancel_scope.cancel()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(StallWatch(stalled, limit_s=0.02, period_s=0.01).run)
            await wait_all_tasks_blocked()
            time.sleep(0.05)  # noqa: ASYNC251 - this very thing
    assert stalls[0] > 0.045


def test_a_stall_watch_needs_time() -> None:
    with pytest.raises(ValueError, match="above 0"):
        StallWatch(print, limit_s=0)
