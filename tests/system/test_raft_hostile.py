"""Anybody's bytes on the raft port: the member goes on, and does not grow.

Without certificates, on loopback; what TLS keeps out stands in `test_raft_tls`.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dnslb.election.raft.frames import MAGIC, Hello, frame, greeting_frame
from tests.system.raft_stage import Cluster

MakeCluster = Callable[..., Cluster]
FLOOD = 4 * 1024 * 1024
GROWTH_KB_MAX = 16 * 1024
HANDSHAKE = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
STRANGER = greeting_frame(Hello("zz", "m1", "c0ffee", "ab", 1))
Attack = Callable[[str, random.Random], None]


@contextlib.contextmanager
def connection(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as one:
            yield one
    except OSError:
        return  # it hung up on us, as it may


def send(*parts: bytes, flood: bytes = b"") -> Attack:
    def attack(address: str, luck: random.Random) -> None:
        with connection(address) as one:
            for part in parts:
                one.sendall(part)
            sent = 0
            while flood and sent < FLOOD:
                one.sendall(flood)
                sent += len(flood)
            while one.recv(65_536):
                pass

    return attack


def cut(*parts: bytes) -> Attack:
    """Ends in the middle, wherever luck says."""

    def attack(address: str, luck: random.Random) -> None:
        whole = b"".join(parts)
        for _ in range(20):
            with connection(address) as one:
                one.sendall(whole[: luck.randrange(1, len(whole))])

    return attack


def drip(data: bytes) -> Attack:
    """A byte now and then, for as long as it is let."""

    def attack(address: str, luck: random.Random) -> None:
        with connection(address) as one:
            for byte in data:
                one.sendall(bytes([byte]))
                time.sleep(0.03)

    return attack


def noise(address: str, luck: random.Random) -> None:
    for _ in range(20):
        send(luck.randbytes(luck.randrange(1, 5000)))(address, luck)


def silence(address: str, luck: random.Random) -> None:
    """More connections than there are places, which say nothing, or only who they are not."""
    with contextlib.ExitStack() as stack:
        for number in range(100):
            with contextlib.suppress(OSError):
                one = stack.enter_context(socket.create_connection(_split(address), timeout=5))
                one.sendall(MAGIC[: number % (len(MAGIC) + 1)])
        time.sleep(1.0)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


ATTACKS: dict[str, Attack] = {
    "a huge length": send(MAGIC, b"\xff\xff\xff\xff", flood=bytes(65_536)),
    "no length": send(MAGIC, bytes(4), flood=bytes(65_536)),
    "a greeting of garbage": send(MAGIC, frame(b"\xc1" * 2000)),
    "a greeting nested deeply": send(MAGIC, frame(b"\x91" * 2000)),
    "a stranger that goes on": send(MAGIC, STRANGER, flood=frame(bytes(60_000))),
    "half a greeting": cut(MAGIC, STRANGER),
    "a dripping greeting": drip(MAGIC + STRANGER),
    "a dripping request": drip(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 30),
    "a request without end": send(b"GET /v1/status HTTP/1.1\r\n", flood=b"A: " + b"x" * 60_000),
    "headers without end": send(b"GET / HTTP/1.1\r\n", flood=b"A: b\r\n" * 1000),
    "a body without end": send(
        b"POST /v1/raft HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        flood=bytes(65_536),
    ),
    "half a request": cut(b"POST /v1/raft HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n{"),
    "a handshake without TLS": send(HANDSHAKE, flood=bytes(65_536)),
    "noise": noise,
    "silence": silence,
}


def resident_kb(cluster: Cluster, name: str) -> int:
    process = cluster[name].process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def besiege(cluster: Cluster, name: str) -> None:
    """All at once, twice, while decisions are taken; the first time warms the member up."""
    term = cluster.status(name)["term"]
    over, decided = threading.Event(), []

    def decide() -> None:
        body = {"kind": "drain", "subjects": ["192.0.2.1"], "reason": "a siege"}
        while not over.wait(0.02):
            decided.append(cluster.client(name).post("/commands", body).value["ok"])

    resident = []
    with ThreadPoolExecutor(len(ATTACKS) + 1) as pool:
        steersman = pool.submit(decide)
        try:
            for seed in (1, 2):
                attacks = [
                    pool.submit(attack, cluster[name].address, random.Random(seed))
                    for attack in ATTACKS.values()
                ]
                for attack in attacks:
                    attack.result(timeout=60)
                resident.append(resident_kb(cluster, name))
        finally:
            over.set()
        steersman.result()
    assert len(decided) > 10
    assert all(decided)
    assert resident[1] - resident[0] < GROWTH_KB_MAX
    status = cluster.status(name)
    assert (status["role"], status["term"]) == ("leader", term)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_a_leader_under_siege_goes_on_and_does_not_grow(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(endpoints=2)
    cluster.form()
    leader = cluster.leader()
    # With one of the two not yet seen to live, no drain of the other is let through.
    cluster.wait(lambda: cluster.status(leader)["loadbalancers"]["healthy"] == 1)
    besiege(cluster, leader)
    assert {cluster.status(name)["leader"]["id"] for name in cluster.seats} == {leader}
    for name in cluster.seats:
        assert cluster.stop(name) == 0
        assert "Traceback" not in cluster[name].log
