"""The loop's view of the controller: deadlines that move on, and a rest that is reached."""

from __future__ import annotations

import pytest

from dnslb.decide.events import LeaseChanged, LoopStalled, SettingsChanged
from dnslb.model.outcome import Failure
from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B = "192.0.2.1", "192.0.2.2"


def rivalled(world: World) -> None:
    """Somebody else writes the RRset again and again, until dnslb waits before it restores."""
    for last in range(7, 12):
        world.publish(WWW, f"203.0.113.{last}")
        world.command("sync")


@pytest.mark.parametrize("provider", ["memory", None])
def test_an_override_ends_in_time(provider: str | None) -> None:
    """With and without a provider: verdicts are shown, and steered, without one too."""
    world = World(settings(balancer(WWW, A, B), provider=provider)).start()
    world.vote_all("up")
    world.command("force-up", A, expires_wall=world.now.wall + 30)
    world.wait(29)
    assert world.status.operator.overrides
    world.wait(1)
    assert not world.status.operator.overrides


def test_deadlines_move_on_without_the_lease() -> None:
    """What the lease holder alone may end is no reason for others to hurry."""
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.command("force-up", A, expires_wall=world.now.wall + 30)
    rivalled(world)
    assert "rival-writer" in world.kinds()
    world.feed(LeaseChanged(None))
    world.wait(600)


def test_deadlines_move_on_while_a_zone_cannot_be_read() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    rivalled(world)
    assert "rival-writer" in world.kinds()
    world.refuse_reads("unreachable")
    world.command("sync")
    world.wait(600)


def test_an_endless_override_is_listed_on_time() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    assert world.command("drain", A).ok
    world.wait(3599)
    assert "endless-drain" not in world.kinds()
    world.wait(1)
    assert "endless-drain" in world.kinds()


@pytest.mark.parametrize("where", ["read", "write"])
def test_who_loses_the_fence_writes_no_more(where: str) -> None:
    """Also while the elector has not given the lease up, and however often it is prolonged."""
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    lost = Failure("fenced", "the marker of example.org holds the token of another writer")
    (world.fail_read if where == "read" else world.fail_write).append(lost)
    world.command("sync")
    world.vote_all({A: "down"})
    assert world.resigned == [lost.sentence]
    assert lost.sentence in " ".join(row.sentence for row in world.status.attention)
    for _ in range(3):
        world.feed(LeaseChanged(world.lease()))
        world.wait(30)
    assert world.status.lease is None
    assert world.dns(WWW) == (A, B)
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    assert world.dns(WWW) == (B,)


def test_a_zone_that_serves_no_name_any_more_is_forgotten() -> None:
    """With its error, its held changes and its reads: nobody could ever end them."""
    old, new = balancer("www.old.org", A, B, max_withdraw=0.0), balancer(WWW, B)
    world = World(settings(old, new), zones=("example.org", "old.org")).start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down"})
    world.refuse_reads("unreachable")
    world.command("sync")
    assert set(world.kinds()) >= {"held-withdrawal", "zone-error"}
    world.settings = settings(new)
    world.feed(SettingsChanged(world.settings))
    assert world.command("release", "www.old.org").ok
    world.refuse_reads(None)
    world.command("sync")
    world.wait(1000)
    assert list(world.status.zones) == ["example.org"]
    assert world.kinds() == []
    assert not world.held()


def test_who_does_not_lead_shows_no_open_changes() -> None:
    """What is held is asked of the lease holder; here it would only grow old."""
    world = World(settings(balancer(WWW, A, B, max_withdraw=0.0))).start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down"})
    held = world.held()
    assert held
    world.feed(LeaseChanged(None))
    assert not world.held()
    assert "held-withdrawal" not in world.kinds()
    world.feed(LeaseChanged(world.lease(term=1, nonce="n2")))
    assert world.held() == held


def test_a_round_told_just_before_a_stall_is_void() -> None:
    """Were it in the same instant: what was under way then proves nothing."""
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    world.slow = True
    world.vote_all({A: "down"})
    world.slow = False
    world.refuse_writes(Failure("gated", "replaced"))
    world.finish_writes()
    world.refuse_writes(None)
    world.feed(LoopStalled(0.5))
    world.wait(1)
    assert world.status.gate is not None
    assert world.dns(WWW) == (A, B)
    world.vote_all({A: "down"})
    assert world.dns(WWW) == (B,)
