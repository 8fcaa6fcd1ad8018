"""Finding the zones of many names: a zone is read for all of them, not for each."""

from __future__ import annotations

from collections.abc import Iterable

from dnslb.decide.events import Event, LeaseChanged, StateLoaded, ZoneFound
from dnslb.decide.intents import FindZones, Intent, ReadZone
from dnslb.model.outcome import Failure
from tests.decide.world import World, balancer, settings

COUNT = 300


class Seeker(World):
    """A world in which whoever finds zones takes its time."""

    def find(self, seconds_each: float) -> list[Intent]:
        """Answers, one by one, what was asked at the start."""
        seen: list[Intent] = []
        for name in self.asked:
            self.now = self.now.later(seconds_each)
            seen += self.feed(ZoneFound(name, "example.org"))
        return seen

    def _carry_out(self, intent: Intent) -> Iterable[Event]:
        if isinstance(intent, FindZones):
            self.asked = intent.names
            return []
        return super()._carry_out(intent)


def seeker() -> Seeker:
    names = [balancer(f"n{i}.example.org", "192.0.2.1", "192.0.2.2") for i in range(COUNT)]
    world = Seeker(settings(*names))
    world.start()
    world.vote_all("up")
    return world


def reads_in(intents: list[Intent]) -> list[ReadZone]:
    return [intent for intent in intents if isinstance(intent, ReadZone)]


def test_a_quick_search_leads_to_one_reading() -> None:
    world = seeker()
    (read,) = reads_in(world.find(0.001))
    assert len(read.names) == COUNT
    world.wait(4)
    assert all(world.dns(name) for name in world.asked)


def test_a_slow_search_leads_to_a_reading_a_second() -> None:
    world = seeker()
    reads = reads_in(world.find(0.02))
    assert 2 <= len(reads) <= COUNT * 0.02 + 1
    assert len(reads[-1].names) == COUNT


def test_a_search_that_never_ends_does_not_hold_up_what_was_found() -> None:
    world = seeker()
    last, world.asked = world.asked[-1], world.asked[:-1]
    assert reads_in(world.find(0.001)) == []
    world.wait(6)
    assert all(world.dns(name) for name in world.asked)
    world.feed(ZoneFound(last, Failure("temporary", "it took too long")))
    assert world.dns(last) == ()


def test_what_is_read_again_for_a_reason_does_not_wait_for_a_search() -> None:
    world = seeker()
    last, world.asked = world.asked[-1], world.asked[:-1]
    world.find(0.001)
    world.wait(6)
    world.fail_write.append(Failure("conflict", "somebody was quicker"))
    world.vote_all({"192.0.2.2": "down"})
    assert all(world.dns(name) == ("192.0.2.1",) for name in world.asked)
    assert world.dns(last) == ()


def test_who_may_not_write_any_more_shows_what_others_wrote_since() -> None:
    """It does not read; the others' writes reach it with the stored state."""
    made = settings(balancer("www.example.org", "192.0.2.1", "192.0.2.2"))
    other, this = World(made).start(), World(made).start()

    def shown() -> tuple[str, ...] | None:
        return this.status.loadbalancers["www.example.org"].published

    for world in (other, this):
        world.vote_all("up")
        world.wait(5)
    assert shown() == ("192.0.2.1", "192.0.2.2")
    this.feed(LeaseChanged(None))
    assert shown() == ("192.0.2.1", "192.0.2.2")
    other.vote_all({"192.0.2.1": "down"})
    other.wait(5)
    this.feed(StateLoaded(other.state, 0.0))
    assert shown() == ("192.0.2.2",)
    rows = this.status.loadbalancers["www.example.org"].endpoints
    assert [row.published for row in rows] == [False, True]
    this.feed(LeaseChanged(this.lease(term=2)))
    this.wait(5)
    assert shown() == ("192.0.2.1", "192.0.2.2"), "its own reading and writing count again"
