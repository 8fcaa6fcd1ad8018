"""How fast a replica takes over from one that died or left, beside the Lease that it waits for.

Run: ``python tests/bench/bench_kubernetes.py [rounds]``. Reported, not asserted. Goals: after
kill -9 within the lease duration + 1 s, after SIGTERM within 1 s, each from the signal to the log
line by which the heir may write; ready within 0.5 s. The API server is the tests' double, on this
machine; beside the take-over stands what a bare call to it takes.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.system.kubernetes_stage import DEADLINE_S, LEASE_S, RETRY_S, Fleet
from tests.system.named import free_port
from tests.system.stage import CLI

ROUNDS = 10
IDLE_S = 20.0
STARTS = 10
MAY_WRITE = re.compile(r"^(\S+Z) info \S+ may write now \(term (\d+)\)", re.MULTILINE)


def show(label: str, taken_s: list[float]) -> None:
    taken = sorted(taken_s)
    print(
        f"{label:52} n {len(taken):3}  median {statistics.median(taken):7.3f} s  "
        f"worst {taken[-1]:7.3f} s",
        flush=True,
    )


def newest_term(fleet: Fleet) -> int:
    found = [int(t) for one in fleet.replicas.values() for _, t in MAY_WRITE.findall(one.log)]
    return max(found, default=-1)


def wait_permitted(fleet: Fleet, term: int) -> datetime:
    """When somebody might write in a newer term, by the log of whoever may."""
    while True:
        for replica in fleet.replicas.values():
            for at, found in MAY_WRITE.findall(replica.log):
                if int(found) > term:
                    return datetime.fromisoformat(at)
        time.sleep(0.005)


def take_overs(fleet: Fleet, number: int, rounds: int) -> list[float]:
    """Seconds from the signal to the holder until another one may write."""
    taken = []
    for _ in range(rounds):
        holder, term = fleet.holder(), newest_term(fleet)
        began = datetime.now(UTC)
        fleet.send_signal(holder, number)
        taken.append((wait_permitted(fleet, term) - began).total_seconds())
        process = fleet[holder].process
        assert process is not None
        process.wait()
        fleet[holder].process = None
        fleet.start(holder)
        wait_follows(fleet, holder)
    return taken


def wait_follows(fleet: Fleet, name: str) -> None:
    fleet.wait(lambda: fleet.status(name)["role"] == "follower")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(fleet: Fleet) -> None:
    holder = fleet.holder()
    before = {}
    for name, replica in fleet.replicas.items():
        assert replica.process is not None
        before[name] = cpu_s(replica.process.pid)
    time.sleep(IDLE_S)
    for name, replica in fleet.replicas.items():
        assert replica.process is not None
        share = (cpu_s(replica.process.pid) - before[name]) / IDLE_S * 100
        status = Path(f"/proc/{replica.process.pid}/status").read_text()
        rss = int(status.partition("VmRSS:")[2].split()[0]) // 1024
        role = "holder" if name == holder else "waiting"
        print(f"idle, {role:46} {share:5.2f} % of a core, {rss} MB", flush=True)


def starts(directory: Path, fleet: Fleet) -> None:
    """From the start of the process until its /readyz says so; wall and CPU seconds."""
    singleton = (
        f'election = "singleton"\ninstance-identifier = "s"\nstate-dir = "{directory / "s"}"\n'
        f'control-socket = "{directory / "s.sock"}"\n{fleet.publisher}\n'
    )
    k8s = fleet.configure(fleet["r1"]).read_text()
    for label, text in (("-election singleton", singleton), ("-election k8s", k8s)):
        wall, cpu = [], []
        for _ in range(STARTS):
            port = free_port()
            path = directory / "start.toml"
            path.write_text(
                re.sub(r"^port = .*$", "", text, flags=re.MULTILINE).replace(
                    "instance-identifier", f"port = {port}\ninstance-identifier", 1
                )
            )
            began = time.monotonic()
            with (directory / "start.log").open("wb") as log:
                process = subprocess.Popen([*CLI, "-cfg", str(path)], stderr=log)
            while not is_ready(port):
                assert process.poll() is None, (directory / "start.log").read_text()
                time.sleep(0.005)
            wall.append(time.monotonic() - began)
            cpu.append(cpu_s(process.pid))
            process.terminate()
            process.wait()
        show(f"ready, {label}", wall)
        show(f"ready, {label}, CPU", cpu)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "api").mkdir()
        files = directory / "zones"
        files.mkdir()
        (files / "example.org.zone").write_text(
            "$ORIGIN example.org.\n$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\n"
            "ns IN A 127.0.0.1\n"
        )
        publisher = f'provider = "file"\nfile-dir = "{files}"\nfile-shared = true\n'
        fleet = Fleet(directory, publisher=publisher)
        try:
            starts(directory, fleet)
            fleet.start(*fleet.replicas)
            fleet.holder()
            calls = []
            for _ in range(100):
                began = time.monotonic()
                assert fleet.server.lease() is not None
                calls.append(time.monotonic() - began)
            show("a bare read of the Lease, TLS and all", calls)
            print(json.dumps({"lease": LEASE_S, "deadline": DEADLINE_S, "retry": RETRY_S}))
            show(
                "kill -9 of the holder, until another may write",
                take_overs(fleet, signal.SIGKILL, rounds),
            )
            show(
                "SIGTERM of the holder, until another may write",
                take_overs(fleet, signal.SIGTERM, rounds),
            )
            idle(fleet)
        finally:
            fleet.close()


if __name__ == "__main__":
    main()
