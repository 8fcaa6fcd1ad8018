"""Members in a network that breaks, each on a host of its own, with certificates and a real named.

What is held against every answer stands in `raft_observer`; who sent each write, named's log says.
Endpoints have a host, too, which all members reach: where the network between members breaks, an
agent that is cut off sees what the others see, and must not act on it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.network import MakeNetwork, both_ways
from tests.system.raft_observer import Observer
from tests.system.raft_stage import Cluster
from tests.system.test_raft_tls import make_pki

WWW = f"www.{ZONE}"
MEMBERS = ("m1", "m2", "m3")
DNS, WEB = "dns", "web"
# Nobody waits for a return, and only a refused connection is a death.
LB = "up-after = 0\ninterval = 0.2\ntimeout = 5"
LEADERLESS = "raft-no-leader"
Ways = tuple[tuple[str, str], ...]
_WRITER = re.compile(rf"client \S+ (\S+)#\d+/key \S+: updating zone '{ZONE}/IN'")


class Scene:
    """Three members on three hosts; close it."""

    def __init__(self, tmp_path: Path, named: StartNamed, network: MakeNetwork) -> None:
        self.network = network(*MEMBERS, DNS, WEB)
        places = self.network.places
        self.ground = BindGround(tmp_path, named, place=places[DNS])
        directory = tmp_path / "members"
        directory.mkdir()
        self.cluster = Cluster(
            directory,
            publisher=self.ground.toml,
            endpoints=3,
            lb=LB,
            places={name: places[name] for name in MEMBERS},
            web=places[WEB],
        )
        hosts = {name: places[name].host for name in MEMBERS}
        self.cluster.certificates = make_pki(tmp_path / "pki", *MEMBERS, **hosts)
        self.foreign = self.ground.foreign()
        self.cluster.form()
        self.cluster.wait(lambda: len(self.ground.values(WWW)) == 3)
        self.observer = Observer(self.ground.named, WWW, ZONE, self.cluster.endpoints)
        self.wait(lambda: self.observer.settled)

    def close(self) -> None:
        self.observer.close()
        self.cluster.close()

    def wait(self, what: Callable[[], bool], patience_s: float = 60) -> None:
        def checked() -> bool:
            self.observer.check()
            return what()

        self.cluster.wait(checked, patience_s)

    def others(self, name: str) -> list[str]:
        return [one for one in MEMBERS if one != name]

    def role(self, name: str) -> str:
        return str(self.cluster.status(name)["role"])

    def kinds(self, name: str) -> set[str]:
        return {row["kind"] for row in self.cluster.status(name)["attention"]}

    def writers(self) -> list[str]:
        """Who sent each update that the server took, in their order."""
        hosts = {place.address: name for name, place in self.network.places.items()}
        return [hosts[address] for address in _WRITER.findall(self.ground.named.log)]

    def lose(self, address: str) -> None:
        self.observer.kill(address)
        self.wait(lambda: not self.observer.lives[address].published)

    def regain(self, address: str) -> None:
        self.observer.raise_up(address)
        self.wait(lambda: self.observer.settled)

    def tell(self) -> None:
        """How it ended, for whoever reads the output of a failure."""
        for name in MEMBERS:
            status = self.cluster.status(name)
            print(name, status["role"], status["term"], status["attention"])

    def all_is_right(self) -> None:
        """Everybody says the same leader, and nobody needs a person."""

        def agreed() -> bool:
            told = [self.cluster.status(name) for name in MEMBERS]
            return (
                len({(one["leader"] and one["leader"]["id"], one["term"]) for one in told}) == 1
                and not any(one["attention"] for one in told)
                and self.observer.settled
            )

        self.wait(agreed)
        assert self.ground.foreign() == self.foreign


@pytest.fixture
def scene(tmp_path: Path, named: StartNamed, network: MakeNetwork) -> Iterator[Scene]:
    made = Scene(tmp_path, named, network)
    yield made
    made.tell()
    made.close()


# --------------------------------------------------------------------- the leader and the others


def apart(leader: str, others: list[str]) -> Ways:
    return both_ways(leader, *others)


def unheard(leader: str, others: list[str]) -> Ways:
    return tuple((leader, other) for other in others)


def deaf(leader: str, others: list[str]) -> Ways:
    return tuple((other, leader) for other in others)


def alone(leader: str, others: list[str]) -> Ways:
    return both_ways(leader, *others, DNS, WEB)


@pytest.mark.parametrize(
    "ways", [apart, *(pytest.param(one, marks=pytest.mark.long) for one in (unheard, deaf, alone))]
)
def test_a_leader_that_is_cut_off_writes_nothing_any_more(
    scene: Scene, ways: Callable[[str, list[str]], Ways]
) -> None:
    """And another one does, who goes on when the network is whole again."""
    old = scene.cluster.leader()
    cut = ways(old, scene.others(old))
    scene.network.cut(*cut)
    heir = scene.cluster.leader(but=old)
    scene.wait(lambda: scene.role(old) != "leader")
    scene.lose("192.0.2.1")
    since = len(scene.writers())
    scene.regain("192.0.2.1")
    said = f"{old}, this one, leads no more"
    assert said in scene.cluster.ctl(old, "events").stdout
    scene.wait(lambda: LEADERLESS in scene.kinds(old))
    assert scene.writers()[since:]
    assert old not in scene.writers()[since:]
    scene.network.heal(*cut)
    scene.all_is_right()
    print(f"{old} was cut off, {heir} led; terms {scene.observer.figures.terms}")


@pytest.mark.long
def test_where_nobody_reaches_a_majority_nothing_is_written(scene: Scene) -> None:
    """A death stays published: not to know who may write is no reason to write."""
    cut = tuple((one, other) for one in MEMBERS for other in scene.others(one))
    scene.network.cut(*cut)
    for name in MEMBERS:
        scene.wait(lambda name=name: LEADERLESS in scene.kinds(name))  # type: ignore[misc]
    version = scene.ground.version()
    scene.observer.kill("192.0.2.1")
    for name in MEMBERS:
        scene.wait(lambda name=name: dead(scene, name, "192.0.2.1"))  # type: ignore[misc]
    assert scene.ground.version() == version
    assert scene.observer.lives["192.0.2.1"].published
    scene.network.heal(*cut)
    scene.wait(lambda: not scene.observer.lives["192.0.2.1"].published)
    scene.regain("192.0.2.1")
    scene.all_is_right()


def dead(scene: Scene, name: str, address: str) -> bool:
    """Whether the agent of this member says so."""
    found = scene.cluster.client(name).get("/endpoints").value
    (one,) = [one for one in found if one["address"] == address]
    return bool(one["votes"][name]["vote"] == "down")


@pytest.mark.long
def test_one_link_that_is_broken_stops_nobody(scene: Scene) -> None:
    """A member that does not hear the leader, while the third hears both, unseats nobody for
    long: with each election it would else be another one's turn."""
    leader = scene.cluster.leader()
    cut = both_ways(leader, scene.others(leader)[0])
    scene.network.cut(*cut)
    for _ in range(5):
        scene.lose("192.0.2.1")
        scene.regain("192.0.2.1")
    print(f"terms {scene.observer.figures.terms}")
    scene.network.heal(*cut)
    scene.all_is_right()


