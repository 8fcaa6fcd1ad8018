"""A name whose zone becomes another one: a part that is cut off, a part that is taken back."""

from __future__ import annotations

from dnslb.decide.events import WriteEnded
from dnslb.model.capabilities import Capabilities
from dnslb.model.outcome import Failure, WriteOutcome
from dnslb.model.plan import Plan
from dnslb.model.rrset import ZoneReading
from tests.decide.world import World, balancer, settings

ORG, SUB = "example.org", "sub.example.org"
WWW, ONE, TWO = f"www.{ORG}", f"a.{SUB}", f"b.{SUB}"
FENCED = Capabilities(fenced=True, marked=True, shared=True)


class Moving(World):
    """``zones`` may be changed; what stood in a name's old zone is not in the new one, and no zone
    is read or written for a name that is another's."""

    def _serves(self, zone: str, name: str) -> bool:
        return max((z for z in self.zones if name.endswith(z)), key=len) == zone

    def cut(self, *zones: str) -> None:
        self.zones = zones
        for key in [key for key in self.records if key.name.endswith(SUB)]:
            del self.records[key]

    def _read(self, zone: str, names: frozenset[str]) -> ZoneReading | Failure:
        if zone not in self.zones:
            return Failure("refused", f"{zone} is not here")
        reading = super()._read(zone, names)
        assert isinstance(reading, ZoneReading)
        here = {k: r for k, r in reading.rrsets.items() if self._serves(zone, k.name)}
        return ZoneReading(zone, names, here)

    def _write(self, plan: Plan) -> WriteEnded:
        for change in plan.changes:
            if not self._serves(plan.zone, change.key.name):
                refused = Failure("refused", f"{change.key.name} is in another zone")
                return WriteEnded(WriteOutcome(plan, refused))
        return super()._write(plan)


def moving(*zones: str, **options: object) -> Moving:
    names = (WWW, ONE, TWO)
    lbs = [balancer(n, f"192.0.2.{i}1", f"192.0.2.{i}2") for i, n in enumerate(names, 1)]
    world = Moving(settings(*lbs, capabilities=FENCED, **options), zones)
    world.start()
    world.vote_all("up")
    world.wait(5)
    assert [len(world.dns(name)) for name in names] == [2, 2, 2]
    return world


def assert_all_well(world: Moving) -> None:
    world.vote_all({"192.0.2.21": "down"})
    world.wait(120)
    assert world.dns(ONE) == ("192.0.2.22",)
    assert len(world.dns(WWW)) == len(world.dns(TWO)) == 2
    assert not {"zone-error", "drift", "no-zone"} & set(world.kinds())
    assert set(world.status.zones) == set(world.zones)


def test_a_part_that_became_a_zone_of_its_own_is_found() -> None:
    world = moving(ORG)
    world.cut(ORG, SUB)
    world.wait(900)
    assert world.markers.keys() == {ORG, SUB}
    assert_all_well(world)


def test_a_part_that_was_taken_back_is_found() -> None:
    world = moving(ORG, SUB)
    world.cut(ORG)
    world.wait(900)
    assert_all_well(world)


def test_a_zone_that_is_gone_comes_back() -> None:
    """Nobody serves it for a while: names stay where they are, and no other zone is bothered."""
    world = moving(ORG, SUB)
    world.cut(ORG)
    world.zones = (ORG, "example.net")
    world._serves = lambda zone, name: name == WWW  # type: ignore[method-assign]
    world.wait(900)
    del world._serves
    world.zones = (ORG, SUB)
    world.wait(900)
    assert_all_well(world)


def test_a_start_with_a_memory_of_the_old_zone_finds_the_new_one() -> None:
    before = moving(ORG)
    before.cut(ORG, SUB)
    world = Moving(before.settings, before.zones, before.records, state=before.state)
    world.start()
    world.vote_all("up")
    world.wait(120)
    assert_all_well(world)


def test_what_stands_in_the_new_zone_is_not_ours_for_that() -> None:
    """Neither drift to be put right nor an old possession: a first contact."""
    world = moving(ORG)
    world.cut(ORG, SUB)
    world.publish(ONE, "198.51.100.1")
    world.wait(900)
    assert world.dns(ONE) == ("198.51.100.1",)
    assert [kind for kind in world.kinds() if kind.startswith("held")] == ["held-first-contact"]
    assert len(world.dns(TWO)) == 2


def test_a_person_who_asks_is_answered_at_once_whatever_the_drift_policy() -> None:
    world = moving(ORG, drift="report")
    world.cut(ORG, SUB)
    assert world.command("sync").ok
    world.wait(2)
    assert_all_well(world)
