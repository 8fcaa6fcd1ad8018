"""Whose word counts now: freshness, clock skew, and which of two reports is the younger."""

from __future__ import annotations

from tests.decide.world import World, balancer, settings

WWW = "www.example.org"
A, B = "192.0.2.1", "192.0.2.2"


def started() -> World:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote_all("up")
    world.wait(5)
    return world


def test_an_old_stored_report_does_not_replace_a_younger_live_one() -> None:
    """Found late, at a reconnect: it is as old as its Time says."""
    world = started()
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "down"}, stored=True, sent_wall=world.now.wall - 20)
    assert world.dns(WWW) == (A, B)
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "down"}, stored=True, sent_wall=world.now.wall)
    assert world.dns(WWW) == (B,)


def test_a_clock_that_was_ahead_and_is_right_again_counts_at_once() -> None:
    world = started()
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "down"}, sent_wall=world.now.wall + 3600)
    assert world.dns(WWW) == (A, B)
    sentences = [agent.sentence for agent in world.status.agents if agent.name != "a3"]
    assert all("3600 s ahead of ours" in sentence for sentence in sentences)
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "down"}, sent_wall=world.now.wall)
    assert world.dns(WWW) == (B,)


def test_one_late_report_says_nothing_of_a_clock() -> None:
    """Fifteen seconds on the way: as old as it is, and it counts as long as that allows."""
    world = started()
    for agent in ("a1", "a2"):
        world.vote(agent, {}, sent_wall=world.now.wall)
        world.vote(agent, {A: "down"}, sent_wall=world.now.wall - 15)
    assert world.dns(WWW) == (B,)
    world.wait(29, keep_fresh=False)
    assert not world.status.gate
    assert [agent.fresh for agent in world.status.agents][:2] == [True, True]
    world.wait(2, keep_fresh=False)
    assert [agent.fresh for agent in world.status.agents][:2] == [False, False]


def test_a_stored_report_of_the_same_second_follows_what_was_before_it() -> None:
    """A change between the loss of a watch and its return, too soon for its Time to show it."""
    world = started()
    sent_wall = float(int(world.now.wall))
    for late_s in (0.0, 0.9):
        world.now = world.now.later(late_s)
        for agent in ("a1", "a2"):
            world.vote(agent, {}, sent_wall=sent_wall)
    world.now = world.now.later(0.05)
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "down"}, stored=True, sent_wall=sent_wall)
    assert world.dns(WWW) == (B,)
    for agent in ("a1", "a2"):
        world.vote(agent, {A: "up"}, stored=True, sent_wall=sent_wall - 1)
    assert world.dns(WWW) == (B,)


def test_a_report_that_was_too_old_when_it_came_is_not_called_silence() -> None:
    """As behind a healthd whose clock was set back: reports come, and none of them counts."""
    world = started()
    world.vote("a1", {}, sent_wall=world.now.wall)
    world.vote("a1", {}, sent_wall=world.now.wall - 300)
    (a1,) = [agent for agent in world.status.agents if agent.name == "a1"]
    assert not a1.fresh
    assert a1.sentence == ("the newest report of a1 was 300 s old when it came, so it has no vote")


def test_a_found_report_that_is_dated_ahead_is_not_called_silence() -> None:
    world = World(settings(balancer(WWW, A, B))).start()
    world.vote("a1", {}, stored=True, sent_wall=world.now.wall + 120)
    sentences = [agent.sentence for agent in world.status.agents if agent.name == "a1"]
    assert sentences == ["the newest report of a1 was dated 120 s ahead, so it has no vote"]
