"""One name that the provider refuses, among others that must go on."""

from __future__ import annotations

import pytest

from dnslb.decide.events import WriteEnded
from dnslb.model.outcome import Failure, WriteOutcome
from dnslb.model.plan import Plan
from tests.decide.world import World, balancer, settings

NAMES = [f"w{i}.example.org" for i in range(5)]


class Picky(World):
    """Refuses every plan that touches one of ``bad``; counts how often it was asked."""

    bad: tuple[str, ...] = ()
    asked = 0

    def _write(self, plan: Plan) -> WriteEnded:
        self.asked += 1
        if not {change.key.name for change in plan.changes}.isdisjoint(self.bad):
            return WriteEnded(WriteOutcome(plan, Failure("refused", "422 not a valid record")))
        return super()._write(plan)


def pair(i: int) -> list[str]:
    return [f"192.0.2.{2 * i}", f"192.0.2.{2 * i + 1}"]


def picky(*bad: str) -> Picky:
    world = Picky(settings(*[balancer(name, *pair(i)) for i, name in enumerate(NAMES)]))
    world.start()
    world.vote_all("up")
    world.wait(5)
    world.bad, world.asked = bad, 0
    return world


def turn(world: World, vote: str) -> None:
    """The first endpoint of each name."""
    world.vote_all({pair(i)[0]: vote for i in range(5)})


def shown(world: World) -> list[int]:
    return [len(world.dns(name)) for name in NAMES]


@pytest.mark.parametrize("bad", NAMES)
def test_one_refused_name_does_not_hold_up_the_others(bad: str) -> None:
    world = picky(bad)
    turn(world, "down")
    world.wait(120)
    assert shown(world) == [2 if name == bad else 1 for name in NAMES]
    (row,) = [row for row in world.status.attention if row.kind == "zone-error"]
    assert row.sentence.startswith(f"zone example.org: {bad}: 422 not a valid record")
    assert world.status.zones["example.org"].refused == (bad,)
    turn(world, "up")
    world.wait(10)
    assert shown(world) == [2] * 5
    assert "zone-error" not in world.kinds()


def test_one_among_a_thousand_is_found_by_halves() -> None:
    names = [f"w{i}.example.org" for i in range(1000)]
    world = Picky(settings(*[balancer(name, "192.0.2.1") for name in names]))
    world.bad = (names[700],)
    world.start()
    world.vote_all("up")
    world.wait(60)
    assert [name for name in names if not world.dns(name)] == [names[700]]
    assert world.asked <= 25


def test_while_one_is_refused_others_change_at_once() -> None:
    world = picky(NAMES[0])
    turn(world, "down")
    world.wait(300)
    for i in (1, 2, 3, 4):
        world.vote_all({pair(i)[0]: "up"})
        world.wait(60)
        assert len(world.dns(NAMES[i])) == 2
        world.vote_all({pair(i)[0]: "down"})
        assert len(world.dns(NAMES[i])) == 1


def test_all_refused_are_tried_ever_more_slowly() -> None:
    """Wrong credentials are not the fault of a name: no storm of single tries."""
    world = picky(*NAMES)
    turn(world, "down")
    assert world.asked == 1
    world.wait(3600)
    assert world.asked <= 120
    world.asked = 0
    world.wait(3600)
    assert world.asked <= 90
    world.bad = ()
    world.wait(600)
    assert shown(world) == [1] * 5
    assert "zone-error" not in world.kinds()


def test_a_person_can_have_it_tried_again_at_once() -> None:
    world = picky(NAMES[2])
    turn(world, "down")
    world.wait(120)
    assert len(world.dns(NAMES[2])) == 2
    world.bad = ()
    assert world.command("sync").ok
    assert shown(world) == [1] * 5
    assert "zone-error" not in world.kinds()


def test_two_refused_names_stay_aside() -> None:
    world = picky(NAMES[1], NAMES[3])
    turn(world, "down")
    world.wait(400)
    assert shown(world) == [1, 2, 1, 2, 1]
    world.bad = ()
    world.wait(700)
    assert shown(world) == [1] * 5
