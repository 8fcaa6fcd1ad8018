"""What a cluster goes through in its life: restarts in turn, a full disk, a damaged database."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path

from dnslbctl.client import Failed
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster

MakeCluster = Callable[..., Cluster]
WWW = f"www.{ZONE}"
DRAINED = "192.0.2.4"


def drain(cluster: Cluster, name: str, reason: str) -> None:
    body = {"kind": "drain", "subjects": [DRAINED], "lb": WWW, "reason": reason}
    cluster.client(name, 20).post("/commands", body)


def reason(cluster: Cluster, name: str) -> str | None:
    """Why the endpoint is drained, as this member knows; raises `Failed`."""
    for one in cluster.client(name).get("/endpoints").value:
        if one["address"] == DRAINED and one["override"] is not None:
            return str(one["override"]["reason"])
    return None


def wait_reason(cluster: Cluster, wanted: str, *names: str) -> None:
    def known() -> bool:
        try:
            return all(reason(cluster, name) == wanted for name in names)
        except Failed:
            return False

    cluster.wait(known)


def held(cluster: Cluster) -> set[str]:
    """The ids of what waits for a person, as the leader tells."""
    try:
        changes = cluster.client(cluster.leader()).get("/changes").value
    except Failed:
        return set()
    return {one["id"] for one in changes if one["state"] == "held"}


def test_a_rolling_restart_loses_no_decision(
    tmp_path: Path, named: StartNamed, make_cluster: MakeCluster
) -> None:
    """A drain and a held withdrawal outlive every process that knew of them."""
    ground = BindGround(tmp_path, named)
    cluster = make_cluster(
        publisher=ground.toml, endpoints=4, lb='up-after = 0.2\nmax-withdraw = "25%"'
    )
    cluster.form()
    cluster.wait(lambda: len(ground.values(WWW)) == 4)
    drain(cluster, "m2", "a new disk")
    cluster.wait(lambda: DRAINED not in ground.values(WWW))
    cluster.endpoints[0].down()
    cluster.wait(lambda: "192.0.2.1" not in ground.values(WWW))
    cluster.endpoints[1].down()
    cluster.wait(lambda: bool(held(cluster)))
    waiting, published, foreign = held(cluster), ground.values(WWW), ground.foreign()
    assert published == {"192.0.2.2", "192.0.2.3"}
    # The leader goes first, so that decisions pass through several hands.
    first = cluster.leader()
    for name in [first, *(one for one in cluster.seats if one != first)]:
        assert cluster.stop(name) == 0
        cluster.start(name)
        cluster.wait_ready(name)
        wait_reason(cluster, "a new disk", *cluster.seats)
        cluster.wait(lambda: held(cluster) == waiting)
        assert ground.values(WWW) == published
    (change,) = waiting
    cluster.client(cluster.leader()).post("/commands", {"kind": "approve", "subjects": [change]})
    cluster.wait(lambda: ground.values(WWW) == {"192.0.2.3"})
    assert ground.foreign() == foreign


def test_a_disk_that_is_full_and_one_that_rots_cost_one_member_each(
    make_cluster: MakeCluster,
) -> None:
    """One cluster, since it is the processes that take the time."""
    cluster = make_cluster(endpoints=4)
    cluster.form()
    cluster.wait(lambda: all_up(cluster))
    the_disk_is_full(cluster)
    the_database_is_damaged(cluster)


def all_up(cluster: Cluster) -> bool:
    found = [one for name in cluster.seats for one in cluster.client(name).get("/endpoints").value]
    return all(one["state"] == "up" for one in found)


def the_disk_is_full(cluster: Cluster) -> None:
    """For the leader: it stops, saying why; what was acknowledged stands with the others."""
    leader = cluster.leader()
    seat = cluster[leader]
    drain(cluster, leader, "before")
    store = seat.home / leader / "raft.sqlite-wal"
    process = seat.process
    assert process is not None
    assert store.stat().st_size > seat.log_file.stat().st_size + 10_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (store.stat().st_size,) * 2)
    others = [name for name in cluster.seats if name != leader]
    seat.process = None
    try:
        acknowledged = {"before"}
        try:
            drain(cluster, leader, "at the end of the disk")
            acknowledged = {"at the end of the disk"}
        except Failed:
            acknowledged.add("at the end of the disk")
        assert process.wait(timeout=20) == 1
    finally:
        process.kill()
    assert "cannot be written" in seat.log
    assert "Make room" in seat.log
    cluster.leader()
    assert {reason(cluster, name) for name in others} <= acknowledged
    drain(cluster, others[0], "after")
    cluster.start(leader)
    cluster.wait_ready(leader)
    wait_reason(cluster, "after", *cluster.seats)


def the_database_is_damaged(cluster: Cluster) -> None:
    """It refuses to start, and what it advises is what helps; the others go on meanwhile."""
    leader = cluster.leader()
    name = next(one for one in cluster.seats if one != leader)
    seat = cluster[name]
    assert cluster.stop(name) == 0
    store = seat.home / name / "raft.sqlite"
    content = bytearray(store.read_bytes())
    middle = len(content) // 2
    content[4096:middle] = bytes(byte ^ 0x5A for byte in content[4096:middle])
    store.write_bytes(content)
    process = cluster.start(name).process
    assert process is not None
    seat.process = None
    assert process.wait(timeout=20) == 1
    assert "is damaged" in seat.log
    assert "remove_server for this member" in seat.log
    assert store.read_bytes() == bytes(content)
    drain(cluster, leader, "while it is broken")
    cluster.ctl(leader, "--yes", "raft", "remove_server", name, "0")
    (seat.home / name).rename(seat.home / f"{name}.damaged")
    cluster.start(name)
    cluster.wait_ready(name)
    cluster.raft(leader, "add_voter", name, seat.address, "0")
    wait_reason(cluster, "while it is broken", *cluster.seats)
    assert cluster.stop(name, signal.SIGTERM) == 0
