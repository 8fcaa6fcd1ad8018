"""What is left of a cluster becomes a new one, which the old one can never be taken for."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election.raft.admin import Administration
from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.frames import why_refused
from dnslb.election.raft.ground import Settings
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import (
    FIRST,
    NO_OP,
    Entry,
    Snapshot,
    Store,
    bootstrap,
    change_command,
)
from dnslb.election.raft.membership import Change
from dnslb.election.raft.recovery import examine, next_epoch, refound
from dnslb.election.raft.store import SqliteStore, why_no_store
from dnslb.election.raft.timings import LAN
from dnslb.errors import CommandRefused
from dnslb.model.instant import Now
from tests.election.raft.memory_store import MemoryStore
from tests.election.raft.stage import Lines, configuration, entry
from tests.election.raft.town import Place, town

Clock = trio.testing.MockClock


def recover(store: Store, us: str, journal: Journal | None = None) -> None:
    journal = journal or Journal(store)
    remains = examine(journal, us)
    epoch = next_epoch(remains, 0.0)
    member = replace(remains.us, address=f"{us}:1")
    store.commit(refound(journal, member, cluster_id="c2", incarnation="ff", epoch=epoch))


def survivor(store: Store, *, compacted: bool = False) -> Journal:
    """``a`` of a, b, c: entries 3 to 6 are known to be committed, 7 and 8 only logged."""
    journal = Journal(store)
    journal.append(bootstrap(configuration("abc")), *(entry(index, 4) for index in range(3, 9)))
    journal.set_term(4, "b")
    journal.set_commit(6)
    journal.note_lease(0.4)
    if compacted:
        state = b"\n".join(b"%d" % index for index in range(3, 6))
        journal.compact(Snapshot(5, 4, configuration("abc"), 2, state), keep=2)
    journal.sync()
    return journal


# ----------------------------------------------------------------------- with the others alive


async def test_the_others_live_on_and_both_clusters_refuse_each_other(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with town("b") as (made, leader):
        made.places["c"] = Place("c", SqliteStore(tmp_path))
        await made.join(leader, "c")
        assert leader.node is not None
        await leader.node.propose(b"both know it")
        await trio.sleep(1)
        await made.stop("c")
        made.places["c"].store.close()
        await leader.node.propose(b"the old ones alone know it")
        store = SqliteStore(tmp_path)
        recover(store, "c")
        store.close()
        made.places["c"].store = SqliteStore(tmp_path)
        leader.refusals.clear()
        alone = await made.start("c")
        with trio.fail_after(20):
            while alone.member.lease() is None:  # noqa: ASYNC110 (mock clock)
                await trio.sleep(0.01)
        await trio.sleep(20)
        assert alone.node is not None
        assert alone.machine.lines == [b"both know it"]
        assert (alone.member.role, leader.member.role) == ("leader", "leader")
        assert alone.member.configuration.voters == {"c"}
        assert leader.member.configuration.voters == {"a", "b", "c"}
        assert (alone.member.configuration.cluster_id, alone.member.configuration.epoch) == (
            "c2",
            8,
        )
        await alone.node.propose(b"the new one alone knows it")
        await leader.node.propose(b"again the old ones alone")
        await trio.sleep(5)
        assert b"the new one alone knows it" not in leader.machine.lines
        assert b"again the old ones alone" not in alone.machine.lines
        # The old ones dial the new one; made to dial them, it is refused as well.
        assert "a belongs to cluster c1, c to c2: move" in " ".join(leader.refusals)
        alone.node.wire.set_peers({"a": "a:1", "b": "b:1"})
        await trio.sleep(5)
        told = " ".join((*alone.refusals, *leader.refusals))
        assert "c belongs to cluster c2, a to c1: move" in told
        assert alone.node.wire.peers == frozenset()
        old = Administration(leader.node, leader.clock)
        await old.remove("c")
        with pytest.raises(CommandRefused, match="c belongs to cluster c2, this is c1"):
            await old.add("c", "c:1", "voter")
        with pytest.raises(CommandRefused, match="a belongs to cluster c1, this is c2"):
            await Administration(alone.node, alone.clock).add("a", "a:1", "voter")
        store = alone.store  # type: ignore[assignment]
        await made.stop("c")
        store.close()


async def test_the_new_cluster_never_passes_for_the_old_member() -> None:
    """Not even by its incarnation, where an old member forgot its cluster."""
    store = MemoryStore("aa")
    before = survivor(store).incarnation
    recover(store, "a")
    assert (before, Journal(store).incarnation) == ("aa", "ff")
    async with town("b") as (made, leader):
        assert leader.node is not None
        us = leader.node.identity()
        other = made.places["b"].node
        assert other is not None
        hello = replace(other.identity(), incarnation="ff", cluster_id="").hello("a")
        assert "lost its directory, or another one runs" in (why_refused(us, hello) or "")


async def test_the_others_come_back_with_new_directories(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        assert leader.node is not None
        await leader.node.propose(b"kept")
        await trio.sleep(1)
        for one in "abc":
            await made.stop(one)
        recover(made.places["c"].store, "c")
        alone = await made.start("c")
        await made.wait_leader()
        for one in "ab":
            made.places[one] = Place(one, MemoryStore(f"e{one}"))
            await made.join(alone, one)
        assert alone.node is not None
        await alone.node.propose(b"new")
        await trio.sleep(1)
        assert [made.places[one].machine.lines for one in "abc"] == [[b"kept", b"new"]] * 3
        assert alone.member.configuration.voters == {"a", "b", "c"}


# ------------------------------------------------------------------------------ what is written


@pytest.mark.parametrize("compacted", [False, True])
def test_all_that_was_logged_is_kept_where_it_stood(tmp_path: Path, compacted: bool) -> None:
    store = SqliteStore(tmp_path)
    before = survivor(store, compacted=compacted)
    recover(store, "a", before)
    store.close()
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    facts = journal.facts
    assert (facts.term, facts.voted, facts.commit, facts.cluster_id) == (5, "a", 9, "c2")
    assert facts.largest_lease_s == 0.4
    assert [one.position for one in journal.entries] == [*range(before.first, 10)]
    kept = [one for one in before.entries if one.position > 2]
    assert [one for one in journal.entries if 2 < one.position < 9] == kept
    if not compacted:
        assert journal.entries[:2] == [FIRST, Entry(NO_OP, 2, 0)]
    machine = Lines()
    now = Now(mono=0.0, boot=0.0, wall=0.0)
    member = RaftMember("a", journal, machine, Settings(LAN), random.Random(1), now)
    while not member.ready:
        now = now._replace(mono=now.mono + 1.0, boot=now.boot + 1.0)
        member.tick(now)
    assert machine.lines == [b"%d" % index for index in range(3, 9)]
    assert member.configuration == journal.configuration_at(9)[1]
    assert [(one.id, one.suffrage) for one in member.configuration.members] == [("a", "voter")]
    if journal.snapshot is not None:
        assert journal.snapshot.configuration.cluster_id == "c2"
    store.close()


def test_whoever_may_still_be_a_member_elsewhere_is_to_be_declared_dead() -> None:
    """The last change is not known to be committed: without it c can elect together with b."""
    store = MemoryStore()
    journal = survivor(store)
    fewer = configuration("ab")
    change = Change(configuration("abc"), fewer)
    journal.append(Entry(change_command(change), 9, 4))
    assert journal.configuration == fewer
    remains = examine(journal, "a")
    assert [one.id for one in remains.others] == ["b", "c"]
    assert (remains.commit, remains.last, remains.term) == (6, 9, 4)
    journal.set_commit(9)
    assert [one.id for one in examine(journal, "a").others] == ["b"]


def test_a_member_without_a_vote_can_be_all_that_is_left() -> None:
    store = MemoryStore()
    journal = Journal(store)
    journal.append(bootstrap(configuration("b", "a")))
    journal.set_commit(2)
    journal.sync()
    assert examine(journal, "a").us.suffrage == "nonvoter"
    recover(store, "a")
    assert Journal(store).configuration.voters == {"a"}


def test_the_epoch_is_above_the_old_one_and_the_wall_clock() -> None:
    remains = examine(survivor(MemoryStore()), "a")
    assert remains.epoch == 7
    assert next_epoch(remains, 3.0) == 8
    assert next_epoch(remains, 1_800_000_000.9) == 1_800_000_000


# ---------------------------------------------------------------------------------- what is not


def test_nothing_is_recovered_where_nothing_is_lost() -> None:
    waiting = Journal(MemoryStore())
    with pytest.raises(CommandRefused, match="belongs to no cluster yet"):
        examine(waiting, "a")
    with pytest.raises(CommandRefused, match=r"d is not a member .* \(a, b, c are\)"):
        examine(survivor(MemoryStore()), "d")
    alone = Journal(MemoryStore())
    alone.append(bootstrap(configuration("a", "b")))
    with pytest.raises(CommandRefused, match="a is the only voter of cluster c1"):
        examine(alone, "a")


def test_never_twice() -> None:
    store = MemoryStore()
    survivor(store)
    recover(store, "a")
    once = store.load()
    with pytest.raises(CommandRefused, match="the only voter of cluster c2"):
        recover(store, "a")
    assert store.load() == once


def test_what_is_no_store_is_told_without_touching_it(tmp_path: Path) -> None:
    assert "there is no raft.sqlite" in (why_no_store(tmp_path) or "")
    assert list(tmp_path.iterdir()) == []
    store = SqliteStore(tmp_path)
    store.close()
    before = (tmp_path / "raft.sqlite").read_bytes()
    assert why_no_store(tmp_path) is None
    assert (tmp_path / "raft.sqlite").read_bytes() == before
