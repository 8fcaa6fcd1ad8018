"""What deciding costs for 10,000 endpoints and five agents; beside it, a bare count of the votes.

Run: ``python tests/bench/bench_controller.py``. Reported, not asserted. Goals: an unchanged report
0.2 ms, one with a change 5 ms parsing included, a full recompute 20 ms, no step over 20 ms. A full
recompute is cut into steps; both the sum and the longest step are shown.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.decide.events import ReportArrived, Woke
from dnslb.model.report import DOWN, UP, Report
from tests.decide.world import World, balancer, settings

AGENTS = ("a1", "a2", "a3", "a4", "a5")


def show(label: str, taken: list[float], note: str = "") -> None:
    taken.sort()
    middle, most = taken[len(taken) // 2] * 1e3, taken[-1] * 1e3
    print(f"  {label:44} median {middle:8.3f} ms   max {most:8.3f} ms   {note}")


def timed(act: Callable[[], object], times: int = 1) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return taken


class Bench:
    def __init__(self, loadbalancers: int, each: int) -> None:
        lbs = [
            balancer(f"lb{i}.example.org", *[f"10.{i // 200}.{i % 200}.{j}" for j in range(each)])
            for i in range(loadbalancers)
        ]
        self.world = World(settings(*lbs, agents=AGENTS)).start()
        self.monitors = self.world.settings.monitors
        self.up = bytes([UP]) * len(self.monitors)
        for agent in AGENTS:
            self.world.feed(ReportArrived(self.report(agent, self.up)))
        self.world.wait(4, keep_fresh=False)

    def report(self, agent: str, votes: bytes) -> Report:
        now = self.world.now
        return Report(agent, self.monitors, votes, now.mono, now.wall)

    def step(self, agent: str, votes: bytes) -> None:
        self.world.controller.step(ReportArrived(self.report(agent, votes)), self.world.now)

    def turned(self, index: int) -> bytes:
        votes = bytearray(self.up)
        votes[index] = DOWN
        return bytes(votes)

    def recompute(self, votes: bytes) -> list[float]:
        """Three agents turn at once; how long each step takes until nothing is left over."""
        for agent in AGENTS[:2]:
            self.world.feed(ReportArrived(self.report(agent, votes)))
        taken = timed(lambda: self.step(AGENTS[2], votes))
        while self.world.controller.is_busy:
            taken += timed(lambda: self.world.controller.step(Woke(), self.world.now))
        return taken


def bare(monitors: int) -> list[float]:
    """The votes of five reports counted in dictionaries, nothing decided."""
    reports = [dict.fromkeys(range(monitors), True) for _ in AGENTS]

    def count() -> None:
        ups: Counter[int] = Counter()
        for report in reports:
            ups.update(i for i, healthy in report.items() if healthy)

    return timed(count, 5)


def measure(bench: Bench) -> None:
    show("baseline: votes counted in dictionaries", bare(len(bench.monitors)))
    show("an unchanged report", timed(lambda: bench.step("a1", bench.up), 100))
    turns = iter([bench.turned(7), bench.up] * 25)
    show("a report with one change", timed(lambda: bench.step("a1", next(turns)), 50))
    for label, votes in (("all down", bytes([DOWN]) * len(bench.up)), ("all up", bench.up)):
        steps = bench.recompute(votes)
        show(f"full recompute, {label}: one step", steps, f"sum {sum(steps) * 1e3:.1f} ms")


def main() -> None:
    for loadbalancers, each in ((100, 100), (2500, 4)):
        print(f"{loadbalancers} load balancers of {each} endpoints, {len(AGENTS)} agents")
        measure(Bench(loadbalancers, each))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  peak memory so far {peak:.0f} MB")


if __name__ == "__main__":
    main()
