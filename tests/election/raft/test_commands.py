"""The twenty commands in clusters in memory: staged, and refused with the arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from dnslb.election.raft import admin as admin_module
from dnslb.election.raft.commands import ARGUMENTS, AT_LEADER, CHANGING
from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterReply
from tests.election.raft.house import House, street

Clock = trio.testing.MockClock


def suffrages(house: House) -> dict[str, str]:
    return {one.id: one.suffrage for one in house.member.view().members}


def index(reply: ClusterReply) -> int:
    (line,) = reply.lines
    assert line == f"index: {reply.values['index']}"
    return int(str(reply.values["index"]))


async def refused(house: House, *words: str) -> str:
    with pytest.raises(CommandRefused) as caught:
        await house.raft(*words)
    return str(caught.value)


# ------------------------------------------------------------------------------------------ coming


async def test_a_voter_is_added_in_stages_and_again_changes_nothing(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (made, a):
        b = await made.open("b")
        added = index(await a.raft("add_voter", "b", "b:1", "0", by="eve"))
        assert suffrages(a) == {"a": "voter", "b": "voter"}
        assert a.events[-1] == (
            "membership",
            f"b at b:1 is a voter since index {added}, by eve",
        )
        assert index(await a.raft("add_voter", "b", "b:1", "0")) == added
        assert index(await a.raft("add_voter", "b", "b:1", str(added))) == added
        await trio.sleep(0.2)
        assert b.voters[-1] == ("a", "b")
        assert b.member.view().leader == ("a", "a:1")
        assert b.member.view().cluster_id == a.member.view().cluster_id


async def test_a_nonvoter_is_added_promoted_and_demoted(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b") as (made, a):
        await made.open("c")
        index(await a.raft("add_nonvoter", "c", "c:1", "0"))
        assert suffrages(a)["c"] == "nonvoter"
        index(await a.raft("add_voter", "c", "c:1", "0"))
        assert suffrages(a)["c"] == "voter"
        assert "demote_voter takes its vote" in await refused(a, "add_nonvoter", "c", "c:1", "0")
        first = index(await a.raft("demote_voter", "c", "0"))
        assert suffrages(a)["c"] == "nonvoter"
        assert index(await a.raft("demote_voter", "c", "0")) == first


async def test_who_is_not_reached_or_is_somebody_else_is_not_added(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b") as (made, a):
        before = a.member.node.member.journal.last
        assert "c:1 cannot be reached" in await refused(a, "add_voter", "c", "c:1", "0")
        await made.open("d")
        assert "This is d, not c" in await refused(a, "add_voter", "c", "d:1", "0")
        assert "b:1 is the address of b" in await refused(a, "add_voter", "c", "b:1", "0")
        assert "host:port" in await refused(a, "add_voter", "c", "nowhere", "0")
        assert "a whole number" in await refused(a, "add_voter", "d", "d:1", "-1")
        assert "is that of index" in await refused(a, "add_voter", "d", "d:1", "99")
        other = await made.open("e", bootstrap=True)
        assert other.member.view().role == "follower"
        assert "e belongs to cluster" in await refused(a, "add_voter", "e", "e:1", "0")
        assert a.member.node.member.journal.last == before
        assert all(kind != "membership" for kind, _ in a.events[-6:])


async def test_another_directory_under_a_members_name_is_refused(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        c = made.houses["c"]
        await made.shut(c)
        # Down, it is still the member that was added.
        index(await a.raft("add_voter", "c", "c:1", "0"))
        c.directory.rename(tmp_path / "lost")
        await made.open("c")
        assert "remove_server c first" in await refused(a, "add_voter", "c", "c:1", "0")
        index(await a.raft("remove_server", "c", "0"))
        index(await a.raft("add_voter", "c", "c:1", "0"))
        assert suffrages(a)["c"] == "voter"


async def test_who_does_not_catch_up_is_taken_back(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path, "b") as (made, a):
        c = await made.open("c")
        monkeypatch.setattr(a.member.node.member, "match_of", lambda peer: 0)
        began = trio.current_time()
        sentence = await refused(a, "add_voter", "c", "c:1", "0")
        assert trio.current_time() - began >= admin_module.CATCH_UP_S
        assert "c did not catch up within 20 s." in sentence
        assert sentence.endswith("The members are as before.")
        assert suffrages(a) == {"a": "voter", "b": "voter"}
        assert a.events[-1][0] == "raft-refused"
        assert c.member.view().role in ("waiting", "follower")


async def test_a_new_address_is_a_staged_change(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b") as (made, a):
        made.houses["b2"] = made.houses["b"]
        assert "b2" not in suffrages(a)
        index(await a.raft("add_voter", "b", "b2:1", "0"))
        assert [one.address for one in a.member.view().members] == ["a:1", "b2:1"]
        await trio.sleep(2)
        assert "the cluster knows b at b2:1" in made.houses["b"].rows["raft-address", "b"]


# ------------------------------------------------------------------------------------------- going


async def test_what_would_cost_the_quorum_is_refused_with_the_arithmetic(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await made.shut(made.houses["c"])
        await trio.sleep(2)
        assert await refused(a, "remove_server", "b", "0") == (
            "2 voters would be left, 2 of them decide, and 1 can be reached now (a): start the "
            "others first, or remove those first that are gone for good."
        )
        assert "2 of them decide" in await refused(a, "demote_voter", "b", "0")
        assert "d is not a member" in await refused(a, "remove_server", "d", "0")
        await trio.sleep(11)
        assert a.rows["raft-silent", "c"] == (
            "c at c:1 does not answer the leader: c:1 cannot be reached: Connection refused."
        )
        index(await a.raft("remove_server", "c", "0"))
        await trio.sleep(2)
        assert ("raft-silent", "c") not in a.rows
        index(await a.raft("remove_server", "b", "0"))
        assert suffrages(a) == {"a": "voter"}
        assert "only voter (1 - 1 = 0)" in await refused(a, "remove_server", "a", "0")
        assert "only voter (1 - 1 = 0)" in await refused(a, "demote_voter", "a", "0")


async def test_the_leader_itself_is_removed_by_the_next_one(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        index(await a.raft("remove_server", "a", "0"))
        leader = await made.wait_lease(but="a")
        assert suffrages(leader) == {"b": "voter", "c": "voter"}
        await trio.sleep(10)
        # It is told so when it asks, and elects nobody.
        assert "a was taken out of the cluster" in a.rows["raft-removed", "a"]
        assert leader.member.view().term == 2


# ------------------------------------------------------------------------------------ leadership


async def test_the_leadership_is_transferred_and_told(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        to_self = await a.raft("leadership_transfer_to_server", "a", "a:1")
        assert to_self.lines == ('id: "a"', 'address: "a:1"', "term: 1")
        assert "address of b is b:1" in await refused(
            a, "leadership_transfer_to_server", "b", "c:1"
        )
        assert "not a member" in await refused(a, "leadership_transfer_to_server", "d", "d:1")
        reply = await made.houses["c"].raft("leadership_transfer_to_server", "b", "b:1")
        assert reply.lines == ('id: "b"', 'address: "b:1"', "term: 2")
        assert reply.values == {"id": "b", "address": "b:1", "term": 2}
        assert ("transfer", "the leadership went over to b (term 2), by eve") in a.events
        assert (await made.wait_lease()).name == "b"


# -------------------------------------------------------------------------------------- tokens


async def test_async_gives_a_token_that_can_be_awaited_and_forgotten(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b") as (made, a):
        b = made.houses["b"]
        await made.open("c")
        await trio.sleep(0.5)
        reply = await b.raft("add_voter", "c", "c:1", "0", background=True)
        token = str(reply.values["operation_token"])
        assert reply.lines == (f'operation_token: "{token}"',)
        assert "still under way" in await refused(b, "forget", token)
        assert index(await b.raft("await", token)) > 0
        assert suffrages(a)["c"] == "voter"
        assert (await b.raft("forget", token)).lines == ("ok",)
        assert "no command with the token" in await refused(b, "await", token)
        with pytest.raises(CommandRefused, match="--async is for commands that change"):
            await b.raft("stats", background=True)


# ---------------------------------------------------------------------------------------- telling


async def test_each_member_tells_of_itself(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(1)
        b = made.houses["b"]
        last = index(await a.raft("apply_log", "some data", "some extensions"))
        await trio.sleep(0.2)
        assert index(await b.raft("last_index")) == last
        assert index(await b.raft("applied_index")) == last
        assert "65536 bytes" in await refused(a, "apply_log", "x" * 70_000, "")
        assert (await a.raft("state")).lines == ("state: LEADER",)
        assert (await b.raft("state")).lines == ("state: FOLLOWER",)
        now_nano = a.clock.now().wall * 1e9
        for house in (a, b):
            contact = (await house.raft("last_contact")).values["unix_nano"]
            assert now_nano - 0.2e9 <= int(str(contact)) <= now_nano
        assert (await b.raft("snapshot")).lines == ("ok",)
        stats = (await b.raft("stats")).values
        assert list(stats) == [
            *("state", "term", "last_log_index", "commit_index", "applied_index"),
            *("last_snapshot_index", "num_peers", "last_contact", "latest_configuration"),
            *("fsm_pending", "protocol_version"),
        ]
        assert (stats["last_snapshot_index"], stats["num_peers"]) == (last, 2)


async def test_shutdown_asks_this_daemon_to_end(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b") as (made, a):
        b = made.houses["b"]
        assert (await b.raft("shutdown")).lines == ("ok",)
        assert (await b.raft("state")).lines == ("state: SHUTDOWN",)
        await trio.sleep(1)
        assert (a.stopped, b.stopped) == (False, True)


async def test_what_is_no_command_is_refused(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path) as (_, a):
        assert "there is no raft command 'elect'" in await refused(a, "elect")
        assert "add_voter takes 3 arguments, not 1" in await refused(a, "add_voter", "b")
        assert len(ARGUMENTS) == 20
        assert ARGUMENTS.keys() > AT_LEADER > CHANGING
