"""First contact, adoption, drift and rivals: what makes an RRset ours, and what never does."""

from __future__ import annotations

import pytest

from dnslb.decide.events import LeaseChanged
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
