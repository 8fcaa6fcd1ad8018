"""A change that a person's order made names the order; one that the agents made names none."""

from __future__ import annotations

from dnslb.decide import reason
from dnslb.model.operator import Override
from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def opened() -> World:
    world = World(settings(balancer(WWW, A, B, C))).start()
    world.vote_all("up")
    world.wait(5)
    return world


def last(world: World) -> str:
    """What was applied last."""
    texts = [text for kind, text in world.log if kind == "applied"]
    return texts[-1].removeprefix(f"{WWW} A: ")


def test_a_forced_address_names_who_forced_it_and_who_no_longer_does() -> None:
    world = opened()
    world.vote_all({A: "down"})
    assert last(world) == f"withdraws {A}: 2 of 3 addresses live"
    assert world.command("force-up", A).ok
    assert last(world) == f"adds {A}: forced up by kim: test; 3 of 3 addresses live"
    assert world.command("clear", A).ok
    assert last(world) == f"withdraws {A}: no longer forced up by kim: test; 2 of 3 addresses live"


def test_what_the_agents_do_after_an_order_ended_is_not_laid_to_it() -> None:
    world = opened()
    assert world.command("drain", A).ok
    world.vote_all({A: "down"})
    assert world.command("clear", A).ok
    world.wait(70)
    world.vote_all({A: "up"})
    world.wait(70)
    assert last(world) == f"adds {A}: 3 of 3 addresses live"


def test_only_the_address_that_was_ordered_out_is_laid_to_the_order() -> None:
    world = opened()
    assert world.command("pause").ok
    world.vote_all({B: "down"})
    assert world.command("drain", A).ok
    assert world.command("resume").ok
    assert last(world) == f"withdraws {A}, {B}: {A} drained by kim: test; 1 of 3 addresses live"


def test_a_long_reason_is_cut_and_orders_are_counted() -> None:
    order = reason.ordered(Override(WWW, A, "drain", "x" * 200, "kim", 0.0))
    assert len(order) == 120
    assert order.startswith("drained by kim: xxx")
    many = {f"192.0.2.{i}": f"drained by kim: {i}" for i in range(1, 7)}
    assert reason.by_orders(many, 6, "why") == (
        "192.0.2.1 drained by kim: 1; 192.0.2.2 drained by kim: 2; 192.0.2.3 drained by kim: 3; "
        "3 more orders; why"
    )
    assert reason.by_orders({A: "o", B: "o"}, 2, "why") == "o; why"
    assert reason.by_orders({A: "o"}, 2, "why") == f"{A} o; why"
