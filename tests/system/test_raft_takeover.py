"""Three real members, a real named: who writes, and what becomes of DNS when the leader goes.

The members' built-in agents are the agents: a verdict needs two of them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.raft_stage import Cluster

WWW = f"www.{ZONE}"


class Scene:
    """Two endpoints that live, published by whoever leads."""

    def __init__(self, cluster: Cluster, ground: BindGround) -> None:
        self.cluster, self.ground = cluster, ground
        self.foreign = ground.foreign()
        cluster.form()
        self.wait_values("192.0.2.1", "192.0.2.2")

    def wait_values(self, *values: str) -> None:
        self.cluster.wait(lambda: self.ground.values(WWW) == set(values))

    def token(self) -> FencingToken:
        (text,) = self.ground.markers()
        return marker.from_text(text)


def test_leaders_come_and_go_and_dns_is_right(
    named: StartNamed, tmp_path: Path, make_cluster: Callable[..., Cluster]
) -> None:
    """One cluster, since it is the processes that take the time."""
    ground = BindGround(tmp_path, named)
    scene = Scene(make_cluster(publisher=ground.toml, endpoints=2), ground)
    die_by_kill_9(scene)
    stand_still(scene)
    hand_over_at_sigterm(scene)
    assert scene.ground.foreign() == scene.foreign


def die_by_kill_9(scene: Scene) -> None:
    """Another one takes the marker, and publishes what its agents saw in between."""
    cluster = scene.cluster
    leader, before = cluster.leader(), scene.token()
    cluster.stop(leader, signal.SIGKILL)
    cluster.endpoints[0].down()
    scene.wait_values("192.0.2.2")
    after = scene.token()
    assert (after.owner_id, after.epoch) == (before.owner_id, before.epoch)
    assert after.term > before.term
    heir = cluster.leader()
    assert heir != leader
    cluster.start(leader)
    cluster.wait_ready(leader)
    known = {"id": heir, "address": cluster[heir].address}
    cluster.wait(lambda: cluster.json(leader, "status")["leader"] == known)
    assert cluster.json(leader, "status")["role"] == "follower"
    cluster.endpoints[0].up()
    scene.wait_values("192.0.2.1", "192.0.2.2")


def stand_still(scene: Scene) -> None:
    """A leader that wakes up believing that it leads, and that both live, writes nothing."""
    cluster = scene.cluster
    leader = cluster.leader()
    cluster.send_signal(leader, signal.SIGSTOP)
    heir = cluster.leader(but=leader)
    cluster.endpoints[0].down()
    scene.wait_values("192.0.2.2")
    token, serial = scene.token(), scene.ground.version()
    cluster.send_signal(leader, signal.SIGCONT)
    cluster.wait(lambda: cluster.json(leader, "status")["leader"]["id"] == heir)
    assert cluster.json(leader, "status")["role"] == "follower"
    assert (scene.token(), scene.ground.version()) == (token, serial)
    cluster.endpoints[0].up()
    scene.wait_values("192.0.2.1", "192.0.2.2")
    assert scene.token() == token


def hand_over_at_sigterm(scene: Scene) -> None:
    cluster = scene.cluster
    leader = cluster.leader()
    term = cluster.json(leader, "status")["term"]
    assert cluster.stop(leader) == 0
    heir = cluster.leader()
    assert cluster.json(heir, "status")["term"] == term + 1
    cluster.endpoints[1].down()
    scene.wait_values("192.0.2.1")
