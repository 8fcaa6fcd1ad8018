"""How many commands a cluster commits when many wait at once; beside it, what the disk takes.

Run: ``python tests/bench/bench_proposals.py``. Reported, not asserted. Three members in one
process, streams in memory, stores on disk: each commit is a transaction at the leader and one at
each follower, one after the other, so the floor is three bare ones.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.election.raft.store import SqliteStore
from tests.election.raft.town import Place, Town

RUN_S = 5.0
COMMAND = os.urandom(200)


def show(label: str, taken_s: list[float], run_s: float) -> None:
    taken = sorted(one * 1e3 for one in taken_s)
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
    rate = len(taken) / run_s
    print(f"{label:34} {rate:7.0f}/s  median {median:7.2f} ms  p99 {p99:7.2f} ms", flush=True)


def bare(directory: Path) -> None:
    """The same bytes in three databases in turn, set as ours are."""
    databases = []
    for name in "xyz":
        one = sqlite3.connect(directory / name, isolation_level=None)
        for pragma in ("locking_mode = exclusive", "journal_mode = wal", "synchronous = full"):
            one.execute(f"pragma {pragma}")
        one.execute("create table log (position integer primary key, command blob)")
        databases.append(one)
    taken = list[float]()
    began = time.perf_counter()
    while (at := time.perf_counter()) < began + RUN_S:
        for one in databases:
            one.execute("begin immediate")
            one.execute("insert into log (command) values (?)", (COMMAND,))
            one.execute("commit")
        taken.append(time.perf_counter() - at)
    show("three bare commits (baseline)", taken, RUN_S)
    for one in databases:
        one.close()


async def write(leader: Place, until: float, taken: list[float]) -> None:
    while (began := time.perf_counter()) < until:
        assert leader.node is not None
        await leader.node.propose(COMMAND)
        taken.append(time.perf_counter() - began)


async def measure(directory: Path) -> None:
    async with trio.open_nursery() as nursery:
        made = Town(nursery)
        for one in "abc":
            (directory / one).mkdir()
            made.places[one] = Place(one, SqliteStore(directory / one))
        await made.start("a", found=True)
        leader = await made.wait_leader()
        for other in "bc":
            await made.join(leader, other)
        for writers in (1, 4, 32):
            taken, until = list[float](), time.perf_counter() + RUN_S
            async with trio.open_nursery() as tasks:
                for _ in range(writers):
                    tasks.start_soon(write, leader, until, taken)
            show(f"{writers} at once, committed and applied", taken, RUN_S)
        nursery.cancel_scope.cancel()


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        bare(Path(name))
        trio.run(measure, Path(name))


if __name__ == "__main__":
    main()
