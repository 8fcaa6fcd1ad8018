"""The only place that reads clocks; three of them, always together, as one `Now`.

mono is trio's time, so that a mock clock drives every decision. boot is CLOCK_BOOTTIME, which
goes on while the machine sleeps: a lease must not outlive a suspend (clock_gettime(2)). wall is
for people and for what they set to end at a time of day; it may jump.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import trio

from dnslb.model.instant import Now


class Clock:
    """The clocks of this machine; `now` works only inside a trio run."""

    def now(self) -> Now:
        """This instant on all three clocks, in seconds."""
        return Now(mono=mono_s(), boot=boot_s(), wall=wall_s())


class FakeClock(Clock):
    """A clock for tests and simulations: all three follow trio's time and shift on command.

    ``boot_at`` and ``wall_at`` are what the two clocks show when trio's clock shows 0. Under
    `trio.testing.MockClock`, which starts at 0, everything repeats exactly.
    """

    def __init__(self, *, boot_at: float = 1_000.0, wall_at: float = 1_767_225_600.0) -> None:
        self._boot_offset = boot_at
        self._wall_offset = wall_at

    def now(self) -> Now:
        mono = mono_s()
        return Now(mono=mono, boot=mono + self._boot_offset, wall=mono + self._wall_offset)

    def jump_wall(self, seconds: float) -> None:
        """Someone sets the wall clock; ``seconds`` may be negative."""
        self._wall_offset += seconds

    def suspend(self, seconds: float) -> None:
        """The machine slept: boot and wall went on, trio's time did not."""
        if seconds < 0:
            raise ValueError(f"a machine cannot sleep for {seconds} s")
        self._boot_offset += seconds
        self._wall_offset += seconds


def mono_s() -> float:
    """Seconds on trio's clock, from no particular zero; works only inside a trio run."""
    return trio.current_time()


def boot_s() -> float:
    """Seconds since boot, suspend included; without suspend where there is no such clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def wall_s() -> float:
    """Seconds since 1970 on the clock that people see; works outside a trio run, too."""
    return time.time()


def monotonic_usec() -> int:
    """Microseconds of CLOCK_MONOTONIC, by which systemd orders what it is told."""
    return time.monotonic_ns() // 1000


def wall_jump_s(before: Now, after: Now) -> float:
    """By how many seconds the wall clock was set between two readings; 0 when it only ran.

    Boot time is the measure, so a suspend is no jump. Slewing by NTP (at most 500 ppm) shows as
    a small number: compare with a threshold.
    """
    return (after.wall - before.wall) - (after.boot - before.boot)


class StallWatch(trio.abc.Instrument):
    """Notices that the event loop stood still: from one wait of the loop to the next, to the
    millisecond, or in a wait, when it ended late (a process that was stopped).

    ``on_stall`` gets the seconds whenever they exceed ``limit_s``. Real time is the measure
    (CLOCK_MONOTONIC, so that a stopped process shows and a suspended machine does not).
    ``period_s``: no wait is longer, so that a process that was stopped for ``limit_s`` and that
    is always seen; each end of a wait costs a fifth of a millisecond.
    """

    def __init__(
        self,
        on_stall: Callable[[float], None],
        *,
        limit_s: float = 0.1,
        period_s: float = 0.05,
        read_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if limit_s <= 0 or period_s <= 0:
            raise ValueError("limit_s and period_s must be above 0")
        self._on_stall = on_stall
        self._limit_s = limit_s
        self._period_s = period_s
        self._read_s = read_s
        self._woke_at = math.inf
        self._due_at = math.inf
        self._late_s = 0.0
        self._noticed = trio.Event()

    async def run(self) -> None:
        """Watches until cancelled; works for one run at a time."""
        trio.lowlevel.add_instrument(self)
        try:
            while True:
                with trio.move_on_after(self._period_s):
                    await self._noticed.wait()
                if self._noticed.is_set():
                    late_s, self._late_s = self._late_s, 0.0
                    self._noticed = trio.Event()
                    self._on_stall(late_s)
        finally:
            trio.lowlevel.remove_instrument(self)

    def before_io_wait(self, timeout: float) -> None:
        """The loop has nothing left to do."""
        now = self._read_s()
        self._late_s = max(self._late_s, now - self._woke_at)
        self._due_at = now + timeout

    def after_io_wait(self, timeout: float) -> None:
        """Something came, or time is up; no task has run yet."""
        now = self._woke_at = self._read_s()
        self._late_s = max(self._late_s, now - self._due_at)
        if self._late_s > self._limit_s:
            self._noticed.set()
        else:
            self._late_s = 0.0
