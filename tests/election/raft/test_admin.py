"""Members come and go in stages, and no command leaves a cluster that could not elect."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from dnslb.election.raft.admin import Administration, why_not_electable
from dnslb.errors import CommandRefused
from tests.election.raft.memory_store import MemoryStore
from tests.election.raft.town import Place, Town, town

Clock = trio.testing.MockClock


def administration(leader: Place) -> Administration:
    assert leader.node is not None
    return Administration(leader.node, leader.clock)


async def add(made: Town, leader: Place, one: str, **values: float) -> int:
    if one not in made.places:
        await made.start(one)
    admin = administration(leader)
    return await admin.add(one, f"{one}:1", "voter", **values)  # type: ignore[arg-type]


async def test_a_voter_is_added_once_it_has_the_log(autojump_clock: Clock) -> None:
    async with town() as (made, leader):
        assert leader.node is not None
        for line in range(50):
            await leader.node.propose(b"%d" % line)
        index = await add(made, leader, "b")
        assert index == leader.member.journal.configuration_index
        assert leader.member.configuration.voters == {"a", "b"}
        assert made.places["b"].member.journal.last >= 50


async def test_adding_it_again_changes_nothing(autojump_clock: Clock) -> None:
    async with town() as (made, leader):
        index = await add(made, leader, "b")
        last = leader.member.journal.last
        assert await add(made, leader, "b") == index
        assert await administration(leader).add("a", "a:1", "voter") == index
        assert leader.member.journal.last == last


async def test_who_does_not_answer_is_not_added(autojump_clock: Clock) -> None:
    async with town() as (_, leader):
        last = leader.member.journal.last
        with pytest.raises(CommandRefused, match="cannot be reached"):
            await administration(leader).add("b", "b:1", "voter")
        assert leader.member.journal.last == last


async def test_who_does_not_catch_up_is_taken_out_again(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town("b") as (made, leader):
        await made.start("c")

        admin = administration(leader)
        monkeypatch.setattr(admin, "_caught_up", lambda _: False)
        with pytest.raises(CommandRefused, match=r"c did not catch up within 3 s\. The members"):
            await admin.add("c", "c:1", "voter", timeout_s=3)
        assert leader.member.configuration.find("c") is None
        assert leader.member.configuration.voters == {"a", "b"}


@pytest.mark.parametrize(
    ("member_id", "address", "sentence"),
    [
        ("c", "b:1", "b:1 is the address of b"),
        ("a", "z:1", "a leads: transfer the leadership first"),
        ("z", "c:1", "This is c, not z"),
    ],
)
async def test_a_name_or_an_address_that_does_not_fit_is_refused(
    member_id: str, address: str, sentence: str, autojump_clock: Clock
) -> None:
    async with town("b") as (made, leader):
        await made.start("c")
        with pytest.raises(CommandRefused, match=sentence):
            await administration(leader).add(member_id, address, "voter")


async def test_another_directory_under_a_members_name_is_refused(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, leader):
        await made.stop("c")
        made.places["c"] = Place("c", MemoryStore("ee"))
        await made.start("c")
        with pytest.raises(CommandRefused, match="remove_server c first"):
            await add(made, leader, "c")
        await administration(leader).remove("c")
        await add(made, leader, "c")
        assert leader.member.configuration.voters == {"a", "b", "c"}


async def test_a_member_of_another_cluster_is_refused(autojump_clock: Clock) -> None:
    async with town() as (made, leader):
        other = await made.start("z", found=True)
        journal = other.member.journal
        assert journal.facts.cluster_id == "c1"
        journal.facts = replace(journal.facts, cluster_id="c2")
        with pytest.raises(CommandRefused, match="z belongs to cluster c2, this is c1"):
            await administration(leader).add("z", "z:1", "voter")


async def test_a_member_of_an_older_version_is_refused(autojump_clock: Clock) -> None:
    async with town() as (made, _):
        await made.stop("a")
        made.places["a"].version = 2
        await made.start("a")
        leader = await made.wait_leader()
        await made.start("z")
        with pytest.raises(CommandRefused, match="z is of an older version than this cluster"):
            await administration(leader).add("z", "z:1", "voter")


async def test_the_index_of_the_configuration_is_compared(autojump_clock: Clock) -> None:
    async with town("b", "c") as (_, leader):
        await trio.sleep(1)
        admin, now = administration(leader), leader.member.journal.configuration_index
        with pytest.raises(CommandRefused, match=f"that of index {now}, not 2"):
            await admin.demote("b", previous_index=2)
        index = await admin.demote("b", previous_index=now)
        assert leader.member.configuration.voters == {"a", "c"}
        assert await admin.demote("b", previous_index=index) == index


async def test_what_would_cost_the_quorum_is_refused_with_the_arithmetic(
    autojump_clock: Clock,
) -> None:
    async with town("b", "c", "d") as (made, leader):
        admin = administration(leader)
        await made.stop("d")
        await trio.sleep(0.45)
        with pytest.raises(CommandRefused, match="is not a member"):
            await admin.remove("z")
        await admin.remove("c")
        # a, b and d are left, and d is down: without b nobody could decide.
        with pytest.raises(CommandRefused, match="2 voters would be left, 2 of them decide, and"):
            await admin.remove("b")
        assert leader.member.configuration.voters == {"a", "b", "d"}
        await admin.remove("d")
        await admin.remove("b")
        with pytest.raises(CommandRefused, match="a is the only voter"):
            await admin.remove("a")


async def test_who_does_not_lead_refuses_at_once(autojump_clock: Clock) -> None:
    async with town("b", "c") as (made, _):
        await trio.sleep(1)
        began = trio.current_time()
        with pytest.raises(CommandRefused, match="b does not lead; a does"):
            await administration(made.places["b"]).demote("c")
        assert trio.current_time() == began


def test_the_arithmetic_of_quorums() -> None:
    assert why_not_electable("abc", "ab") is None
    assert why_not_electable("a", "a") is None
    refusal = why_not_electable("abcd", "ab")
    assert refusal is not None
    assert refusal.startswith(
        "4 voters would be left, 3 of them decide, and 2 can be reached now (a, b)"
    )
