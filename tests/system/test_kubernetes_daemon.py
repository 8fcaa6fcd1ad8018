"""Real replicas, the double of an API server, a real named: who writes, and what becomes of DNS.

One fleet, since it is the processes that take the time. The observer holds every single answer
against what may be in it, and the marker against going back.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, BindGround
from tests.system.kubernetes_stage import DEADLINE_S, Fleet
from tests.system.named import StartNamed
from tests.system.raft_observer import Observer
from tests.system.stage import metric

WWW = f"www.{ZONE}"
LEFT_EPOCH = 4_102_444_800
FIRST, SECOND = "192.0.2.1", "192.0.2.2"


class Scene:
    def __init__(self, fleet: Fleet, ground: BindGround) -> None:
        self.fleet, self.ground = fleet, ground
        self.foreign = ground.foreign()
        fleet.start(*fleet.replicas)
        self.wait_values(FIRST, SECOND)
        self.watched: Observer | None = None

    @property
    def observer(self) -> Observer:
        """Of all answers since it was first asked for."""
        if self.watched is None:
            self.watched = Observer(self.ground.named, WWW, ZONE, self.fleet.endpoints)
        return self.watched

    def wait_values(self, *values: str) -> None:
        self.fleet.wait(lambda: self.ground.values(WWW) == set(values))

    def lose(self, address: str) -> None:
        self.fleet.wait(lambda: self.observer.may_die(address))
        self.observer.kill(address)

    def mend(self, address: str) -> None:
        self.fleet.wait(lambda: not self.observer.lives[address].published)
        self.observer.raise_up(address)
        self.wait_values(FIRST, SECOND)
        self.fleet.wait(lambda: self.observer.settled)

    def token(self) -> FencingToken:
        (text,) = self.ground.markers()
        return marker.from_text(text)

    def other(self, name: str) -> str:
        (other,) = self.fleet.replicas.keys() - {name}
        return other

    def serial(self) -> object:
        return self.ground.version()


def test_holders_come_and_go_and_dns_is_right(
    named: StartNamed, tmp_path: Path, make_fleet: Callable[..., Fleet]
) -> None:
    ground = BindGround(tmp_path, named)
    # As a singleton whose clock was decades ahead left it.
    ground.set_marker(f"dnslb owner=tests epoch={LEFT_EPOCH} term=0 nonce=ab")
    scene = Scene(make_fleet(publisher=ground.toml), ground)
    try:
        tell_what_is_so(scene)
        die_by_kill_9(scene)
        leave_at_sigterm(scene)
        stand_still(scene)
        be_without_an_api_server(scene)
        scene.observer.check()
        assert ground.foreign() == scene.foreign
    finally:
        if scene.watched is not None:
            scene.watched.close()


def tell_what_is_so(scene: Scene) -> None:
    fleet = scene.fleet
    holder = fleet.holder()
    follower = scene.other(holder)
    assert scene.token()[1:3] == (LEFT_EPOCH + 1, 1)
    seen = fleet.status(follower)
    assert (seen["role"], seen["leader"], seen["term"]) == (
        "follower",
        {"id": holder, "address": ""},
        scene.token().term,
    )
    assert "is its only agent" in fleet.row(follower, "decides-alone")
    assert fleet.server.lease()["holderIdentity"] == f"{holder}_{scene.token().nonce}"
    port = fleet.status(holder)["port"]
    fleet.wait(lambda: 0 < (metric(port, "dnslb_lease_remaining_seconds") or 0) <= DEADLINE_S)
    assert metric(seen["port"], "dnslb_lease_remaining_seconds") is None
    shown = fleet.ctl(follower, "members").stdout.split()
    assert {holder, follower} <= set(shown)
    done = fleet.ctl(follower, "drain", FIRST, "--reason", "a new disk")
    assert done.returncode == 1
    assert f"kubectl exec -n dns {holder} -- dnslbctl" in done.stderr
    for words in (["leadership_transfer"], ["add_voter", "x", "localhost:1", "0"]):
        done = fleet.ctl(follower, "raft", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "needs -election raft" in done.stderr
    done = fleet.ctl(holder, "drain", FIRST, "--reason", "a new disk")
    assert done.returncode == 0, done.stderr
    assert scene.ground.values(WWW) == {SECOND}


def die_by_kill_9(scene: Scene) -> None:
    """Another one takes the marker; what was ordered at the dead one is still in force."""
    fleet = scene.fleet
    holder, before = fleet.holder(), scene.token()
    heir = scene.other(holder)
    fleet.stop(holder, signal.SIGKILL)
    assert fleet.holder() == heir
    fleet.wait(lambda: scene.token().term == before.term + 1)
    assert scene.token()[:2] == before[:2]
    assert scene.ground.values(WWW) == {SECOND}
    done = fleet.ctl(heir, "clear", FIRST)
    assert done.returncode == 0, done.stderr
    scene.wait_values(FIRST, SECOND)
    fleet.start(holder)
    fleet.wait(lambda: fleet.status(holder)["role"] == "follower")


def leave_at_sigterm(scene: Scene) -> None:
    """Nobody has to wait for a Lease that is given back."""
    fleet = scene.fleet
    holder, term = fleet.holder(), scene.token().term
    assert fleet.stop(holder) == 0
    assert "is released" in fleet[holder].log
    assert fleet.holder() == scene.other(holder)
    scene.lose(FIRST)
    scene.wait_values(SECOND)
    assert scene.token().term == term + 1
    fleet.start(holder)
    scene.mend(FIRST)


def stand_still(scene: Scene) -> None:
    """A holder that wakes up believing that it may write, writes nothing."""
    fleet = scene.fleet
    holder = fleet.holder()
    fleet.send_signal(holder, signal.SIGSTOP)
    heir = fleet.holder(but=holder)
    scene.lose(FIRST)
    scene.wait_values(SECOND)
    token, serial = scene.token(), scene.serial()
    fleet.send_signal(holder, signal.SIGCONT)
    fleet.wait(lambda: (fleet.status(holder)["leader"] or {}).get("id") == heir)
    assert fleet.status(holder)["role"] == "follower"
    assert (scene.token(), scene.serial()) == (token, serial)
    scene.mend(FIRST)
    assert scene.token() == token


def be_without_an_api_server(scene: Scene) -> None:
    """Nobody writes, DNS stays, and all goes on by itself when it is back."""
    fleet = scene.fleet
    fleet.server.stand_still()
    names = list(fleet.replicas)
    fleet.wait(lambda: all(fleet.status(name)["role"] != "leader" for name in names))
    serial = scene.serial()
    scene.lose(FIRST)
    fleet.wait(lambda: any(fleet.row(name, "kubernetes") for name in names))
    fleet.wait(lambda: fleet.ctl(names[0], "status", "--check").returncode == 4)
    fleet.wait(lambda: "say down" in fleet.ctl(names[0], "events").stdout)
    assert scene.serial() == serial
    fleet.server.go_on()
    scene.wait_values(SECOND)
    fleet.wait(lambda: not any(fleet.row(name, "kubernetes") for name in names))
    scene.mend(FIRST)


def test_a_dry_run_writes_nothing_there_either(
    named: StartNamed, tmp_path: Path, make_fleet: Callable[..., Fleet]
) -> None:
    ground = BindGround(tmp_path, named)
    serial = ground.version()
    fleet = make_fleet(publisher=ground.toml, size=1)
    fleet.start("r1", flags=("-dry-run",))
    fleet.wait(lambda: fleet.status("r1")["loadbalancers"]["unknown"] == 0)
    assert fleet.status("r1")["role"] == "standby"
    assert fleet.server.lease() is None
    assert fleet.stop("r1") == 0
    assert ground.version() == serial
