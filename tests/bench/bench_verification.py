"""How soon the servers' answers are known: what asking takes beside the bare exchange.

python -m tests.bench.bench_verification   real named servers on loopback, real clocks
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from dnslb.model.publication import Expected, Sighting
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.clock import Clock, StallWatch
from dnslb.verify.answer import question
from dnslb.verify.exchange import Exchange
from dnslb.verify.servers import ServerFinder
from dnslb.verify.watch import Watch
from tests.system.named import Named, NamedZone

ZONE, VALUES = "example.org", ("192.0.2.1", "192.0.2.2")
NAMES = 1000
CHANGES = 200


def expected(names: int) -> dict[RRsetKey, Expected]:
    now = Clock().now()
    keys = [RRsetKey(f"n{i}.{ZONE}", "A") for i in range(names)]
    return {k: Expected(k, RRset(k, 60, VALUES), "plan", now.mono, now.wall) for k in keys}


def bare_s(server: Named, times: int) -> list[float]:
    """Question and answer over a socket of its own, without any library around it."""
    took = []
    for _ in range(times):
        wire = question(f"n0.{ZONE}", "A").to_wire()
        began = time.perf_counter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(server.address)
            udp.send(wire)
            udp.recv(4096)
        took.append(time.perf_counter() - began)
    return took


class Run:
    """A watch over these servers, which have everything already."""

    def __init__(self, *servers: Named) -> None:
        finder = ServerFinder(Exchange(), named=tuple(server.address for server in servers))
        self._watch = Watch(finder, Exchange(), Clock(), 60.0)
        self._missing = 0
        self._done = trio.Event()
        self.stalls: list[float] = []

    def _take(self, sighting: Sighting) -> None:
        self._missing -= len(sighting.seen)
        if not self._missing:
            self._done.set()

    async def changes(self, names: int, times: int) -> list[float]:
        took = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.run, self._take)
            nursery.start_soon(StallWatch(self.stalls.append, limit_s=0.005).run)
            for _ in range(times):
                self._missing, self._done = names, trio.Event()
                began = time.perf_counter()
                self._watch.expect_nowait(ZONE, expected(names))
                await self._done.wait()
                took.append(time.perf_counter() - began)
            nursery.cancel_scope.cancel()
        return took


@contextlib.contextmanager
def servers(count: int) -> Iterator[list[Named]]:
    records = "".join(f"n{i} A {value}\n" for i in range(NAMES) for value in VALUES)
    with tempfile.TemporaryDirectory() as directory:
        started: list[Named] = []
        try:
            for i in range(count):
                place = Path(directory, str(i))
                started.append(Named(place, NamedZone(ZONE, records, "")))
            yield started
        finally:
            for server in started:
                server.stop()


def main() -> None:
    with servers(3) as three:
        bare = statistics.median(bare_s(three[0], CHANGES))
        print(f"bare question and answer          {bare * 1000:8.2f} ms (median of {CHANGES})")
        for count in (1, 3):
            took = trio.run(Run(*three[:count]).changes, 1, CHANGES)
            median, worst = statistics.median(took), max(took)
            print(
                f"one change, {count} server{'s' if count > 1 else ' '}             "
                f"{median * 1000:8.2f} ms, worst {worst * 1000:.2f} ms; {median / bare:.1f} x bare"
            )
        run = Run(*three)
        began_cpu = time.process_time()
        (took_s,) = trio.run(run.changes, NAMES, 1)
        cpu_s, questions = time.process_time() - began_cpu, 3 * NAMES
        floor_s = sum(bare_s(three[0], NAMES)) * 3
        stall_ms = max(run.stalls, default=0.0) * 1000
        print(
            f"{NAMES} changes at once, 3 servers   {took_s * 1000:8.0f} ms, "
            f"{took_s / floor_s:.1f} x as many bare ones in a row; {questions} questions, "
            f"{cpu_s / questions * 1000:.2f} ms of CPU each; longest stall {stall_ms:.0f} ms"
        )


if __name__ == "__main__":
    main()
