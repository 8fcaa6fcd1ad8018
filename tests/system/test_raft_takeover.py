"""Three real members, a real named: who writes, and what becomes of DNS when the leader goes.

The members' built-in agents are the agents: a verdict needs two of them.
"""

from __future__ import annotations

import shutil
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
        living = range(1, len(cluster.endpoints) + 1)
        self.wait_values(*(f"192.0.2.{i}" for i in living))

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
    order_at_a_follower(scene)
    stand_still(scene)
    die_all_at_once(scene)
    gone = hand_over_at_sigterm(scene)
    lose_a_directory(scene, gone)
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


def order_at_a_follower(scene: Scene) -> None:
    """An operator need not know who leads; and what was ordered outlives the leader."""
    cluster = scene.cluster
    leader = cluster.leader()
    one, other = sorted(cluster.seats.keys() - {leader})
    done = cluster.ctl(one, "drain", "192.0.2.1", "--reason", "a new disk")
    assert done.returncode == 0, done.stderr
    assert scene.ground.values(WWW) == {"192.0.2.2"}
    for name in cluster.seats:
        (change, *_) = cluster.json(name, "changes")
        assert (change["after"], change["state"]) == (["192.0.2.2"], "applied"), name
    cluster.raft(other, "leadership_transfer")
    done = cluster.ctl(leader, "clear", "192.0.2.1")
    assert done.returncode == 0, done.stderr
    scene.wait_values("192.0.2.1", "192.0.2.2")


def die_all_at_once(scene: Scene) -> None:
    cluster = scene.cluster
    for name in cluster.seats:
        cluster.stop(name, signal.SIGKILL)
    assert scene.ground.values(WWW) == {"192.0.2.1", "192.0.2.2"}
    serial = scene.ground.version()
    for name in cluster.seats:
        cluster.start(name)
    cluster.wait_ready(*cluster.seats)
    cluster.endpoints[1].down()
    scene.wait_values("192.0.2.1")
    assert scene.ground.version() != serial
    cluster.endpoints[1].up()
    scene.wait_values("192.0.2.1", "192.0.2.2")


def lose_a_directory(scene: Scene, name: str) -> None:
    """Its unit file still says -raft-bootstrap: it takes nothing, and says what to do."""
    cluster, token, serial = scene.cluster, scene.token(), scene.ground.version()
    shutil.rmtree(cluster.directory / name)
    cluster.start(name, "-raft-bootstrap")
    cluster.wait_ready(name)
    cluster.wait(lambda: "looks like a lost member" in cluster.ctl(name, "status").stdout)
    assert (scene.token(), scene.ground.version()) == (token, serial)


def hand_over_at_sigterm(scene: Scene) -> str:
    cluster = scene.cluster
    leader = cluster.leader()
    term = cluster.json(leader, "status")["term"]
    assert cluster.stop(leader) == 0
    heir = cluster.leader()
    assert cluster.json(heir, "status")["term"] == term + 1
    cluster.endpoints[1].down()
    scene.wait_values("192.0.2.1")
    cluster.endpoints[1].up()
    scene.wait_values("192.0.2.1", "192.0.2.2")
    return leader
