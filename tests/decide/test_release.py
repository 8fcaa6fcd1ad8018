"""A load balancer leaves the configuration: its records stay until a person says otherwise."""

from __future__ import annotations

from dnslb.decide.events import SettingsChanged
from tests.decide.world import World, balancer, settings

WWW, OLD = "www.example.org", "old.example.org"
KEPT, GONE = balancer(WWW, "192.0.2.1"), balancer(OLD, "192.0.2.2", "2001:db8::2")


def reload(world: World, *names: str) -> None:
    world.settings = settings(*[lb for lb in (KEPT, GONE) if lb.name in names])
    world.feed(SettingsChanged(world.settings))


def released() -> World:
    world = World(settings(KEPT, GONE)).start()
    world.vote_all("up")
    world.wait(5)
    reload(world, WWW)
    return world


def test_released_records_stay_and_are_listed() -> None:
    world = released()
    world.wait(1000)
    assert world.dns(OLD) == ("192.0.2.2",)
    assert world.dns(OLD, "AAAA") == ("2001:db8::2",)
    assert world.status.released == (OLD,)
    assert world.kinds() == ["released"]


def test_a_deletion_is_done_once() -> None:
    """It ends with the deletion: a name that returns and leaves again is released, not deleted."""
    world = released()
    assert world.command("release", OLD, delete=True).ok
    assert not world.dns(OLD)
    assert not world.dns(OLD, "AAAA")
    assert not world.status.operator.deletions
    assert not world.state.operator.deletions
    assert not world.status.released
    reload(world, WWW, OLD)
    world.vote_all("up")
    world.wait(5)
    assert world.dns(OLD) == ("192.0.2.2",)
    reload(world, WWW)
    world.wait(5)
    assert world.dns(OLD) == ("192.0.2.2",)
    assert world.status.released == (OLD,)


def test_a_name_that_returns_before_its_deletion_is_not_deleted() -> None:
    world = released()
    assert world.command("pause").ok
    assert world.command("release", OLD, delete=True).ok
    reload(world, WWW, OLD)
    world.vote_all("up")
    world.wait(5)
    assert not world.state.operator.deletions
    assert world.command("resume").ok
    reload(world, WWW)
    world.wait(5)
    assert world.dns(OLD) == ("192.0.2.2",)


def test_a_pause_holds_a_deletion_back() -> None:
    world = released()
    assert world.command("pause").ok
    assert world.command("release", OLD, delete=True).ok
    world.wait(5)
    assert world.dns(OLD) == ("192.0.2.2",)
    assert world.command("resume").ok
    assert world.dns(OLD) == ()


def test_what_somebody_else_changed_is_not_deleted() -> None:
    world = released()
    world.publish(OLD, "203.0.113.9")
    assert world.command("release", OLD, delete=True).ok
    world.command("sync")
    assert world.dns(OLD) == ("203.0.113.9",)
    assert "not deleted" in " ".join(row.sentence for row in world.status.attention)


def test_a_released_name_can_be_forgotten() -> None:
    world = released()
    assert world.command("release", OLD).ok
    assert world.dns(OLD) == ("192.0.2.2",)
    assert not world.status.released
    assert not [key for key in world.state.checkpoint.owned if key.name == OLD]


def test_a_configured_name_is_not_released() -> None:
    answer = released().command("release", WWW, delete=True)
    assert not answer.ok
    assert "still configured" in answer.sentence
