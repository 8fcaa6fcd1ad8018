"""First contact, adoption, drift and rivals: what makes an RRset ours, and what never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslb.decide.events import LeaseChanged
from dnslb.decide.ownership import earlier_than
from dnslb.model.checkpoint import EARLIER_MAX, Owned
from dnslb.model.outcome import Failure
from dnslb.model.rrset import RRsetKey
from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B, C, FOREIGN = "192.0.2.1", "192.0.2.2", "192.0.2.3", "203.0.113.9"


def test_waiting_for_verdicts_adopts_nothing() -> None:
    """While nothing is known, what is wanted is what stands; that does not make it ours."""
    world = World(settings(balancer(WWW, A, B)))
    world.publish(WWW, FOREIGN)
    world.start()
    world.vote_all("up")
    assert not world.held()
    world.wait(5)
    assert world.dns(WWW) == (FOREIGN,)
    assert world.kinds() == ["held-first-contact"]
    assert world.command("approve", *world.held()).ok
    assert world.dns(WWW) == (A, B)


def test_all_down_adopts_nothing() -> None:
    world = World(settings(balancer(WWW, A, B)))
    world.publish(WWW, FOREIGN)
    world.start()
    world.vote_all("down")
    world.wait(1)
    world.vote_all("up")
    world.wait(5)
    assert world.dns(WWW) == (FOREIGN,)
    assert world.kinds() == ["held-first-contact"]


@pytest.mark.parametrize("edit", [(A,), (FOREIGN,), ()])
def test_an_edit_while_nothing_is_known_is_no_adoption(edit: tuple[str, ...]) -> None:
    """The drift policy still holds when the verdicts are back."""
    world = World(settings(balancer(WWW, A, B), drift="hold")).start()
    world.vote_all("up")
    world.wait(5)
    world.wait(60, keep_fresh=False)
    world.publish(WWW, *edit)
    world.command("sync")
    world.vote_all("up")
    world.wait(5)
    assert world.dns(WWW) == edit
    assert world.kinds() == ["held-drift"]


def drifted(policy: str, **options: object) -> World:
    """Ours for a while; then somebody else puts an address in and takes one out."""
    world = World(settings(balancer(WWW, A, B), drift=policy, **options)).start()
    world.vote_all("up")
    world.wait(5)
    world.publish(WWW, A, FOREIGN)
    world.command("sync")
    return world


def test_drift_is_restored_and_says_so() -> None:
    world = drifted("restore")
    assert world.dns(WWW) == (A, B)
    change = world.applied[-1].changes[0]
    assert change.cause == "drift"
    assert "somebody else changed it" in change.reason


def test_drift_is_reported_and_left() -> None:
    world = drifted("report")
    world.wait(3600)
    assert world.dns(WWW) == (A, FOREIGN)
    assert world.kinds() == ["drift"]


def test_an_approved_drift_is_approved_once() -> None:
    """The approval is consumed by the write: the same edit a minute later asks again."""
    world = drifted("hold")
    assert world.dns(WWW) == (A, FOREIGN)
    assert world.command("approve", *world.held()).ok
    assert world.dns(WWW) == (A, B)
    assert not world.state.operator.approvals
    world.publish(WWW, A, FOREIGN)
    world.command("sync")
    assert world.dns(WWW) == (A, FOREIGN)
    assert world.kinds() == ["held-drift"]


def test_the_same_addresses_the_other_way_round_have_another_id() -> None:
    """An id stands for a change with its direction."""

    def asked(b_state: str, *edit: str) -> list[str]:
        world = World(settings(balancer(WWW, A, B), drift="hold")).start()
        world.vote_all({A: "up", B: b_state})
        world.wait(5)
        world.publish(WWW, *edit)
        world.command("sync")
        return world.held()

    adding, removing = asked("up", A), asked("down", A, B)
    assert len(adding) == len(removing) == 1
    assert adding != removing


def test_an_approved_first_contact_passes_the_guard_and_is_consumed() -> None:
    """What a person approved is what goes out, however small the budget."""
    world = World(settings(balancer(WWW, A, B, max_withdraw=0.0)))
    world.publish(WWW, FOREIGN, "203.0.113.10")
    world.start()
    world.vote_all("up")
    world.wait(5)
    assert world.kinds() == ["held-first-contact"]
    assert world.command("approve", *world.held()).ok
    assert world.dns(WWW) == (A, B)
    assert not world.state.operator.approvals
    assert not world.held()


def test_an_address_that_was_never_configured_did_not_leave_the_configuration() -> None:
    world = World(settings(balancer(WWW, A), adopt_existing=True))
    world.publish(WWW, FOREIGN)
    world.start()
    world.vote_all("up")
    world.wait(5)
    assert f"{FOREIGN} is not in the configuration" in world.applied[-1].changes[0].reason


def test_a_write_whose_outcome_is_unknown_is_never_taken_for_drift() -> None:
    """Whether it landed or not, and whatever was wanted next."""
    for landed in (True, False):
        world = World(settings(balancer(WWW, A, B), drift="report")).start()
        world.vote_all("up")
        world.wait(5)
        world.lose_answers(landed, 2)
        world.vote_all({A: "down"})
        world.vote_all({A: "up"})
        world.wait(60)
        assert world.dns(WWW) == (A, B)
        assert world.kinds() == []


@pytest.mark.parametrize("drift", ["restore", "report", "hold"])
@pytest.mark.parametrize("landed", [True, False])
def test_what_is_wanted_again_while_a_write_is_under_way_does_not_make_that_drift(
    landed: bool, drift: str
) -> None:
    """Until the write has ended, what stands may be what it is to make."""
    world = World(settings(balancer(WWW, A, B), drift=drift, upload_interval_s=1.0)).start()
    world.vote_all("up")
    world.wait(5)
    world.slow = True
    world.vote_all({A: "down"})
    (under_way,) = world.waiting
    world.command("force-up", A, lb=WWW)
    world.waiting, world.slow = [], False
    world.lose_answers(landed)
    world.feed(world._write(under_way))
    world.wait(60)
    assert world.dns(WWW) == (A, B)
    assert "drift" not in " ".join(world.kinds())
    assert not [text for kind, text in world.log if "somebody else" in text]


@pytest.mark.parametrize("drift", ["restore", "report", "hold"])
@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("loses_lease", [True, False])
def test_another_wish_while_a_write_is_under_way_does_not_make_that_drift(
    landed: bool, drift: str, loses_lease: bool
) -> None:
    """The later plan has its own intention; what the first one left is ours all the same."""
    world = World(settings(balancer(WWW, A, B, C), drift=drift)).start()
    world.vote_all("up")
    world.wait(5)
    world.slow = True
    world.vote_all({A: "down"})
    world.wait(4)
    world.vote_all({B: "down"})
    world.slow = False
    world.lose_answers(landed)
    world.finish_writes()
    if loses_lease:
        world.feed(LeaseChanged(None))
        world.feed(LeaseChanged(world.lease(1)))
    world.wait(60)
    assert world.dns(WWW) == (C,)
    assert not [text for kind, text in world.log if "somebody else" in text]


def overlapping(drift: str = "report") -> World:
    """A and B and C are published. A dies, and while that write is under way B dies, too: what
    that needs is stored and sent behind it."""
    world = World(settings(balancer(WWW, A, B, C, max_withdraw=1.0), drift=drift)).start()
    world.vote_all("up")
    world.wait(5)
    world.slow = True
    world.vote_all({A: "down"})
    world.wait(4)
    world.vote_all({B: "down"})
    world.wait(4)
    assert [[c.after and c.after.values for c in p.changes] for p in world.waiting] == [
        [(B, C)],
        [(C,)],
    ]
    return world


def heir_of(world: World) -> World:
    """Another instance, which knows what is stored and what stands in DNS, and no more."""
    heir = World(world.settings, records=world.records, state=world.state, now=world.now)
    heir.start()
    heir.vote_all({A: "down", B: "down", C: "up"})
    heir.wait(8)
    return heir


@pytest.mark.parametrize("landed", [(A, B, C), (B, C), (C,)])
@pytest.mark.parametrize("drift", ["restore", "report", "hold"])
def test_an_heir_knows_every_write_that_may_have_landed_as_ours(
    landed: tuple[str, ...], drift: str
) -> None:
    """The leader dies with two writes of one RRset under way; whichever of them were done."""
    world = overlapping(drift)
    world.publish(WWW, *landed)
    heir = heir_of(world)
    assert heir.dns(WWW) == (C,)
    assert not [text for kind, text in heir.log if "somebody else" in text]
    assert "drift" not in " ".join(heir.kinds())


@pytest.mark.parametrize("b_state", ["up", "down"])
def test_a_receipt_takes_nothing_back_of_what_a_later_write_intends(b_state: str) -> None:
    """The first of two is answered and that is stored, while the second one is past the gate, and
    perhaps not wanted any more, since B lives again."""
    world = overlapping("report")
    first, world.waiting = world.waiting[0], []
    world.vote_all({B: b_state})
    world.wait(400)
    world.feed(world._write(first))
    assert first in world.applied
    known = world.state.checkpoint.owned[RRsetKey(WWW, "A")]
    assert known.values == (B, C)
    assert (C,) in known.may_show


def test_what_no_write_can_have_left_is_drift_all_the_same() -> None:
    world = overlapping("report")
    world.publish(WWW, A, FOREIGN)
    assert "drift" in heir_of(world).kinds()


def test_intentions_that_were_never_carried_out_are_forgotten() -> None:
    """Verdicts that change a hundred times while nothing can be written leave no hundred answers
    to what may stand there; and a reading that shows it as wanted ends them all."""
    world = World(settings(balancer(WWW, A, B, C, max_withdraw=1.0))).start()
    world.vote_all("up")
    world.wait(5)
    world.refuse_writes(Failure("unknown", "sent, and no answer came"))
    for dead in (A, B, C) * 4:
        world.vote_all({A: "up", B: "up", C: "up"} | {dead: "down"})
        world.wait(30)
    [owned] = world.state.checkpoint.owned.values()
    assert len(owned.earlier) <= EARLIER_MAX
    world.refuse_writes(None)
    world.vote_all("up")
    world.wait(400)
    assert world.state.checkpoint.owned[RRsetKey(WWW, "A")] == Owned("example.org", 60, (A, B, C))


def test_earlier_intentions_are_few_and_none_is_told_twice() -> None:
    known = Owned("example.org", 60, (A,))
    for last in range(2, 20):
        intended = (f"192.0.2.{last}",)
        earlier = earlier_than(intended, known.values, known)
        assert len(set(known.may_show)) == len(known.may_show)
        known = replace(known, intended=intended, earlier=earlier)
    assert known.earlier == tuple((f"192.0.2.{last}",) for last in (18, 17, 16, 15))


def test_where_addresses_agree_the_ttl_is_named_as_what_differs() -> None:
    world = World(settings(balancer(WWW, A, B)))
    world.publish(WWW, A, B, ttl=300)
    world.start()
    world.vote_all("up")
    world.wait(5)
    (row,) = [row for row in world.status.attention if row.kind == "held-first-contact"]
    assert row.sentence == (
        f"{WWW} A exists (ttl 300) and differs from what dnslb would publish (ttl 60); "
        "it was never ours"
    )
