"""The rules of `docs/safety.md` 2.1 to 2.3 and 3.1, one by one: the marker, before all else."""

from __future__ import annotations

from collections.abc import Iterable

from dnslb.decide.events import Event, FenceTaken, LeaseChanged, SettingsChanged
from dnslb.decide.intents import Intent, ReadZone, TakeFence
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Failure
from dnslb.model.rrset import ZoneReading
from tests.decide.test_rules import NAME, THREE, started
from tests.decide.world import World, balancer, settings

FENCED = Capabilities(fenced=True, marked=True, shared=True)
THEIRS = FencingToken("others", 9, 9, "x")


def fenced(**options: object) -> World:
    return started(capabilities=FENCED, **options)


def test_rule_2_1_a_deposed_writer_resigns_and_changes_nothing() -> None:
    world = fenced()
    world.markers["example.org"] = world.token._replace(term=1, nonce="n2")
    world.vote_all({"192.0.2.1": "down"})
    assert world.dns(NAME) == THREE
    assert len(world.resigned) == 1
    assert world.kinds()[0] == "resigned"
    world.vote_all({"192.0.2.2": "down"})
    world.wait(600)
    assert (world.dns(NAME), len(world.resigned), world.fences) == (THREE, 1, 1)
    del world.markers["example.org"]
    world.feed(LeaseChanged(world.lease(term=2, nonce="n3")))
    world.wait(4)
    assert world.dns(NAME) == THREE[2:]
    assert "resigned" not in world.kinds()


def test_rule_2_2_the_marker_is_taken_once_for_a_lease() -> None:
    world = fenced()
    assert world.markers == {"example.org": world.token}
    world.wait(900)
    world.command("sync")
    world.settings = settings(
        balancer(NAME, *THREE), balancer("api.example.org", "192.0.2.9"), capabilities=FENCED
    )
    world.feed(SettingsChanged(world.settings))
    world.vote_all("up")
    world.wait(4)
    assert world.dns("api.example.org") == ("192.0.2.9",)
    assert world.fences == 1


def test_rule_2_2_who_loses_the_marker_while_taking_it_resigns_and_does_not_take_again() -> None:
    world = World(settings(balancer(NAME, *THREE), capabilities=FENCED))
    world.markers["example.org"] = FencingToken("owner", 1, 5, "n9")
    world.start()
    world.vote_all("up")
    world.wait(600)
    assert (world.applied, world.fences, len(world.resigned)) == ([], 1, 1)


def test_rule_2_2_a_take_whose_end_is_unknown_is_repeated() -> None:
    world = World(settings(balancer(NAME, *THREE), capabilities=FENCED))
    world.fail_fence.append(Failure("unknown", "sent, and no answer came"))
    world.start()
    world.vote_all("up")
    world.wait(10)
    assert (world.dns(NAME), world.fences) == (THREE, 2)


def test_rule_2_3_a_foreign_owner_is_refused_and_hinders_no_other_zone() -> None:
    balancers = balancer(NAME, *THREE), balancer("www.example.net", "192.0.2.9")
    world = World(settings(*balancers, capabilities=FENCED), ("example.org", "example.net"))
    world.markers["example.org"] = THEIRS
    world.start()
    world.vote_all("up")
    world.wait(600)
    assert world.dns(NAME) == ()
    assert world.markers["example.org"] == THEIRS
    assert world.dns("www.example.net") == ("192.0.2.9",)
    assert world.resigned == []
    (row,) = [row for row in world.status.attention if row.kind == "zone-error"]
    assert row.severity == "critical"
    assert "dnslb adopt example.org" in row.sentence
    world.markers["example.org"] = FencingToken("owner", 0, 0, "adopted")
    world.command("sync")
    assert world.dns(NAME) == THREE


def test_rule_3_1_the_marker_is_taken_before_the_zone_is_read() -> None:
    world = World(settings(balancer(NAME, *THREE), capabilities=FENCED))
    world.fail_fence.append(Failure("temporary", "the server is busy"))
    intents: list[Intent] = world.start(lease=False).feed(LeaseChanged(world.lease()))
    assert [type(i) for i in intents if isinstance(i, TakeFence | ReadZone)] == [TakeFence]
    world.wait(0.3)
    assert world.fences == 1
    world.vote_all("up")
    world.wait(4)
    assert world.dns(NAME) == THREE


def test_rule_3_1_what_was_read_before_the_marker_was_ours_is_read_again() -> None:
    world = fenced()
    world.hold_reads = True
    world.command("sync")
    world.publish(NAME, "192.0.2.3")
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    (asked,) = world.reads_held
    world.finish_read(ZoneReading("example.org", asked.names, {}))
    assert world.applied[1:] == []
    assert len(world.reads_held) == 1
    world.finish_read()
    assert world.dns(NAME) == THREE
    assert world.markers["example.org"].term == 1


def test_rule_2_4_the_marker_is_taken_at_once_and_the_zone_read_after_the_wait() -> None:
    """So that a predecessor that is not quite dead finds itself deposed meanwhile."""
    marked = Capabilities(marked=True, shared=True, write_s_max=10.0)
    world = World(settings(balancer(NAME, *THREE), capabilities=marked)).start(lease=False)
    world.vote_all("up")
    world.wait(4)
    world.hold_reads = True
    world.feed(LeaseChanged(world.lease(clean=False)))
    assert world.markers == {"example.org": world.token}
    world.wait(9.9)
    assert world.reads_held == []
    world.wait(0.2)
    assert len(world.reads_held) == 1


class SlowFence(World):
    """``taking``: tokens that were to be put into the marker, and no answer came."""

    def _carry_out(self, intent: Intent) -> Iterable[Event]:
        if not isinstance(intent, TakeFence):
            return super()._carry_out(intent)
        self.__dict__.setdefault("taking", []).append(intent.token)
        return []


def test_rule_2_2_a_marker_that_takes_long_is_asked_for_once_for_a_lease() -> None:
    """The answer to an older lease's question is none to the newer one's."""
    world = SlowFence(settings(balancer(NAME, *THREE), capabilities=FENCED))
    world.start()
    world.wait(60)
    old = world.token
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    world.hold_reads = True
    world.feed(FenceTaken("example.org", old, None))
    world.wait(60)
    assert world.taking == [old, world.token]  # type: ignore[attr-defined]
    assert world.reads_held == []
    world.feed(FenceTaken("example.org", world.token, None))
    assert len(world.reads_held) == 1
