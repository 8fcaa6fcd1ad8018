"""How long from a deciding report to the replaced zone file; beside it, the bare file work.

Run: ``python tests/bench/bench_decision.py``. The daemon's parts are wired as in the daemon, in
this process; the report is handed over where the receiver hands it over. Reported, not asserted.
Goals: median ≤ 10 ms, p99 ≤ 50 ms.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import trio

from dnslb.daemon.instance import Instance
from dnslb.daemon.load import load_config
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import DOWN, UP, Report
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched

FLIPS = 200
ZONE = "$TTL 300\n@ IN SOA ns h ( 1 3600 600 86400 300 )\n IN NS ns\nns IN A 127.0.0.1\n"


class Told:
    """A source that tells what the bench says."""

    def __init__(self) -> None:
        self.ready = trio.Event()

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        self.deliver, self.monitors = deliver, monitors.value
        self.ready.set()
        await trio.sleep_forever()


def config_in(directory: Path, records: int) -> Path:
    zones = directory / "zones"
    zones.mkdir()
    (directory / "state").mkdir()
    more = "".join(f"host{i} IN A 192.0.2.{i % 250}\n" for i in range(records))
    (zones / "example.org.zone").write_text(ZONE + more)
    path = directory / "dnslb.toml"
    path.write_text(
        f'election = "singleton"\ninstance-identifier = "b"\nagents = ["a1", "a2", "a3"]\n'
        f'provider = "file"\nfile-dir = "{zones}"\nstate-dir = "{directory / "state"}"\n'
        f'control-socket = "{directory / "s.sock"}"\nzone-sync-interval-upload = 0.001\n'
        f'[lb."www.example.org"]\n'
        f'endpoints = ["tcp://192.0.2.1:80", "tcp://192.0.2.2:80", "tcp://192.0.2.3:80"]\n'
        f"up-after = 0\n"
    )
    return path


async def measure(directory: Path, records: int) -> list[float]:
    config = replace(
        load_config(["-cfg", str(config_in(directory, records))], {}), port_given=False
    )
    clock, told = Clock(), Told()
    instance = Instance(config, clock=clock, more_sources=(told,))
    taken: list[float] = []

    async def say(agent: str, vote: int) -> None:
        now = clock.now()
        votes = bytes([vote, UP, UP])
        await told.deliver(Report(agent, told.monitors, votes, now.mono, now.wall))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await told.ready.wait()
        for agent in config.agents:
            await say(agent, UP)
        await instance.status.wait_value(
            lambda s: (
                s.loadbalancers["www.example.org"].published is not None
                and len(s.loadbalancers["www.example.org"].published) == 3
            )
        )
        vote = UP
        for _ in range(FLIPS):
            await trio.sleep(0.01)
            vote = DOWN if vote == UP else UP
            # The third agent always says up: the second "down" decides, or the first "up".
            decides, other = ("a2", "a1") if vote == DOWN else ("a1", "a2")
            if vote == DOWN:
                await say(other, vote)
            await trio.sleep(0.005)
            seen, began = instance.log.revision, time.perf_counter()
            await say(decides, vote)
            await _applied(instance, seen)
            taken.append((time.perf_counter() - began) * 1e3)
            await say(other, vote)
        instance.stop()
    return taken


async def _applied(instance: Instance, seen: int) -> None:
    """Until the event log says that the write is done; polling the file would take the
    interpreter from the threads that write it."""
    while True:
        entries = instance.log.value
        if any(
            e.kind == "applied" for e in entries[len(entries) - (instance.log.revision - seen) :]
        ):
            return
        await instance.log.wait_changed(instance.log.revision)


def bare(directory: Path, text: bytes) -> list[float]:
    """Two files written, synced and renamed, as one decision needs: state and zone."""
    taken = []
    for _ in range(FLIPS):
        began = time.perf_counter()
        for name in ("state", "zone"):
            temporary = directory / f"{name}.tmp"
            with temporary.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(directory / f"bare-{name}")
            handle = os.open(directory, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def show(label: str, taken: list[float]) -> float:
    taken.sort()
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99) - 1]
    print(f"{label:46} median {median:6.2f} ms   p99 {p99:6.2f} ms   max {taken[-1]:6.2f} ms")
    return median


def main() -> None:
    for records in (0, 1000):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            ours = show(
                f"report -> zone file, {records} other records",
                trio.run(measure, directory, records),
            )
            text = (directory / "zones" / "example.org.zone").read_bytes()
            floor = show("bare: 2 x write, fsync, rename, fsync dir", bare(directory, text))
            print(f"{'ratio of medians':46} {ours / floor:6.2f}")


if __name__ == "__main__":
    main()
