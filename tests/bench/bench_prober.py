"""What the prober costs, beside the least that trio needs to make the same connections.

    python tests/bench/bench_prober.py [--seconds S] [--interval S] [--rates R ...]

Rows: ``bare`` is one task that connects, waits until writable and closes, one after another, at
the given rate; ``task`` starts a task with a time-out for each; ``prober`` is dnslb's, with one
endpoint a check (rate × interval of them), state, votes and reports included. Costs are processor
time of this process, kernel included, per check. ``gap`` is between two starts of one endpoint, as
a multiple of its interval. Targets are on loopback, served by one process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import Report
from dnslb.net.watchable import Watchable
from dnslb.sources.checks.checker import Checker
from dnslb.sources.checks.result import CheckResult, Flight
from dnslb.sources.checks.trust import Trust
from dnslb.sources.probe import Probe
from dnslb.sources.prober import Prober
from dnslb.sources.schedule import Schedule

SECONDS_MAX = 60.0
RATE_MAX = 30_000
WARM_UP_S = 2.5

LISTENER = """
import socket
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(4096)
print(listener.getsockname()[1], flush=True)
while True:
    listener.accept()[0].close()
"""


class Cost(NamedTuple):
    """Of one run: checks made, processor seconds, wall seconds."""

    checks: int
    cpu_s: float
    wall_s: float

    @property
    def us_each(self) -> float:
        return self.cpu_s / self.checks * 1e6

    @property
    def core(self) -> float:
        return self.cpu_s / self.wall_s


@contextlib.contextmanager
def target() -> Iterator[int]:
    """The port of a process that accepts and closes."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", LISTENER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def connect_bare(port: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.connect_ex(("127.0.0.1", port))
        await trio.lowlevel.wait_writable(sock)
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
    finally:
        sock.close()


async def connect_timed(port: int) -> None:
    with trio.fail_after(1):
        await connect_bare(port)


async def bare(port: int, rate: int, seconds: float, *, tasks: bool) -> Cost:
    count = int(rate * seconds)
    start_at, cpu_s = trio.current_time(), time.process_time()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            await trio.sleep_until(start_at + number / rate)
            if tasks:
                nursery.start_soon(connect_timed, port)
            else:
                await connect_bare(port)
    return Cost(count, time.process_time() - cpu_s, trio.current_time() - start_at)


class Noting(Checker[Probe]):
    """Checks that note when each starts."""

    started: dict[Probe, float]
    gaps: list[float]

    def start(self, key: Probe, monitor: Monitor) -> Flight | CheckResult:
        now, started = time.monotonic(), self.started
        if key in started:
            self.gaps.append((now - started[key]) / monitor.interval_s)
        started[key] = now
        return super().start(key, monitor)


def endpoints(port: int, count: int, interval_s: float) -> MonitorList:
    """``count`` different monitors of the one listener."""
    return MonitorList(
        tuple(
            Monitor("tcp", "127.0.0.1", port, interval_s=interval_s, host_header=f"n{number}")
            for number in range(count)
        ),
        (),
    )


async def probed(port: int, rate: int, seconds: float, interval_s: float) -> tuple[Cost, str]:
    gaps: list[float] = []

    def noting(nursery: trio.Nursery, trust: Trust, wake: Callable[[], None]) -> Noting:
        checks = Noting(nursery, trust, wake)
        checks.started, checks.gaps = {}, gaps
        return checks

    prober = Prober("bench", open_checks=noting)
    watched = Watchable(endpoints(port, int(rate * interval_s), interval_s))
    reports: list[Report] = []

    async def deliver(report: Report) -> None:
        reports.append(report)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(prober.run, deliver, watched)
        await trio.sleep(WARM_UP_S)
        gaps.clear()
        checks, skipped = prober.counts.started, prober.counts.skipped
        start_at, cpu_s = trio.current_time(), time.process_time()
        await trio.sleep(seconds)
        cost = Cost(
            max(1, prober.counts.started - checks),
            time.process_time() - cpu_s,
            trio.current_time() - start_at,
        )
        nursery.cancel_scope.cancel()
    gaps.sort()
    note = (
        f"gap p50 {gaps[len(gaps) // 2]:.3f}  p99 {gaps[len(gaps) * 99 // 100]:.3f}  "
        f"max {gaps[-1]:.3f}  skipped {prober.counts.skipped - skipped}  "
        f"not good {prober.counts.started - prober.counts.good - prober.in_flight}  "
        f"in flight at most {prober.counts.in_flight_peak}"
    )
    return cost, note


def adoption_ms(count: int) -> dict[str, float]:
    """How long what is done for ``count`` monitors in one piece holds the event loop up."""
    schedule = Schedule(concurrency=1000)
    wanted, same = endpoints(1, count, 30.0), endpoints(1, count, 30.0)
    works: dict[str, Callable[[], object]] = {
        "expect 500 of them": lambda: schedule.expect(wanted.monitors[:500], 0.0),
        "expect the rest": lambda: schedule.expect(wanted.monitors[500:], 0.0),
        "adopt": lambda: schedule.adopt(wanted, 0.0),
        "adopt again": lambda: schedule.adopt(same, 1.0),
        "void": lambda: schedule.void(2.0),
    }
    found = {}
    for name, work in works.items():
        began_at = time.perf_counter()
        work()
        found[name] = (time.perf_counter() - began_at) * 1e3
    return found


def row(rate: int, name: str, cost: Cost, base: Cost | None, note: str = "") -> None:
    ratio = f"{cost.us_each / base.us_each:5.2f} ×" if base else "       "
    print(
        f"{rate:6} /s  {name:7} {cost.us_each:6.0f} µs a check {ratio}  "
        f"{cost.core:6.1%} of a core  {cost.checks / cost.wall_s:7.0f} /s reached  {note}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 12000])
    wanted = parser.parse_args()
    seconds = min(wanted.seconds, SECONDS_MAX)
    with target() as port:
        for rate in (min(rate, RATE_MAX) for rate in wanted.rates):
            base = trio.run(functools.partial(bare, port, rate, seconds, tasks=False))
            row(rate, "bare", base, None)
            task = trio.run(functools.partial(bare, port, rate, seconds, tasks=True))
            row(rate, "task", task, base)
            cost, note = trio.run(probed, port, rate, seconds, wanted.interval)
            row(rate, "prober", cost, base, note)
    pieces = ", ".join(f"{name} {ms:.1f} ms" for name, ms in adoption_ms(10_000).items())
    print(f"10,000 monitors: {pieces}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
