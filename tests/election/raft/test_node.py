"""Nodes at work: real wires in memory, a mock clock, disks that can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election.raft.founding import found_cluster
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import COMMAND_BYTES_MAX
from dnslb.election.raft.membership import Member
from dnslb.election.raft.proposals import FULL, PENDING_MAX
from dnslb.election.raft.store import SqliteStore
from dnslb.election.raft.timings import LAN
from dnslb.errors import CommandRefused, StoreError
from tests.election.raft.memory_store import MemoryStore
from tests.election.raft.town import Place, Town, town

Clock = trio.testing.MockClock


async def test_members_join_agree_and_outlive_their_leader(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.id == "a"
        assert leader.node is not None
        finished = await leader.node.propose(b"one")
        assert (finished.outcome, finished.result) == ("applied", finished.index)
        await made.stop("a")
        heir = await made.wait_leader()
        assert heir.id in "bc"
        assert heir.node is not None
        await heir.node.propose(b"two")
        back = await made.start("a")
        await trio.sleep(1)
        assert back.machine.lines == [b"one", b"two"]
        assert (back.member.role, back.member.leader) == ("follower", heir.id)


async def test_all_that_is_proposed_at_once_costs_one_sync_each(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        node = leader.node
        assert node is not None
        await trio.sleep(1)
        stores = [place.store for place in made.places.values()]
        before = [len(one.batches) for one in stores if isinstance(one, MemoryStore)]
        indexes = set[int]()

        async def propose(number: int) -> None:
            indexes.add((await node.propose(b"%d" % number)).index)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(propose, number)
        after = [len(one.batches) for one in stores if isinstance(one, MemoryStore)]
        assert after == [count + 1 for count in before]
        assert len(indexes) == 100
        assert sorted(map(int, leader.machine.lines)) == list(range(100))


async def test_what_is_proposed_at_once_is_refused_one_by_one(autojump_clock: Clock) -> None:
    async with town("b", "c") as (_, leader):
        node = leader.node
        assert node is not None
        refused = dict[bytes, str]()

        async def propose(data: bytes) -> None:
            try:
                await node.propose(data)
            except CommandRefused as error:
                refused[data] = str(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose, b"good")
            nursery.start_soon(propose, bytes(COMMAND_BYTES_MAX))
        assert list(refused) == [bytes(COMMAND_BYTES_MAX)]
        leader.member.freeze("Not now.")
        async with trio.open_nursery() as nursery:
            for data in (b"x", b"y"):
                nursery.start_soon(propose, data)
        assert (refused[b"x"], refused[b"y"]) == ("Not now.", "Not now.")
        leader.member.freeze(None)
        # Enough wait for everybody's patience: the next one is told at once.
        async with trio.open_nursery() as nursery:
            for number in range(PENDING_MAX + 1):
                nursery.start_soon(propose, b"%d" % number)
        assert [text for data, text in refused.items() if data.isdigit()] == [FULL]


async def test_a_leader_that_stops_is_succeeded_within_an_election_and_a_lease(
    autojump_clock: Clock,
) -> None:
    async with town("b", "c") as (made, _):
        began_at = trio.current_time()
        made.places["a"].scope.cancel()
        await made.wait_leader(but="a")
        assert trio.current_time() - began_at < LAN.election_s_max + LAN.lease_s * 1.1 + 0.1


async def test_all_start_again_and_nobody_forgets_who_belongs(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.node is not None
        await leader.node.propose(b"kept")
        for one in "abc":
            await made.stop(one)
        for one in "abc":
            await made.start(one)
        again = await made.wait_leader()
        assert again.member.configuration.voters == {"a", "b", "c"}
        assert again.machine.lines == [b"kept"]


async def test_a_leader_alone_loses_its_lease_and_confirms_nothing(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.node is not None
        assert await leader.node.verify(1.0)
        await made.stop("b")
        await made.stop("c")
        assert not await leader.node.verify(0.2)
        await trio.sleep(2)
        assert leader.member.role == "follower"
        with pytest.raises(CommandRefused, match="a does not lead"):
            await leader.node.propose(b"x")


async def test_a_transfer_moves_the_lease_at_once(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.node is not None
        await trio.sleep(1)
        began_at = trio.current_time()
        heir = leader.node.transfer("c")
        assert heir == "c"
        assert leader.member.lease() is None
        found = await made.wait_leader(but="a")
        assert found.id == "c"
        assert trio.current_time() - began_at < 0.05


async def test_a_full_disk_ends_the_node_and_the_others_go_on(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert isinstance(leader.store, MemoryStore)
        assert leader.node is not None
        leader.store.full = True
        with pytest.raises(StoreError):
            await leader.node.propose(b"x")
        heir = await made.wait_leader(but="a")
        assert heir.machine.lines == []
        assert isinstance(leader.error, BaseExceptionGroup)


async def test_a_wall_clock_that_is_set_drops_the_lease(autojump_clock: Clock) -> None:
    async with town("b", "c") as (_, leader):
        await trio.sleep(0.25)
        lease = leader.member.lease()
        assert lease is not None
        leader.clock.jump_wall(3600)
        lost = leader.lost_leases
        await trio.sleep(LAN.heartbeat_s + 0.01)
        assert leader.lost_leases == lost + 1
        assert leader.member.lease() is not None
        leader.clock.jump_wall(0.5)
        await trio.sleep(1)
        assert leader.lost_leases == lost + 1


async def test_a_member_that_is_removed_is_hung_up_on(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.node is not None
        # After a start it is c that dials, and c never learns that it was removed.
        await trio.sleep(1)
        await made.stop("c")
        await trio.sleep(5)
        await made.start("c")
        await trio.sleep(0.1)
        assert leader.node.wire.peers == {"b", "c"}
        await leader.node.change(leader.member.configuration.without("c"))
        await trio.sleep(10)
        assert leader.node.wire.peers == {"b"}
        gone = made.places["c"]
        assert any("c is no member any more" in one for one in gone.refusals)
        assert gone.member.term == leader.member.term


async def test_who_lost_its_directory_is_refused_until_it_is_added_anew(
    autojump_clock: Clock,
) -> None:
    async with town("b", "c") as (made, leader):
        await made.stop("c")
        made.places["c"] = Place("c", MemoryStore("ee"))
        await made.start("c")
        await trio.sleep(2)
        assert any("remove_server c, then add_voter" in one for one in leader.refusals)
        assert made.places["c"].role() == "waiting"
        assert leader.node is not None
        await leader.node.change(leader.member.configuration.without("c"))
        entry = Member("c", "c:1", "voter", "ee")
        await leader.node.change(leader.member.configuration.with_member(entry))
        await trio.sleep(2)
        assert made.places["c"].role() == "follower"


async def test_a_newer_language_waits_for_all_members(autojump_clock: Clock) -> None:
    async with town("b") as (made, leader):
        assert leader.node is not None
        with pytest.raises(CommandRefused, match=r"b did not say .* \(version 2\)"):
            await leader.node.propose(b"new", version=2)
        for one in "ab":
            await made.stop(one)
            made.places[one].version = 2
        for one in "ab":
            await made.start(one)
        again = await made.wait_leader()
        assert again.node is not None
        assert (await again.node.propose(b"new", version=2)).outcome == "applied"


async def test_a_waiting_node_is_silent(autojump_clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        made = Town(nursery)
        place = await made.start("b")
        await trio.sleep(40)
        assert (place.member.role, place.member.term) == ("waiting", 0)
        nursery.cancel_scope.cancel()


def test_only_a_directory_without_a_past_founds_a_cluster() -> None:
    store = MemoryStore("aa")
    journal = Journal(store)
    values = {"member_id": "a", "address": "a:1", "cluster_id": "c1"}
    assert found_cluster(journal, epoch=7, **values)
    assert not found_cluster(journal, epoch=8, **values)
    again = Journal(store)
    assert again.facts.cluster_id == "c1"
    assert again.configuration.epoch == 7
    assert not found_cluster(again, epoch=8, **values)
    voted = Journal(MemoryStore("bb"))
    voted.set_term(3, "x")
    assert not found_cluster(voted, epoch=8, **values)


async def test_a_node_on_a_real_disk(tmp_path: Path, autojump_clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        made = Town(nursery)
        made.places["a"] = Place("a", SqliteStore(tmp_path))
        await made.start("a", found=True)
        leader = await made.wait_leader()
        assert leader.node is not None
        for line in (b"one", b"two"):
            await leader.node.propose(line)
        leader.node.snapshot()
        await leader.node.propose(b"three")
        await made.stop("a")
        leader.store.close()
        made.places["a"] = replace(leader, store=SqliteStore(tmp_path))
        again = await made.start("a")
        await made.wait_leader()
        assert again.machine.lines == [b"one", b"two", b"three"]
        nursery.cancel_scope.cancel()
        again.store.close()
