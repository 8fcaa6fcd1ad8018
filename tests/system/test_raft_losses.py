"""Members die with decisions under way, at a restart, and at a full disk: none is lost.

Acknowledged is what dnslbctl was told is done. What was not acknowledged may be in force or not.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from dnslbctl.client import Failed
from tests.system.raft_stage import Cluster

MakeCluster = Callable[..., Cluster]
LB = "www.example.org"
# Whoever asks is answered within this, or does not know.
ANSWER_S = 8.0


@dataclass
class Steersman:
    """Drains one endpoint again and again, clears it in between, each time for another reason.

    ``wanted``: what may be in force: what was acknowledged last, and what was asked for since.
    """

    cluster: Cluster
    address: str
    luck: random.Random
    number: int = 0
    acknowledged: int = 0
    wanted: set[str | None] = field(default_factory=lambda: {None})

    def steer_once(self) -> None:
        self.number += 1
        reason = None if self.number % 3 == 0 else f"n{self.number}"
        kind = {"kind": "clear"} if reason is None else {"kind": "drain", "reason": reason}
        self.wanted.add(reason)
        seat = self.luck.choice(sorted(self.cluster.seats))
        try:
            steer(self.cluster, seat, self.address, **kind)
        except Failed:
            return
        self.acknowledged += 1
        self.wanted = {reason}

    def steer_until(self, over: threading.Event) -> None:
        while not over.wait(self.luck.uniform(0, 0.01)):
            self.steer_once()


def steer(cluster: Cluster, name: str, address: str, **what: str) -> None:
    client = cluster.client(name, ANSWER_S)
    client.post("/commands", {"subjects": [address], "lb": LB, **what})


def endpoints(cluster: Cluster, name: str) -> dict[str, Any]:
    """By address; raises `Failed`."""
    return {one["address"]: one for one in cluster.client(name).get("/endpoints").value}


def reasons(cluster: Cluster, name: str) -> dict[str, str | None]:
    found = endpoints(cluster, name)
    return {a: (one["override"] or {}).get("reason") for a, one in found.items()}


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    made = make_cluster(endpoints=4)
    made.form()
    for name in made.seats:
        made.wait(lambda name=name: all_up(made, name))  # type: ignore[misc]
    return made


def all_up(cluster: Cluster, name: str) -> bool:
    try:
        return all(one["state"] == "up" for one in endpoints(cluster, name).values())
    except Failed:
        return False


def wait_alike(cluster: Cluster) -> dict[str, str | None]:
    """The reasons that all members tell, once they agree after a commit by whoever leads.

    A member that starts tells what it last knew to be committed, a new leader, too, until an entry
    of its own is: all three may agree on what is older than what was acknowledged.
    """
    found: list[dict[str, str | None]] = []

    def committed() -> bool:
        try:
            cluster.client("m1", ANSWER_S).post("/raft", {"command": "barrier"})
        except Failed:
            return False
        return True

    def agreed() -> bool:
        try:
            told = [reasons(cluster, name) for name in cluster.seats]
        except Failed:
            return False
        found.append(told[0])
        return all(one == told[0] for one in told)

    cluster.wait(committed)
    cluster.wait(agreed)
    return found[-1]


# ----------------------------------------------------------------------------- kill -9, at work


@pytest.mark.parametrize("rounds", [5, pytest.param(300, marks=pytest.mark.long)])
def test_what_was_acknowledged_outlives_kill_9(cluster: Cluster, rounds: int) -> None:
    """Of the leader, of a follower, of all at once."""
    luck = random.Random(rounds)
    steersmen = [Steersman(cluster, f"192.0.2.{i}", random.Random(rounds * i)) for i in range(1, 4)]
    for number in range(rounds):
        names = sorted(cluster.seats)
        leader = cluster.leader()
        victims = ([leader], names, [luck.choice([n for n in names if n != leader])])[number % 3]
        over = threading.Event()
        with ThreadPoolExecutor(len(steersmen)) as pool:
            rides = [pool.submit(one.steer_until, over) for one in steersmen]
            try:
                time.sleep(luck.uniform(0.05, 0.3))
                for name in victims:
                    process = cluster[name].process
                    assert process is not None
                    process.kill()
                for name in victims:
                    cluster.stop(name, signal.SIGKILL)
                time.sleep(luck.uniform(0, 0.3))
                for name in victims:
                    cluster.start(name)
                cluster.wait_ready(*victims)
            finally:
                over.set()
            for ride in rides:
                ride.result()
        found = wait_alike(cluster)
        for one in steersmen:
            assert found[one.address] in one.wanted, f"{one}: {found}"
    print(f"{rounds} rounds, {sum(one.acknowledged for one in steersmen)} acknowledged")
    assert all(one.acknowledged > rounds for one in steersmen)
