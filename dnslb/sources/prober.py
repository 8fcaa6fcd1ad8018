"""The built-in prober: a source that checks the monitors itself, each at its own cadence.

Not the place where a check is scheduled or judged (`schedule.py`, pure) or carried out
(`checks/`): this is the loop between the two, and the teller of reports.

A report goes out at each change of a vote, when a round is complete, when the monitor list
changes, and after ``keep_alive_s`` of silence. Changes of one turn of the event loop are one
report; in a mass failure at most `NEWS_RATE` reports leave per second.

Law: nothing is judged before the loop has looked at its own lateness. After a stall, whatever
was under way is thrown away (`Prober.void_in_flight`), since a time-out that fell into it is
ours; and no report is ``complete`` until every monitor has been checked again.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import trio

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import Clock, mono_s
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.sources.checks.checker import Checker
from dnslb.sources.checks.result import CheckResult, Flight
from dnslb.sources.checks.trust import Trust
from dnslb.sources.probe import NEVER, Probe
from dnslb.sources.schedule import ProberCounts, Schedule

KEEP_ALIVE_S = 10.0
NEWS_RATE = 100.0
STALL_S = 0.1
"""What `safety.md` 3.2 calls a stall of the event loop."""

_HEARTBEAT_S = 0.05
_CONCURRENCY_MAX = 10_000
_CHUNK = 500


class Checks(Protocol):
    """How checks are carried out; `Checker` is the real one."""

    def start(self, key: Probe, monitor: Monitor) -> Flight | CheckResult: ...

    async def wait(self) -> None: ...

    def collect(self) -> list[tuple[Probe, CheckResult]]: ...


OpenChecks = Callable[[trio.Nursery, Trust, Callable[[], None]], AbstractContextManager[Checks]]
"""Gets a nursery for its tasks, whom to trust, and what to call when a task has a result."""


def default_concurrency() -> int:
    """Half of the file descriptors that this process may have: the rest is for everybody else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONCURRENCY_MAX
    return max(1, min(soft // 2, _CONCURRENCY_MAX))


class Prober:
    """A `Source` whose reports are those of ``agent``.

    ``concurrency``: checks under way at most. ``age_s_max``: after how many seconds without a
    check, beyond its interval and time-out, a vote becomes "unknown".
    """

    def __init__(
        self,
        agent: str,
        *,
        clock: Clock | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        age_s_max: float = 45.0,
        concurrency: int | None = None,
        trust: Trust | None = None,
        open_checks: OpenChecks = Checker[Probe],
    ) -> None:
        if keep_alive_s <= 0 or age_s_max <= 0:
            raise ValueError("keep_alive_s and age_s_max must be above 0")
        self._agent = agent
        self._clock = clock or Clock()
        self._keep_alive_s = keep_alive_s
        self._age_s_max = age_s_max
        self._trust = trust or Trust()
        self._open_checks = open_checks
        self._schedule = Schedule(concurrency or default_concurrency())
        self._nap = trio.CancelScope()
        self._news = trio.Event()

    @property
    def counts(self) -> ProberCounts:
        """Totals since the start, kept up to date."""
        return self._schedule.counts

    @property
    def in_flight(self) -> int:
        """Checks under way now."""
        return self._schedule.in_flight

    def round_trip_s(self, monitor: Monitor) -> float | None:
        """Seconds from the start of the last check of ``monitor`` to its answer, our own
        lateness included (below `STALL_S`); None where no answer came, or none was awaited."""
        return self._schedule.round_trip_s(monitor)

    def void_in_flight(self) -> None:
        """The event loop stood still: checks under way are thrown away and made again at once,
        and the next complete report is one whose checks all began after this call.

        The prober notices a stall by itself too; to call it twice costs a check more.
        """
        self._cancel(self._schedule.void(self._clock.now().mono))
        self._nap.cancel()

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        """Checks ``monitors`` until cancelled. Raises `LocalError` when it cannot start."""
        async with trio.open_nursery() as nursery:
            with self._open_checks(nursery, self._trust, self._wake) as checks:
                nursery.start_soon(self._follow, monitors)
                nursery.start_soon(self._tell, deliver)
                await self._probe(checks)

    def _wake(self) -> None:
        self._nap.cancel()

    # ------------------------------------------------------------------- the monitor list

    async def _follow(self, monitors: Watched[MonitorList]) -> None:
        while True:
            revision, wanted = monitors.revision, monitors.value
            if any(monitor.protocol == "https" for monitor in wanted.monitors):
                await self._trust.prepare()
            for first in range(0, len(wanted), _CHUNK):
                now = self._clock.now().mono
                self._schedule.expect(wanted.monitors[first : first + _CHUNK], now)
                await trio.lowlevel.checkpoint()
            self._cancel(self._schedule.adopt(wanted, self._clock.now().mono))
            self._publish()
            self._nap.cancel()
            await monitors.wait_changed(revision)

    # ------------------------------------------------------------------------- the checks

    async def _probe(self, checks: Checks) -> None:
        schedule, clock = self._schedule, self._clock
        expected_at = NEVER
        while True:
            now = clock.now().mono
            if now - expected_at > STALL_S:
                self._cancel(schedule.void(now))
            for probe, result in checks.collect():
                schedule.ended(probe, result, now)
            expired, starting = schedule.turn(now)
            self._cancel(expired)
            for probe in starting:
                probe.asked_at = mono_s()  # a turn starts many, each some 50 µs after the last
                started = checks.start(probe, probe.monitor)
                if isinstance(started, CheckResult):
                    schedule.ended(probe, started, now)
                else:
                    probe.flight = started
            if schedule.has_news:
                self._publish()
            expected_at = await self._rest(checks)

    async def _rest(self, checks: Checks) -> float:
        """Waits for something to do; returns when it should have been found at the latest."""
        now = self._clock.now().mono
        due_at = self._schedule.next_at()
        if self._schedule.in_flight:
            # Awake often enough to notice a stall, which the next time-out may lie beyond.
            due_at = min(due_at, now + _HEARTBEAT_S)
        if due_at <= now:
            await trio.lowlevel.checkpoint()
            return now
        with trio.CancelScope(deadline=due_at) as self._nap:
            await checks.wait()
        return due_at

    @staticmethod
    def _cancel(flights: list[Flight]) -> None:
        for flight in flights:
            flight.cancel()

    # ------------------------------------------------------------------------ the reports

    def _publish(self) -> None:
        self._schedule.has_news = False
        self._news.set()

    async def _tell(self, deliver: Deliver) -> None:
        while True:
            with trio.move_on_after(self._keep_alive_s):
                await self._news.wait()
            self._schedule.forget_older(self._age_s_max, self._clock.now().mono)
            self._schedule.has_news = False
            self._news = trio.Event()
            await deliver(self._report())
            await trio.sleep(1 / NEWS_RATE)

    def _report(self) -> Report:
        now, schedule = self._clock.now(), self._schedule
        return Report(
            agent=self._agent,
            monitors=schedule.monitors,
            votes=schedule.votes,
            messages=schedule.messages,
            arrived_mono=now.mono,
            arrived_wall=now.wall,
            complete=schedule.is_complete,
            via="prober",
        )
