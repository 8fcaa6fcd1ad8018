"""What it costs to make the state of a single instance durable; beside it, what the disk takes.

Run: ``python tests/bench/bench_statefile.py``. Reported, not asserted. The floor is a write into
blocks that a file has already, and its fdatasync; the rest is the thread that waits for it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.election.statefile import StateFileStore
from dnslb.net.clock import Clock
from tests.election.test_statefile import CHANGES

ROUNDS = 500
PAUSE_S = 0.003


def show(label: str, taken_s: list[float]) -> float:
    taken = sorted(one * 1e3 for one in taken_s)
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
    print(f"{label:32} n {len(taken):4}  median {median:6.3f} ms  p99 {p99:6.2f} ms", flush=True)
    return median


def overwrite(descriptor: int, data: bytes) -> None:
    os.pwrite(descriptor, data, 0)
    os.fdatasync(descriptor)


def rename(directory: Path, data: bytes) -> None:
    """As it is done where a file is replaced whole."""
    beside = os.open(directory / "new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(beside, data)
    os.fsync(beside)
    os.close(beside)
    os.rename(directory / "new", directory / "old")
    parent = os.open(directory, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


async def measure(directory: Path) -> None:
    taken: dict[str, list[float]] = {"bare": [], "rename": [], "thread": [], "ours": []}
    store = StateFileStore(directory / "state.json", Clock())
    await store.propose(CHANGES)
    data = (directory / "state.json").read_bytes()[:1024]
    descriptor = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT, 0o600)
    overwrite(descriptor, bytes(8192))
    for _ in range(ROUNDS):
        for label, spent in taken.items():
            await trio.sleep(PAUSE_S)
            began = time.perf_counter()
            match label:
                case "bare":
                    overwrite(descriptor, data)
                case "rename":
                    rename(directory, data)
                case "thread":
                    await trio.to_thread.run_sync(bool)
                case _:
                    await store.propose(CHANGES)
            spent.append(time.perf_counter() - began)
    os.close(descriptor)
    bare = show("overwrite, fdatasync (baseline)", taken["bare"])
    show("file beside, fsync, rename, fsync", taken["rename"])
    thread = show("a thread and back (baseline)", taken["thread"])
    ours = show("a change of state, durable", taken["ours"])
    print(f"{'   ratio to both baselines':32} {ours / (bare + thread):.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        trio.run(measure, Path(name))


if __name__ == "__main__":
    main()
