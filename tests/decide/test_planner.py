"""What may go out: ownership, guard, pauses and gates, over a world that answers at once."""

from __future__ import annotations

from tests.decide.world import World, balancer, endpoint, settings

WWW = "www.example.org"
A, B, C, D = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"


def test_a_living_address_that_is_to_leave_is_held_once() -> None:
    """A better priority lives again: what the guard holds of the worse one is one episode."""
    spares = [endpoint(f"tcp://{a}:80", priority=1) for a in (B, C)]
    world = World(settings(balancer(WWW, endpoint(f"tcp://{A}:80"), *spares, max_withdraw=0.5)))
    world.start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down"})
    assert world.dns(WWW) == (B, C)
    world.wait(61)
    world.vote_all({A: "up"})
    world.wait(5)
    assert world.dns(WWW) == (A, C)
    (held,) = world.held()
    world.wait(600)
    assert world.held() == [held]
    assert world.command("approve", held).ok
    assert world.dns(WWW) == (A,)


def test_a_family_is_not_given_up_for_somebody_elses_addresses() -> None:
    """A would leave since AAAA lives; but what stands at AAAA is foreign and held."""
    six = "2001:db8::1"
    world = World(settings(balancer(WWW, A, six)))
    world.publish(WWW, A)
    world.publish(WWW, "2001:db8::bad", rtype="AAAA")
    world.start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down"})
    world.wait(1)
    assert world.dns(WWW) == (A,)
    assert world.dns(WWW, "AAAA") == ("2001:db8::bad",)
    assert set(world.kinds()) >= {"held-first-contact", "would-empty"}
    assert world.command("approve", *world.held()).ok
    assert not world.dns(WWW)
    assert world.dns(WWW, "AAAA") == (six,)