# ----------------------------------------------------------------------- the leader and the server


@pytest.mark.long
@pytest.mark.parametrize("lost", ["both", "answers"])
def test_a_leader_that_does_not_reach_the_server_says_so(scene: Scene, lost: str) -> None:
    """It leads on, since it cannot know that another one would; a person may hand over. Where
    only answers are lost, it does not know what became of what it sent."""
    leader = scene.cluster.leader()
    cut = both_ways(leader, DNS) if lost == "both" else ((DNS, leader),)
    scene.network.cut(*cut)
    scene.observer.kill("192.0.2.1")
    scene.wait(lambda: "zone-error" in scene.kinds(leader))
    print(scene.cluster.status(leader)["attention"])
    assert scene.role(leader) == "leader"
    scene.cluster.raft(leader, "leadership_transfer")
    scene.wait(lambda: not scene.observer.lives["192.0.2.1"].published)
    scene.network.heal(*cut)
    scene.regain("192.0.2.1")
    scene.all_is_right()


# ----------------------------------------------------------------------------- all of it, at random


@pytest.mark.long
def test_a_network_that_loses_what_it_likes(scene: Scene) -> None:
    """Any way is cut at any time, for as long as it takes a packet or an election; one seed for
    each run, which stands in its output."""
    seed = time.time_ns()
    print(f"seed {seed}")
    luck, end = random.Random(seed), time.monotonic() + 90
    everywhere = [(a, b) for a in (*MEMBERS, DNS) for b in (*MEMBERS, DNS) if a != b]
    lost: dict[tuple[str, str], float] = {}
    blows = 0
    while time.monotonic() < end:
        scene.observer.check()
        for way, until in list(lost.items()):
            if time.monotonic() >= until:
                scene.network.heal(way)
                del lost[way]
        if len(lost) < 3 and (way := luck.choice(everywhere)) not in lost:
            scene.network.cut(way)
            lost[way] = time.monotonic() + luck.choice((0.05, 0.3, 2.0))
            blows += 1
        blows += strike_an_endpoint(scene, luck)
        time.sleep(luck.uniform(0, 0.1))
    scene.network.heal(*lost)
    for address, life in scene.observer.lives.items():
        if not life.lives:
            scene.wait(lambda life=life: not life.published)  # type: ignore[misc]
            scene.observer.raise_up(address)
    scene.all_is_right()
    figures = scene.observer.figures
    print(f"{blows} blows, {figures.answers} answers, terms {figures.terms}")


def strike_an_endpoint(scene: Scene, luck: random.Random) -> bool:
    address = luck.choice(sorted(scene.observer.lives))
    life = scene.observer.lives[address]
    if scene.observer.may_die(address):
        scene.observer.kill(address)
        return True
    if not life.lives and not life.published:
        scene.observer.raise_up(address)
        return True
    return False
