"""What operators ask for: judged by the live state, refused with the arithmetic, or recorded."""

from __future__ import annotations

import pytest

from dnslb.decide.events import SettingsChanged
from tests.decide.world import World, balancer, endpoint, settings

WWW = "www.example.org"
A, B = "192.0.2.1", "192.0.2.2"
SHARED = "http://10.0.0.1:8080/ready"


def test_one_of_two_addresses_behind_one_monitor_is_drained_alone() -> None:
    """An override is of an endpoint, not of whatever else its monitor speaks for."""
    world = World(settings(balancer(WWW, endpoint(SHARED, A), endpoint(SHARED, B)))).start()
    world.vote_all("up")
    world.wait(5)
    answer = world.command("drain", A)
    assert answer.ok
    assert answer.sentence == f"{A} ({SHARED}) in {WWW} is drained"
    assert world.dns(WWW) == (B,)
    assert not world.command("drain", B, insist=True).ok
    assert world.command("clear", A).ok
    assert world.command("drain", SHARED, insist=True).ok is False
    world.wait(5)
    assert world.dns(WWW) == (A, B)


@pytest.mark.parametrize("url", [f"tcp://{A}:80", f"{SHARED}?a=b"])
@pytest.mark.parametrize("leaves", ["endpoint", "load balancer"])
def test_an_override_of_what_left_the_configuration_can_be_cleared(url: str, leaves: str) -> None:
    """Its row would stand for ever, with a next step that is refused."""
    both = balancer(WWW, endpoint(url, A), endpoint(f"tcp://{B}:80"))
    other = balancer("api.example.org", "192.0.2.9")
    world = World(settings(both, other)).start()
    world.vote_all("up")
    world.wait(5)
    assert world.command("drain", A).ok
    rest = [balancer(WWW, B)] if leaves == "endpoint" else []
    world.settings = settings(*rest, other)
    world.feed(SettingsChanged(world.settings))
    world.wait(3700)
    (row,) = [row for row in world.status.attention if row.kind == "endless-drain"]
    words = row.next.split()
    assert words[:4] == ["dnslbctl", "--lb", WWW, "clear"]
    assert world.command("clear", words[4], lb=words[2]).ok
    assert not world.state.operator.overrides


def test_what_is_not_overridden_cannot_be_cleared() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    answer = world.command("clear", A)
    assert not answer.ok
    assert answer.sentence == f"nothing overrides {A}; see dnslbctl overrides"


def test_only_what_is_named_is_compared_and_what_is_unknown_is_refused() -> None:
    world = World(settings(balancer(WWW, A), balancer("www.example.net", A)))
    world.zones = ("example.org", "example.net")
    world.start()
    world.vote_all("up")
    world.wait(5)
    world.hold_reads = True
    answer = world.command("sync", "example.com")
    assert not answer.ok
    assert answer.sentence == "example.com is neither a load balancer nor a zone of dnslb"
    answer = world.command("sync", WWW)
    assert (answer.ok, answer.sentence) == (True, f"{WWW} is being read and compared")
    assert [read.zone for read in world.reads_held] == ["example.org"]
    assert world.command("sync").ok
    assert sorted(read.zone for read in world.reads_held) == ["example.net", "example.org"]
