"""Whole members together, by a mock clock: who may write, what is replicated, who takes over."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election.raft import elector as elector_module
from dnslb.election.raft.timings import LAN, promise_s
from dnslb.errors import CommandRefused, StoreError, StoreUncertain
from dnslb.model.checkpoint import (
    GuardMemory,
    Owned,
    Precedent,
    PutInForce,
    RecordDecisions,
    StoredState,
)
from dnslb.model.command import Command
from dnslb.model.operator import Override, SetOverrides
from dnslb.model.rrset import RRsetKey
from tests.election.raft.house import House, street

Clock = trio.testing.MockClock
KEY = RRsetKey("www.example.org", "A")


def decisions(*values: str, episodes: int = 1) -> RecordDecisions:
    owned = Owned("example.org", 60, values)
    return RecordDecisions({KEY: owned}, GuardMemory(episodes=episodes))


def drained(endpoint: str) -> SetOverrides:
    return SetOverrides((Override("www.example.org", endpoint, "drain", "why", "eve", 1.0),))


CHANGES = (decisions("192.0.2.1"), drained("tcp://192.0.2.1:80"))


def published(house: House) -> StoredState:
    return house.states[-1][0]


# ------------------------------------------------------------------------------ the right to write


async def test_a_founder_may_write_and_its_lease_is_prolonged(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (_, a):
        first = a.lease
        assert first is not None
        assert (first.holder, first.token.owner_id, first.token.term) == ("a", "owner", 1)
        assert first.token.epoch == int(a.clock.now().wall)
        await trio.sleep(1)
        assert a.lease is not None
        assert a.lease.token == first.token
        assert a.lease.good_until_boot > first.good_until_boot
        assert a.events[0][0] == "membership"


async def test_a_founder_waits_out_what_it_may_have_promised_before(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """A directory may have been lost: a first start counts as a promise, too."""
    async with street(tmp_path) as (made, a):
        await made.shut(a)
        began = trio.current_time()
        a.leases.clear()
        await made.open("a")
        await made.wait_lease()
        assert trio.current_time() - began >= promise_s(LAN.lease_s)


async def test_bootstrap_that_was_left_in_a_unit_file_changes_nothing(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (made, a):
        before = a.member.view().cluster_id
        await made.shut(a)
        await made.open("a", bootstrap=True)
        assert a.member.view().cluster_id == before
        assert a.events[-1][0] == "notice"
        assert "-raft-bootstrap is ignored" in a.events[-1][1]


async def test_who_waits_elects_nobody(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path) as (made, _):
        b = await made.open("b")
        await trio.sleep(60)
        view = b.member.view()
        assert (view.role, view.term, view.leader, view.cluster_id) == ("waiting", 0, None, None)
        assert "waits to be added" in b.rows["raft-waiting", "b"]
        with pytest.raises(CommandRefused, match="waits to be added"):
            await b.raft("leader")


async def test_the_leader_that_is_cut_off_knows_that_its_lease_is_over_before_another_has_one(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        old = a.lease
        assert old is not None
        made.isolate(a)
        heir = await made.wait_lease(but="a")
        assert a.lease is None
        assert heir.lease is not None
        assert heir.lease.token.term > old.token.term
        assert heir.clock.now().boot >= old.good_until_boot
        assert await a.member.elector.confirm() is not None
        await trio.sleep(6)
        # The heir writes meanwhile: this one may speak for itself only.
        row = a.rows["raft-no-leader", "a"]
        assert "it writes nothing, and unless the others have a leader nobody does" in row
        assert "2 are needed" in row


async def test_a_lease_that_is_not_prolonged_ends_by_itself(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """Not when the leader notices that nobody answers, which is later."""
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        made.isolate(a)
        last = a.lease
        assert last is not None
        held = []
        await trio.sleep(last.good_until_boot - a.clock.now().boot - 0.0005)
        held.append(a.lease is not None)
        await trio.sleep(0.001)  # sooner than the next heartbeat
        held.append(a.lease is not None)
        assert held == [True, False]
        assert a.member.view().role == "leader"


async def test_events_are_told_to_whoever_waits_also_where_only_time_passes(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (_, a):
        for _ in range(5):
            with trio.fail_after(2):
                await a.member.node.wait_event()


async def test_the_state_is_told_before_the_right_to_write_on_it(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as (_, a):
        told: list[str] = []
        monkeypatch.setattr(a.member.store, "look", lambda: told.append("state"))
        monkeypatch.setattr(a.member.elector, "look", lambda: told.append("lease"))
        a.member._look()
        assert told == ["state", "lease"]


async def test_a_dead_leader_is_succeeded(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        old = a.lease
        await made.shut(a)
        began = trio.current_time()
        heir = await made.wait_lease(but="a")
        assert heir.lease is not None
        assert old is not None
        assert heir.lease.token > old.token
        assert trio.current_time() - began < 2 * LAN.election_s_max


# ------------------------------------------------------------------------------------ handing over


async def test_writers_are_at_rest_before_the_leadership_goes_over(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        a.works = 1.5
        began = trio.current_time()
        heir, term = await a.member.elector.hand_over(None)
        assert trio.current_time() - began >= 1.5
        assert a.rested == ["rest 1"]
        assert a.lease is None
        assert made.houses[heir].member.view().role == "leader"
        assert term == 2
        await trio.sleep(0.5)
        assert (await made.wait_lease()).name == heir


async def test_a_hand_over_to_who_is_not_there_leaves_the_lease(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        made.isolate(made.houses["c"])
        await trio.sleep(1)
        with pytest.raises(CommandRefused, match="c is no other voter, or is not connected"):
            await a.member.elector.hand_over("c")
        assert a.rested == ["rest 1", "resume 1"]
        assert a.lease is not None
        assert a.lease.holds(a.clock.now().boot)
        await a.member.store.propose((decisions("1"),))


async def test_who_stops_hands_over_and_who_is_alone_just_stops(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        await a.member.elector.leave()
        assert a.member.view().role == "follower"
        heir = await made.wait_lease()
        assert heir.name != "a"
        for name in {"b", "c"} - {heir.name}:
            await made.shut(made.houses[name])
        await made.shut(a)
        began = trio.current_time()
        await heir.member.elector.leave()
        assert trio.current_time() - began < 0.1
        assert heir.lease is None


async def test_a_lease_that_was_given_up_stays_so_in_its_term_and_is_tried_again_later(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        await a.member.elector.resign("another writer holds the fence")
        assert a.lease is None
        assert a.member.view().role == "leader"
        await trio.sleep(elector_module.AGAIN_S_MIN)
        assert a.lease is None
        assert all(house.lease is None for house in made.houses.values())
        again = await made.wait_lease()
        assert again.lease is not None
        assert again.lease.term > 1
        assert trio.current_time() < 60
        assert "resigned" in dict(a.events)


async def test_a_wall_clock_that_is_set_drops_the_lease_for_a_moment(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (_, a):
        await trio.sleep(1)
        seen = len(a.leases)
        a.clock.jump_wall(3600)
        await trio.sleep(0.5)
        assert None in a.leases[seen:]
        assert a.lease is not None


# ------------------------------------------------------------------------------ what is replicated


async def test_what_the_leader_decides_is_published_by_the_others(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        seen = len(a.states)
        state = await a.member.store.propose(CHANGES)
        assert state.checkpoint.owned[KEY].values == ("192.0.2.1",)
        assert len(state.operator.overrides) == 1
        await trio.sleep(0.2)
        for name in "bc":
            assert published(made.houses[name]) == state
        assert len(a.states) == seen, "the one who proposed was answered"


async def test_a_follower_proposes_nothing(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b", "c") as (made, _):
        with pytest.raises(StoreError, match="nothing was changed"):
            await made.houses["b"].member.store.propose((decisions("1"),))


async def test_a_proposal_of_who_is_cut_off_may_or_may_not_be_in_force(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        made.isolate(a)
        with pytest.raises(StoreUncertain, match="may or may not"):
            await a.member.store.propose((decisions("1"),))
        made.cut.clear()
        await trio.sleep(5)
        seen = len(a.states)
        leader = await made.wait_lease()
        await leader.member.store.propose((decisions("2"),))
        await trio.sleep(0.5)
        assert leader.name != "a"
        assert len(a.states) > seen
        assert published(a).checkpoint.owned[KEY].values == ("2",)


async def test_what_comes_later_of_a_proposal_is_published_since_nobody_waits_for_it(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have it; this one hears no answer."""
    async with street(tmp_path, "b", "c") as (_, a):
        await trio.sleep(1)
        monkeypatch.setattr(a.member.node, "receive", lambda peer, message: None)
        with pytest.raises(StoreUncertain):
            await a.member.store.propose((decisions("1"),))
        seen = len(a.states)
        monkeypatch.undo()
        await trio.sleep(3)
        assert len(a.states) > seen
        assert published(a).checkpoint.owned[KEY].values == ("1",)


