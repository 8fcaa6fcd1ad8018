"""What may go out: ownership, guard, pauses and gates, over a world that answers at once."""

from __future__ import annotations

import pytest

from dnslb.decide import planner
from dnslb.model.plan import Change
from dnslb.model.rrset import RRset, RRsetKey
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


def test_another_sentence_for_the_same_change_is_not_another_write() -> None:
    """What lives elsewhere turned while the write was under way: it is sent once."""
    spare = endpoint(f"tcp://{C}:80", priority=1)
    lb = balancer(WWW, endpoint(f"tcp://{A}:80"), endpoint(f"tcp://{B}:80"), spare)
    world = World(settings(lb)).start()
    world.vote_all("up")
    world.wait(5)
    world.slow = True
    world.vote_all({A: "down"})
    world.vote_all({C: "down"})
    assert len(world.waiting) == 1
    world.finish_writes()
    assert world.dns(WWW) == (B,)
    assert "zone-error" not in world.kinds()


def test_an_approval_holds_while_an_operator_takes_one_of_the_addresses_out() -> None:
    """The id is that of what is held: without what leaves anyway, on its way or gone."""
    world = World(settings(balancer(WWW, A, B, C, D, max_withdraw=0.25))).start()
    world.vote_all("up")
    world.wait(5)
    world.vote_all({A: "down", B: "down", C: "down"})
    world.slow = True
    assert world.command("force-down", B).ok
    assert world.dns(WWW) == (B, C, D)
    assert world.command("approve", *world.held()).ok
    after = world.waiting[-1].changes[0].after
    assert after is not None
    assert after.values == (D,)


def test_a_plan_with_a_name_that_is_not_ours_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever defect made it: the plan refuses itself."""
    world = World(settings(balancer("www.example.org", "192.0.2.1", "192.0.2.2"))).start()
    world.vote_all("up")
    world.wait(5)
    world.publish("mail.example.org", "198.51.100.25")
    before = dict(world.records)

    def astray(*_: object) -> Change:
        key = RRsetKey("mail.example.org", "A")
        old = RRset(key, 60, ("198.51.100.25",))
        return Change(key, old, RRset(key, 60, ("192.0.2.1",)), "a defect", "health")

    monkeypatch.setattr(planner, "to_change", astray)
    world.vote_all({"192.0.2.1": "down"})
    world.wait(60)
    assert world.records == before
    assert "plan-refused" in world.kinds()


def test_a_dry_run_sends_nothing_even_with_a_lease() -> None:
    world = World(settings(balancer(WWW, A, B), dry_run=True)).start()
    world.vote_all("up")
    world.wait(60)
    assert (world.applied, world.records) == ([], {})
    assert [change.after for change in world.status.changes] == [(A, B)]
