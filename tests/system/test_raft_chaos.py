"""Members and endpoints die at random before a real named, and not one answer is wrong.

What is held against every answer stands in `raft_observer`; a seed repeats what is done when,
as far as processes can.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnslbctl.client import Failed
from tests.system.grounds import ZONE, BindGround
from tests.system.holding_proxy import HoldingProxy
from tests.system.named import StartNamed
from tests.system.raft_observer import Observer
from tests.system.raft_stage import Cluster

WWW = f"www.{ZONE}"
ENDPOINTS = 4
# No cooldown, or after a few deaths nobody would return while we watch. Only a refused connection
# is a death: a machine under load is none.
LB = "up-after = 0\ninterval = 0.2\ntimeout = 5"
STEP_S_MAX = 0.4
AWAY_S_MAX = 1.5
LONG_S = 600.0


class Theatre:
    """Three members, four endpoints, and an observer of a named behind a proxy; close it."""

    def __init__(self, cluster: Cluster, ground: BindGround, proxy: HoldingProxy) -> None:
        self.cluster, self.ground, self.proxy = cluster, ground, proxy
        self.foreign = ground.foreign()
        cluster.form()
        everyone = {f"192.0.2.{i}" for i in range(1, ENDPOINTS + 1)}
        cluster.wait(lambda: ground.values(WWW) == everyone)
        self.observer = Observer(ground.named, WWW, ZONE, cluster.endpoints)
        self.wait(lambda: self.observer.settled)

    def wait(self, what: Callable[[], bool]) -> None:
        def checked() -> bool:
            self.observer.check()
            return what()

        self.cluster.wait(checked, 60)

    def all_is_right(self) -> None:
        """Everybody runs and agrees, everything lives and is published, nothing else changed."""
        for name, seat in self.cluster.seats.items():
            if seat.process is None:
                self.cluster.start(name)
        self.cluster.wait_ready(*self.cluster.seats)
        for address, life in self.observer.lives.items():
            if not life.lives:
                self.wait(lambda life=life: not life.published)  # type: ignore[misc]
                self.observer.raise_up(address)
        self.wait(lambda: self.observer.settled)
        self.wait(self.agreed)
        assert self.ground.foreign() == self.foreign

    def agreed(self) -> bool:
        """All say the same leader and term, and nobody wants a person."""
        try:
            told = [self.cluster.status(name) for name in self.cluster.seats]
        except Failed:
            return False
        return (
            len({(one["leader"] and one["leader"]["id"], one["term"]) for one in told}) == 1
            and [one["role"] for one in told].count("leader") == 1
            and not any(one["attention"] for one in told)
        )


@pytest.fixture
def theatre(
    tmp_path: Path, named: StartNamed, make_cluster: Callable[..., Cluster]
) -> Iterator[Theatre]:
    ground = BindGround(tmp_path, named)
    proxy = HoldingProxy(ground.named.address)
    toml = ground.toml.replace(f":{ground.named.port}", f":{proxy.port}")
    made = Theatre(make_cluster(publisher=toml, endpoints=ENDPOINTS, lb=LB), ground, proxy)
    yield made
    made.observer.close()
    proxy.close()


class Chaos:
    """What happens next; ``steps`` of it, each followed by what it undoes."""

    def __init__(self, theatre: Theatre, seed: int) -> None:
        self.theatre, self.cluster = theatre, theatre.cluster
        self.luck = random.Random(seed)
        self.returns: dict[str, tuple[float, Callable[[], object]]] = {}
        self.done: list[str] = []

    def step(self) -> None:
        self.theatre.observer.check()
        for name, (due, come_back) in list(self.returns.items()):
            if time.monotonic() >= due:
                del self.returns[name]
                come_back()
        self.luck.choice((self.strike, self.endpoint, self.endpoint))()
        time.sleep(self.luck.uniform(0, STEP_S_MAX))

    def finish(self) -> None:
        for _, come_back in self.returns.values():
            come_back()
        self.returns.clear()

    def endpoint(self) -> None:
        observer = self.theatre.observer
        address = self.luck.choice(sorted(observer.lives))
        life = observer.lives[address]
        if observer.may_die(address):
            self.done.append(f"{address} dies")
            observer.kill(address)
        elif not life.lives and not life.published:
            self.done.append(f"{address} rises")
            observer.raise_up(address)

    def strike(self) -> None:
        """Mostly one is away at a time; at times two, and nobody may write."""
        if len(self.returns) >= (2 if self.luck.random() < 0.2 else 1):
            return
        name = self.victim()
        how = self.luck.choice((signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM))
        if how is signal.SIGTERM and not self.answers(name):
            how = signal.SIGKILL  # who is just starting has no handler yet
        self.done.append(f"{name}: {how.name}")
        due = time.monotonic() + self.luck.uniform(0, AWAY_S_MAX)
        if how is signal.SIGSTOP:
            self.cluster.send_signal(name, how)
            self.returns[name] = due, lambda: self.cluster.send_signal(name, signal.SIGCONT)
        else:
            code = self.cluster.stop(name, how)
            assert code == (0 if how is signal.SIGTERM else -how), self.cluster[name].log[-3000:]
            self.returns[name] = due, lambda: self.cluster.start(name)

    def victim(self) -> str:
        """The leader as often as any other."""
        present = [name for name in self.cluster.seats if name not in self.returns]
        if self.luck.random() < 0.5:
            for name in present:
                if self.answers(name, "leader"):
                    return name
        return self.luck.choice(present)

    def answers(self, name: str, role: str = "") -> bool:
        try:
            told = self.cluster.status(name)["role"]
        except Failed:
            return False
        return role in ("", told)


def tell(theatre: Theatre, chaos: Chaos) -> None:
    """The figures, for whoever reads the output (pytest -rP)."""
    figures = theatre.observer.figures
    lost, back = sorted(figures.lost_s), sorted(figures.back_s)
    print(f"{len(chaos.done)} blows, {figures.answers} answers, terms {figures.terms}")
    for label, taken in (("dead until withdrawn", lost), ("risen until published", back)):
        if taken:
            middle = taken[len(taken) // 2]
            print(f"{label}: n {len(taken)} median {middle:.2f} s max {taken[-1]:.2f} s")


def test_not_one_answer_is_wrong_while_everything_dies(theatre: Theatre) -> None:
    """Then a leader sleeps with a write in the network, which arrives when another one leads."""
    chaos = Chaos(theatre, 3)
    for _ in range(60):
        chaos.step()
    conclude(chaos)


@pytest.mark.long
def test_ten_minutes_of_it(theatre: Theatre) -> None:
    """Each run with another seed, which stands in its output."""
    seed = time.time_ns()
    print(f"seed {seed}")
    chaos, end = Chaos(theatre, seed), time.monotonic() + LONG_S
    while time.monotonic() < end:
        chaos.step()
    conclude(chaos)


def conclude(chaos: Chaos) -> None:
    theatre = chaos.theatre
    chaos.finish()
    theatre.all_is_right()
    a_write_from_the_past(theatre)
    theatre.all_is_right()
    tell(theatre, chaos)


def a_write_from_the_past(theatre: Theatre) -> None:
    """Behind the last gate of its sender, only the server can refuse it, and does."""
    cluster, observer, ground = theatre.cluster, theatre.observer, theatre.ground
    leader = cluster.leader()
    old = observer.token
    theatre.proxy.hold_next()
    observer.kill("192.0.2.1")
    assert theatre.proxy.held.wait(timeout=20)
    cluster.send_signal(leader, signal.SIGSTOP)
    theatre.wait(lambda: not observer.lives["192.0.2.1"].published)
    assert observer.token != old
    observer.raise_up("192.0.2.1")
    theatre.wait(lambda: observer.settled)
    version, refused = ground.version(), ground.named.log.count("update unsuccessful")
    theatre.proxy.release()
    theatre.wait(lambda: ground.named.log.count("update unsuccessful") > refused)
    cluster.send_signal(leader, signal.SIGCONT)
    cluster.wait(lambda: cluster.status(leader)["role"] == "follower")
    assert ground.version() == version
