"""First contact, adoption, drift and rivals: what makes an RRset ours, and what never does."""

from __future__ import annotations

import pytest

from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B, FOREIGN = "192.0.2.1", "192.0.2.2", "203.0.113.9"


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
