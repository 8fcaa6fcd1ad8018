"""What of a change two configurations that differ have alike, and what is remembered of each."""

from __future__ import annotations

from dnslb.decide.guard import Guard
from dnslb.decide.precedent import prints_of
from dnslb.election import state_codec
from dnslb.election.raft import machine
from dnslb.model.checkpoint import PutInForce, RecordDecisions
from tests.decide.test_precedent import FOREIGN, WWW, A, B, C, D, at, heir, lb, ruled


def test_an_endpoint_that_is_checked_otherwise_is_not_withdrawn_for_that() -> None:
    """A wrong path in one file looks like death; it is no death of what is in force."""
    world = heir(ruled(lb(at(A), at(B))), lb(at(A), at(B, path="typo")))
    world.vote_all({B: "down"})
    world.wait(5)
    assert world.dns(WWW) == (A, B)
    assert "held-configuration" in world.kinds()
    world.vote_all({A: "down", B: "up"})
    world.wait(5)
    assert world.dns(WWW) == (B,)


def test_another_priority_moves_nobody_unasked() -> None:
    world = heir(ruled(lb(at(A), at(B, 1))), lb(at(A, 1), at(B)))
    assert world.dns(WWW) == (A,)
    world.vote_all({A: "down"})
    world.wait(5)
    # Its death is no matter of priorities, but who takes its place is: in doubt it stays.
    assert world.dns(WWW) == (A,)
    assert "held-configuration" in world.kinds()


def test_priorities_that_are_alike_work_as_ever() -> None:
    """Something else of the name differs."""
    before = ruled(lb(at(A), at(B, 1), min_published=1))
    world = heir(before, lb(at(A), at(B, 1), up_after_s=4.0))
    world.slow = True
    world.vote_all({A: "down"})
    world.wait(5)
    assert not world.held()
    world.slow = False
    world.finish_writes()
    assert world.dns(WWW) == (B,)
    world.vote_all({A: "up"})
    world.wait(20)
    assert world.dns(WWW) == (A,)
    assert not world.held()


def test_a_fallback_that_both_have_works_as_ever() -> None:
    both = {"when_all_down": "fallback", "fallback": (D,)}
    world = heir(ruled(lb(A, **both)), lb(A, up_after_s=4.0, **both))
    world.vote_all({A: "down"})
    world.wait(5)
    assert world.dns(WWW) == (D,)
    world.vote_all({A: "up"})
    world.wait(20)
    assert world.dns(WWW) == (A,)
    world = heir(ruled(lb(A)), lb(A, **both))
    world.vote_all({A: "down"})
    world.wait(5)
    assert world.dns(WWW) == (A,)


def test_operators_and_drift_are_no_matter_of_the_configuration() -> None:
    world = heir(ruled(lb(A, B, C)), lb(A, B))
    assert world.command("drain", A, reason="a new disk").ok
    assert world.dns(WWW) == (B, C)
    world.publish(WWW, C, FOREIGN, ttl=900)
    world.command("sync")
    assert world.dns(WWW) == (B, C)
    assert world.records[next(iter(world.records))][0] == 60
    assert world.command("clear", A).ok
    world.wait(5)
    assert world.dns(WWW) == (A, B, C)


def test_what_an_operator_or_somebody_else_did_to_an_endpoint_that_differs() -> None:
    """It was published by the last writer: its return is no matter of the configuration."""
    world = heir(ruled(lb(at(A), at(B))), lb(at(A), at(B, path="other")))
    world.publish(WWW, A)
    world.command("sync")
    assert world.dns(WWW) == (A, B)
    assert world.command("drain", B, reason="a new disk").ok
    assert world.dns(WWW) == (A,)


def test_the_order_of_endpoints_is_no_difference() -> None:
    assert prints_of(lb(A, B)) == prints_of(lb(B, A))
    assert prints_of(lb(A, B)) != prints_of(lb(A, B, ttl=61))
    assert prints_of(lb(A, B)) != prints_of(lb(A, C))


def test_a_precedent_is_stored_and_replicated() -> None:
    world = ruled(lb(A, B))
    precedent = world.state.checkpoint.precedent
    saved = state_codec.Saved(world.state)
    assert state_codec.from_bytes(state_codec.to_bytes(saved), "here").state == world.state
    change = PutInForce(precedent)
    data = machine.to_bytes((change,), by="n1", wall=1.0)
    applied = machine.DecisionMachine().apply(1, data)
    assert applied.checkpoint.precedent == precedent
    later = world.commits[-1].changes[0]
    assert isinstance(later, RecordDecisions)
    assert later.apply(applied.checkpoint).precedent == precedent


def test_charges_of_the_guard_are_only_for_what_goes() -> None:
    world = heir(ruled(lb(A, B, C, D)), lb(A, B, max_withdraw=0.25))
    guard: Guard = world.controller._store.memory.guard
    assert guard.charges == Guard().charges
    world.vote_all({B: "down"})
    world.wait(5)
    assert world.dns(WWW) == (A, C, D)
