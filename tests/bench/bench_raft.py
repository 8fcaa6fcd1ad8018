"""How fast a cluster of three processes decides and takes over; beside it, what that rests on.

Run: ``python tests/bench/bench_raft.py [rounds]``. Reported, not asserted. Goals: kill -9 of the
leader to a commit of the next one median 0.6 s, p99 1.0 s, and 0.15 s where the end of the stream
gives it away; the first permitted write at most one lease (0.4 s) later; transfer 20 ms; commit
p50 3 ms, p99 20 ms; verify_leader 1 ms; idle 1.5 % of a core and 60 MB a member.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.election.raft.timings import LAN
from dnslbctl.client import Failed
from tests.system.raft_stage import Cluster

ROUNDS = 40
CALLS = 500
IDLE_S = 20.0
MAY_WRITE = re.compile(r"^(\S+Z) info \S+ may write now \(term (\d+)\)", re.MULTILINE)
BARE = "import trio; trio.run(trio.sleep_forever)"


def show(label: str, taken_s: list[float]) -> float:
    taken = sorted(one * 1e3 for one in taken_s)
    median, p99 = statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    print(f"{label:46} n {len(taken):4}  median {median:7.2f} ms  p99 {p99:7.2f} ms", flush=True)
    return median


def timed(call: Callable[[], object], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return taken


def raft(cluster: Cluster, name: str, command: str, *arguments: str) -> object:
    body = {"command": command, "arguments": list(arguments)}
    return cluster.client(name, 10).post("/raft", body).value


# ------------------------------------------------------------------------------------ take-over


def wait_commit(cluster: Cluster, survivor: str, old: str, began: float) -> float:
    """Seconds until something was committed under another leader."""
    while True:
        with contextlib.suppress(Failed):
            if (cluster.status(survivor)["leader"] or {"id": old})["id"] != old:
                raft(cluster, survivor, "barrier")
                return time.monotonic() - began
        time.sleep(0.002)


def wait_permitted(cluster: Cluster, names: list[str], term: int, began_wall: float) -> float:
    """Seconds until somebody may write in a newer term, by the log of whoever may."""
    while True:
        for name in names:
            for at, found in MAY_WRITE.findall(cluster[name].log):
                if int(found) > term:
                    instant = datetime.fromisoformat(at)
                    return (instant - datetime.fromtimestamp(began_wall, UTC)).total_seconds()
        time.sleep(0.01)


def take_overs(cluster: Cluster, rounds: int, how: signal.Signals) -> None:
    committed, permitted = [], []
    for _ in range(rounds):
        leader = cluster.leader()
        names = [name for name in cluster.seats if name != leader]
        raft(cluster, leader, "barrier")
        term = cluster.status(leader)["term"]
        began, began_wall = time.monotonic(), time.time()
        cluster.send_signal(leader, how)
        committed.append(wait_commit(cluster, names[0], leader, began))
        permitted.append(wait_permitted(cluster, names, term, began_wall))
        if how is signal.SIGKILL:
            cluster.stop(leader, how)
            cluster.start(leader)
        else:
            cluster.send_signal(leader, signal.SIGCONT)
        cluster.wait_ready(leader)
        cluster.wait(lambda leader=leader: follows(cluster, leader))  # type: ignore[misc]
        time.sleep(0.5)
    label = "kill -9 of the leader" if how is signal.SIGKILL else "stopped leader, no end of stream"
    show(f"{label} -> committed", committed)
    show(f"{label} -> may write", permitted)
    show("   of that after the commit", [b - a for a, b in zip(committed, permitted, strict=True)])


def follows(cluster: Cluster, name: str) -> bool:
    status = cluster.status(name)
    return status["role"] == "follower" and status["leader"] is not None


# ------------------------------------------------------------------------------------- at work


def commits(directory: Path) -> list[float]:
    """As many bytes in one transaction of sqlite, set as ours is, and nothing else."""
    database = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    for pragma in ("locking_mode = exclusive", "journal_mode = wal", "synchronous = full"):
        database.execute(f"pragma {pragma}")
    database.execute("create table log (position integer primary key, command blob)")
    command = os.urandom(100)

    def commit() -> None:
        database.execute("begin immediate")
        database.execute("insert into log (command) values (?)", (command,))
        database.execute("commit")

    taken = timed(commit, CALLS)
    database.close()
    return taken


def at_work(cluster: Cluster, rounds: int) -> None:
    leader = cluster.leader()
    client = cluster.client(leader)
    floor = show("GET /v1/status (baseline)", timed(lambda: client.get("/status"), CALLS))
    bare = show("bare sqlite commit (baseline)", commits(cluster.directory))
    taken = timed(lambda: raft(cluster, leader, "barrier"), CALLS)
    ours = show("barrier: committed by a majority", taken)
    print(f"{'   ratio to both together':46} {ours / (floor + bare):.2f}")
    ours = show("verify_leader", timed(lambda: raft(cluster, leader, "verify_leader"), CALLS))
    print(f"{'   ratio to the status':46} {ours / floor:.2f}")

    taken.clear()
    for _ in range(rounds):
        leader = cluster.leader()
        time.sleep(2 * LAN.lease_s)
        began = time.perf_counter()
        raft(cluster, leader, "leadership_transfer")
        taken.append(time.perf_counter() - began)
    show("leadership_transfer", taken)


def spent(pid: int) -> tuple[float, float]:
    """Seconds of a core so far, and resident MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    resident = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]
    return ticks / os.sysconf("SC_CLK_TCK"), int(resident) / 1024


def idle(cluster: Cluster) -> None:
    with subprocess.Popen([sys.executable, "-c", BARE]) as bare:
        pids = {"bare trio (baseline)": bare.pid}
        for name, seat in cluster.seats.items():
            assert seat.process is not None
            pids[f"{name}, {cluster.status(name)['role']}"] = seat.process.pid
        time.sleep(3.0)
        before = {label: spent(pid)[0] for label, pid in pids.items()}
        time.sleep(IDLE_S)
        for label, pid in pids.items():
            cpu, resident = spent(pid)
            share = (cpu - before[label]) / IDLE_S
            print(f"idle: {label:40} {share:7.2%} of a core  {resident:5.1f} MB")
        bare.kill()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        # Without endpoints: what is measured is the cluster, not the checks.
        cluster = Cluster(Path(name))
        try:
            cluster.form()
            cluster.leader()
            idle(cluster)
            at_work(cluster, rounds)
            for how in (signal.SIGKILL, signal.SIGSTOP):
                take_overs(cluster, rounds, how)
        finally:
            cluster.close()


if __name__ == "__main__":
    main()
