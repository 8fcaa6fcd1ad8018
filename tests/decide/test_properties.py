"""Laws that hold for all votes, orders and walks: nothing here knows an example.

All vote vectors up to seven agents are enumerated; walks of events are drawn by hypothesis, the
same ones each time.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings as bounds, strategies as st

from dnslb.decide.tally import tally
from dnslb.model.outcome import Failure
from dnslb.model.plan import Plan
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.model.rrset import RRsetKey
from tests.decide.world import World, balancer, settings

NAME = "www.example.org"
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
FOREIGN = {
    RRsetKey("mail.example.org", "A"): (300, ("192.0.2.77",)),
    RRsetKey("example.org", "A"): (300, ("192.0.2.78",)),
    RRsetKey("xwww.example.org", "A"): (300, ("192.0.2.79",)),
}
WALKS = bounds(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def verdict(votes: tuple[int, ...]) -> str:
    counted = tally([bytes([v]) for v in votes if v != UNKNOWN], 1, len(votes))
    return counted.verdict(0).state


@pytest.mark.parametrize("agents", range(1, 8))
def test_more_than_half_of_all_configured_agents_decide(agents: int) -> None:
    for votes in itertools.product((UNKNOWN, UP, DOWN), repeat=agents):
        ups, downs = votes.count(UP), votes.count(DOWN)
        expected = "up" if ups * 2 > agents else "down" if downs * 2 > agents else "unknown"
        assert verdict(votes) == expected, votes


@pytest.mark.parametrize("agents", range(1, 8))
def test_losing_an_agent_never_makes_a_verdict_of_down(agents: int) -> None:
    for votes in itertools.product((UNKNOWN, UP, DOWN), repeat=agents):
        for lost in range(agents):
            silent = (*votes[:lost], UNKNOWN, *votes[lost + 1 :])
            if verdict(silent) == "down":
                assert verdict(votes) == "down", (votes, lost)


@pytest.mark.parametrize("agents", range(3, 8))
def test_one_agent_of_three_or_more_never_decides_alone(agents: int) -> None:
    for votes in itertools.product((UNKNOWN, UP, DOWN), repeat=agents):
        word = verdict(votes)
        if word != "unknown":
            assert votes.count(UP if word == "up" else DOWN) >= 2, votes


@pytest.mark.parametrize("agents", [3, 4, 5, 7])
def test_silence_alone_never_changes_dns(agents: int) -> None:
    names = tuple(f"a{i}" for i in range(agents))
    for silent in range(1, agents + 1):
        world = World(settings(balancer(NAME, *ADDRESSES), agents=names)).start()
        world.vote_all("up")
        world.wait(5)
        before = dict(world.records)
        for name in names[:silent]:
            world.vote(name, "up", arrived_mono=world.now.mono - 100)
            world._votes.pop(name)
        world.wait(120)
        assert world.records == before


def walks() -> st.SearchStrategy[list[tuple[object, ...]]]:
    agents = st.sampled_from(["a1", "a2", "a3"])
    votes = st.sampled_from(["up", "down", "unknown"])
    addresses = st.sampled_from(ADDRESSES)
    kinds = st.sampled_from(["temporary", "refused", "conflict", "unknown", "gated"])
    return st.lists(
        st.one_of(
            st.tuples(st.just("vote"), agents, addresses, votes),
            st.tuples(st.just("vote all"), agents, votes),
            st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 20.0, 70.0])),
            st.tuples(st.just("drain"), addresses),
            st.tuples(st.just("clear"), addresses),
            st.tuples(st.just("force-down"), addresses),
            st.tuples(st.just("pause")),
            st.tuples(st.just("resume")),
            st.tuples(st.just("approve")),
            st.tuples(st.just("fail write"), kinds),
            st.tuples(st.just("fail read")),
            st.tuples(st.just("fail commit")),
            st.tuples(st.just("restart")),
        ),
        max_size=25,
    )


class Walk:
    """One world that is walked through, and the laws that it must keep after each step."""

    def __init__(self, **policy: object) -> None:
        self.policy = policy
        self.world = self._new(None)
        self.world.start()

    def _new(self, old: World | None) -> World:
        made = World(settings(balancer(NAME, *ADDRESSES, **self.policy)), records=dict(FOREIGN))
        if old is not None:
            made.records, made.state, made.now = old.records, old.state, old.now.later(1)
        return made

    def take(self, step: tuple[object, ...]) -> None:
        world = self.world
        plans = len(world.applied)
        match step:
            case ("vote", str(agent), str(address), str(vote)):
                world.vote(agent, {address: vote})
            case ("vote all", str(agent), str(vote)):
                world.vote(agent, vote)
            case ("wait", float(seconds)):
                world.wait(seconds)
            case ("drain" | "clear" | "force-down" as kind, str(address)):
                world.command(kind, address)
            case ("pause" | "resume" as kind,):
                world.command(kind)
            case ("approve",):
                world.command("approve", *world.held())
            case ("fail write", kind):
                failure = Failure(kind, "the provider is ill")  # type: ignore[arg-type]
                world.fail_write.append(failure)
            case ("fail read",):
                world.fail_read.append(Failure("temporary", "the provider is ill"))
            case ("fail commit",):
                world.fail_commit.append("no space left on device")
            case ("restart",):
                self.world = self._new(world).start()
                plans = 0
        self.check(self.world.applied[plans:], step)

    def check(self, plans: list[Plan], step: tuple[object, ...]) -> None:
        world = self.world
        for key, held in FOREIGN.items():
            assert world.records[key] == held
        owned = {key for key in world.records if key not in FOREIGN}
        assert {key.name for key in owned} <= {NAME}
        assert all(c.key.name == NAME for plan in plans for c in plan.changes), step
        if plans:
            left = world.dns(NAME) + world.dns(NAME, "AAAA")
            assert left, f"{step} emptied the name"
            assert set(left) <= set(ADDRESSES)


@WALKS
@given(walks())
def test_no_walk_touches_what_is_foreign_or_empties_the_name(
    steps: list[tuple[object, ...]],
) -> None:
    walk = Walk()
    for step in steps:
        walk.take(step)


@WALKS
@given(walks())
def test_after_any_walk_life_is_published_again(steps: list[tuple[object, ...]]) -> None:
    walk = Walk()
    for step in steps:
        walk.take(step)
    world = walk.world
    world.fail_write.clear()
    world.fail_read.clear()
    world.fail_commit.clear()
    for address in ADDRESSES:
        world.command("clear", address)
    world.command("resume")
    world.vote_all("up")
    world.wait(2000)
    assert set(world.dns(NAME) + world.dns(NAME, "AAAA")) == set(ADDRESSES)


@WALKS
@given(st.permutations(range(3)), st.permutations(range(4)), st.lists(walks(), max_size=1))
def test_order_changes_nothing(
    agents: list[int], addresses: list[int], more: list[list[tuple[object, ...]]]
) -> None:
    del more
    ends = []
    for order, places in ((range(3), range(4)), (agents, addresses)):
        shuffled = [ADDRESSES[i] for i in places]
        lbs = [balancer(NAME, *shuffled), balancer("api.example.org", *reversed(shuffled))]
        if places is not range(4):
            lbs.reverse()
        world = World(settings(*lbs)).start()
        world.vote_all("up")
        world.wait(5)
        for i in order:
            world.vote(f"a{i + 1}", {"192.0.2.1": "down", "2001:db8::1": "down"})
        ends.append(
            (world.records, {c.key: c.after for p in world.applied[-1:] for c in p.changes})
        )
    assert ends[0] == ends[1]


@WALKS
@given(st.sets(st.integers(1, 20)), st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_no_window_loses_more_than_its_share(dead: set[int], share: float) -> None:
    addresses = [f"192.0.2.{i}" for i in range(1, 21)]
    given_settings = settings(balancer(NAME, *addresses))
    guard = replace(given_settings.guard, max_withdraw_total=share)
    world = World(replace(given_settings, guard=guard)).start()
    world.vote_all("up")
    world.wait(5)
    for i in sorted(dead):
        world.vote_all({f"192.0.2.{i}": "down"})
    lost = 20 - len(world.dns(NAME))
    assert lost <= -(-int(share * 100) * 20 // 100)
    for _ in range(5):
        world.wait(61)
    assert 20 - len(world.dns(NAME)) == lost, "a held withdrawal was released by time"
