"""Three clocks in one value, jumps of the wall clock, stalls of the loop."""

from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

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


async def test_a_stall_is_noticed(autojump_clock: MockClock) -> None:
    stalls: list[float] = []
    # When each sleep began and ended, by the machine's clock: in time, 60 ms late, 200 ms late.
    readings = iter([0.0, 0.025, 1.0, 1.085, 2.0, 2.225])

    def read_s() -> float:
        try:
            return next(readings)
        except StopIteration:
            nursery.cancel_scope.cancel()
            return 0.0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(StallWatch(stalls.append, limit_s=0.1, read_s=read_s).run)
    assert stalls == [pytest.approx(0.2)]


def test_a_stall_watch_needs_time() -> None:
    with pytest.raises(ValueError, match="above 0"):
        StallWatch(print, limit_s=0)
