"""Three real members with different files, a real named: what a leader's own file may change.

The members' built-in agents are the agents: a verdict needs two of them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.system.grounds import BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster
from tests.system.test_raft_takeover import WWW, Scene


def held(cluster: Cluster, name: str) -> list[Any]:
    return [row for row in cluster.json(name, "changes") if row["state"] == "held"]


def hand_over(cluster: Cluster, target: str) -> None:
    leader = cluster.leader()
    if leader != target:
        cluster.raft(leader, "leadership_transfer_to_server", target, cluster[target].address)
    cluster.wait(lambda: cluster.json(target, "status")["role"] == "leader")


def reload(cluster: Cluster, name: str) -> None:
    cluster.configure(cluster[name])
    cluster.send_signal(name, signal.SIGHUP)


def test_a_leader_whose_file_lacks_an_endpoint_withdraws_nothing_for_that(
    named: StartNamed, tmp_path: Path, make_cluster: Callable[..., Cluster]
) -> None:
    """Then the change goes round all members, and is made by the last of them."""
    ground = BindGround(tmp_path, named)
    cluster = make_cluster(publisher=ground.toml, endpoints=3)
    cluster.lacking["m2"] = {3}
    scene = Scene(cluster, ground)
    hand_over(cluster, "m2")
    cluster.wait(lambda: bool(held(cluster, "m2")))
    [change] = held(cluster, "m2")
    assert "would withdraw 192.0.2.3 at www" in change["reason"]
    assert "config-differs" in cluster.ctl("m2", "status").stdout
    # Health is followed meanwhile.
    cluster.endpoints[1].down()
    scene.wait_values("192.0.2.1", "192.0.2.3")
    cluster.endpoints[1].up()
    scene.wait_values("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert [one["id"] for one in held(cluster, "m2")] == [change["id"]]
    # Every member says it, whoever is asked.
    cluster.wait(lambda: "held-configuration" in cluster.ctl("m3", "status").stdout)
    roll(scene)
    assert ground.foreign() == scene.foreign


def roll(scene: Scene) -> None:
    """Two of three have the new file: nothing; all three: it is made."""
    cluster = scene.cluster
    cluster.lacking = {name: {3} for name in cluster.seats}
    assert cluster.stop("m1") == 0
    cluster.start("m1")
    cluster.wait_ready("m1")
    cluster.wait(lambda: "m1" not in differing(cluster, "m2"))
    assert "m3" in differing(cluster, "m2")
    assert scene.ground.values(WWW) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    reload(cluster, "m3")
    scene.wait_values("192.0.2.1", "192.0.2.2")
    cluster.wait(lambda: not held(cluster, "m2"))
    # It stays made, whoever leads.
    hand_over(cluster, "m1")
    assert not held(cluster, "m1")
    assert scene.ground.values(WWW) == {"192.0.2.1", "192.0.2.2"}


def differing(cluster: Cluster, name: str) -> set[str]:
    rows = cluster.json(name, "status")["attention"]
    return {row["subject"] for row in rows if row["kind"] == "config-differs"}