async def test_an_heir_knows_the_state_before_it_has_the_lease(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        state = await a.member.store.propose((decisions("1"),))
        await made.shut(a)
        heir = await made.wait_lease(but="a")
        assert published(heir) == state


async def test_a_member_that_is_down_keeps_nobody_from_deciding_who_started_since(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """It announced its version to processes that are gone."""
    newest = PutInForce(Precedent("d1"))
    async with street(tmp_path, "b", "c") as (made, a):
        await a.member.store.propose((newest,))
        for house in made.houses.values():
            await made.shut(house)
            house.leases.clear()
        for name in "ab":
            await made.open(name)
        leader = await made.wait_lease()
        state = await leader.member.store.propose((PutInForce(Precedent("d2")), decisions("1")))
        assert state.checkpoint.precedent.digest == "d2"


async def test_all_of_it_outlives_a_restart_of_all_and_a_snapshot(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        state = await a.member.store.propose((decisions("1"), drained("tcp://192.0.2.1:80")))
        await a.member.note_marker("example.org")
        await trio.sleep(0.5)
        await made.houses["b"].raft("snapshot")
        for house in made.houses.values():
            await made.shut(house)
            house.leases.clear()
        for name in "abc":
            await made.open(name)
        leader = await made.wait_lease()
        assert published(leader) == state
        assert leader.member.knows_marker("example.org")
        assert not leader.member.knows_marker("example.net")


async def test_the_guards_memory_ages_here_and_by_the_wall_while_nobody_looked(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        b, c = made.houses["b"], made.houses["c"]
        b.clock.jump_wall(5000)  # whatever its wall clock says
        await trio.sleep(1)
        await a.member.store.propose((decisions("1"),))
        await trio.sleep(3)
        await a.member.store.propose((drained("tcp://192.0.2.1:80"),))
        await trio.sleep(0.2)
        assert a.member.view().role == "leader"
        assert b.states[-1][1] == pytest.approx(3, abs=0.3)
        assert c.states[-1][1] == pytest.approx(3, abs=0.3)
        await made.shut(c)
        c.states.clear()
        await trio.sleep(100)
        await made.open("c")
        await trio.sleep(3)
        assert c.states[-1][1] == pytest.approx(103.2, abs=1)


@pytest.mark.parametrize("by_heir", [True, False])
async def test_a_command_waits_until_a_new_leader_may_write(
    autojump_clock: Clock, tmp_path: Path, by_heir: bool
) -> None:
    """Its lease begins after what was promised to the one before: a fraction of a second."""
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        made.isolate(a)
        others = made.houses["b"], made.houses["c"]
        while not (  # noqa: ASYNC110  # it is the instant before its first event that counts
            heirs := [one for one in others if one.member.node.member.ready]
        ):
            await trio.sleep(0.01)
        (heir,) = heirs
        assert heir.lease is None
        asked = heir if by_heir else others[heir is others[0]]
        reply = await asked.member.perform(Command("sync", (), "eve"), 5)
        assert reply.sentences == (f"done by {heir.name}",)
        assert heir.lease is not None
