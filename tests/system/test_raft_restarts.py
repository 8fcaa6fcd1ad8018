"""What a cluster goes through in its life: restarts in turn, a full disk, a damaged database."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from dnslbctl.client import Failed
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster
from tests.system.small_disk import MakeDisk, SmallDisk

MakeCluster = Callable[..., Cluster]
WWW = f"www.{ZONE}"
DRAINED = "192.0.2.4"
SMALL = "m2"
"""Whose disk it is that fills up."""
DECISIONS_MAX = 500


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
    """A drain and a held withdrawal outlive every process that knew of them. Then a disk rots:
    one cluster, since it is the processes that take the time."""
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
    the_database_is_damaged(cluster)
    assert ground.values(WWW) == {"192.0.2.3"}
    assert ground.foreign() == foreign


def test_a_disk_that_is_full_costs_one_member(
    make_cluster: MakeCluster, small_disk: MakeDisk
) -> None:
    cluster = make_cluster(endpoints=4)
    disk = small_disk(cluster.directory / SMALL, "6m")
    cluster[SMALL].place = disk
    cluster.form()
    cluster.wait(lambda: all_up(cluster))
    the_disk_is_full(cluster, disk)


def all_up(cluster: Cluster) -> bool:
    found = [one for name in cluster.seats for one in cluster.client(name).get("/endpoints").value]
    return all(one["state"] == "up" for one in found)


def the_disk_is_full(cluster: Cluster, disk: SmallDisk) -> None:
    """For the leader: it stops, saying why, and goes on when there is room; what was acknowledged
    stands with the others."""
    others = [name for name in cluster.seats if name != SMALL]
    if cluster.leader() != SMALL:
        cluster.raft("m1", "leadership_transfer_to_server", SMALL, cluster[SMALL].address)
    drain(cluster, SMALL, "before")
    disk.fill()
    acknowledged = decide_until_it_ends(cluster)
    ended(cluster)
    cluster.leader()
    assert {reason(cluster, name) for name in others} <= acknowledged
    cluster.start(SMALL)
    ended(cluster)
    drain(cluster, others[0], "after")
    disk.make_room()
    cluster.start(SMALL)
    cluster.wait_ready(SMALL)
    wait_reason(cluster, "after", *cluster.seats)


def decide_until_it_ends(cluster: Cluster) -> set[str]:
    """What may be in force then: what was acknowledged last, and what was asked for since."""
    acknowledged = {"before"}
    for number in range(DECISIONS_MAX):
        wanted = f"at the end of the disk {number}"
        try:
            drain(cluster, SMALL, wanted)
        except Failed:
            return acknowledged | {wanted}
        acknowledged = {wanted}
    raise AssertionError("there was room all the time")


def ended(cluster: Cluster) -> None:
    """By itself, with a reason and what to do."""
    seat = cluster[SMALL]
    process, seat.process = seat.process, None
    assert process is not None
    try:
        assert process.wait(timeout=20) == 1
    finally:
        process.kill()
    assert "cannot be written" in seat.log
    assert "Make room" in seat.log
    seat.log_file.write_text("")


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
