"""How long showing 10,000 endpoints of five agents holds the event loop.

Not a test: `python tests/bench/bench_control.py` prints, for many small and for few large load
balancers, the longest single turn and the whole. The baseline is the same list encoded at once
by json.dumps. The goal: no turn above 20 ms.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.control.delta import Places, Sight, delta_between, snapshot_pieces
from dnslb.control.pieces import endpoint_pieces, to_json
from dnslb.control.views import endpoint_message, status_message
from dnslb.control.votes import Votes
from dnslb.metrics.counters import Counters
from dnslb.metrics.families import BuildInfo, families
from tests.decide.world import World, balancer, settings
from tests.doubles.operations import ALONE, INFO

SHAPES = ((2000, 5), (10, 1000))
ROUNDS = 5


def world(loadbalancers: int, each: int) -> World:
    addresses = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(1, 1_000_000))
    made = [
        balancer(f"name-{i}.example.org", *(next(addresses) for _ in range(each)))
        for i in range(loadbalancers)
    ]
    found = World(settings(*made, agents=tuple(f"agent-{i}" for i in range(5)))).start()
    found.vote_all("up")
    found.wait(5)
    return found


def sight(of: World) -> Sight:
    message = status_message(INFO, of.status, ALONE, of.now)
    return Sight(of.status, 1, ALONE, (), 0, message, of.now)


def turns_ms(parts: Iterator[object]) -> list[float]:
    """How long each part takes to come."""
    turns: list[float] = []
    while True:
        began = time.perf_counter()
        found = next(parts, None)
        if found is None:
            return turns
        turns.append((time.perf_counter() - began) * 1e3)


def show(name: str, measure: Callable[[], list[float]]) -> None:
    rounds = [measure() for _ in range(ROUNDS)]
    longest, whole = max(map(max, rounds)), sorted(map(sum, rounds))[ROUNDS // 2]
    print(f"  {name:34}{longest:9.1f} ms{whole:9.1f} ms")


def once(call: Callable[[], object]) -> list[float]:
    began = time.perf_counter()
    call()
    return [(time.perf_counter() - began) * 1e3]


def delta_turns_ms(before: Sight, after: Sight, places: Places) -> list[float]:
    began = time.perf_counter()
    delta = delta_between(before, after, places)
    found_ms = (time.perf_counter() - began) * 1e3
    assert delta is not None
    return [found_ms, *turns_ms(delta.pieces(1))]


def naive(of: World) -> str:
    votes = Votes(of.status, of.now)
    rows = [
        endpoint_message(view.name, endpoint, votes.of(endpoint))
        for view in of.status.loadbalancers.values()
        for endpoint in view.endpoints
    ]
    return json.dumps(rows)


def measure_shape(of: World) -> None:
    build = BuildInfo("0", "singleton", "memory", "here", of.now)
    before = sight(of)

    def metrics() -> Iterator[str]:
        for family in families(of.status, ALONE, Counters(), build, of.now):
            yield family.text()

    show("baseline: json.dumps at once", lambda: once(lambda: naive(of)))
    show("endpoints", lambda: turns_ms(endpoint_pieces(of.status, of.now)))
    show("status", lambda: once(lambda: to_json(sight(of).message)))
    show("watch: snapshot", lambda: turns_ms(snapshot_pieces(1, before)))
    show("metrics", lambda: turns_ms(metrics()))
    places = Places()
    list(places.learn(of.status))
    monitors = of.status.monitors.monitors
    for count in (1, 200):
        of.vote("agent-0", {m.host: "down" for m in monitors[: count * 2 : 2]})
        show(f"watch: delta of {count} votes", partial(delta_turns_ms, before, sight(of), places))


def main() -> None:
    for shape in SHAPES:
        print(f"{shape[0]} x {shape[1]} endpoints{'longest turn':>28}{'whole':>12}")
        measure_shape(world(*shape))


if __name__ == "__main__":
    main()
