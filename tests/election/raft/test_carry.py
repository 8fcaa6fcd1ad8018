"""Commands and questions that are asked of one member and answered by another, in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from dnslb.election.raft import carry
from dnslb.election.raft.asides import Answered
from dnslb.errors import CommandRefused, NoLeader, NotLeader
from dnslb.model.cluster import ClusterCommand, ClusterReply
from dnslb.model.command import Command
from dnslb.model.status import Attention
from tests.election.raft.house import House, Street, street

Clock = trio.testing.MockClock


def index(reply: ClusterReply) -> int:
    (line,) = reply.lines
    assert line == f"index: {reply.values['index']}"
    return int(str(reply.values["index"]))


async def test_commands_reach_the_leader_from_any_member(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b = made.houses["b"]
        await made.open("d")
        index(await b.raft("add_voter", "d", "d:1", "0", by="mallory"))
        assert a.events[-1][1].endswith("by mallory")
        assert index(await b.raft("barrier")) > 0
        assert (await b.raft("verify_leader")).lines == ("ok",)
        assert (await b.raft("leader")).lines == ('id: "a"', 'address: "a:1"')
        reply = await b.member.perform(Command("drain", ("x",), "eve"), 5)
        assert reply.sentences == ("done by a",)
        assert a.performed == [Command("drain", ("x",), "eve")]
        with pytest.raises(CommandRefused, match="not this one"):
            await b.member.perform(Command("drop", ("x",), "eve"), 5)


async def test_questions_reach_the_leader_from_any_member(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b = made.houses["b"].member
        assert await b.read("/v1/changes", {"all": "1"}) == b"a /v1/changes {'all': '1'}"
        assert await a.member.read("/v1/changes", {}) is None
        with pytest.raises(CommandRefused, match="too much to hand on: ask a itself"):
            await b.read("huge", {})
        for name in "ac":
            await made.shut(made.houses[name])
        await trio.sleep(3)
        with pytest.raises(NoLeader):
            await b.read("/v1/changes", {})


async def test_what_the_leader_needs_a_person_for_is_shown_by_all(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b = made.houses["b"]
        held = Attention(
            "critical", "held", "h1", a.clock.now().wall, "held by the guard", "approve"
        )
        info = Attention("info", "config-restart", "x", 0.0, "nothing to do", "")
        a.member.tell_needs((held, info))
        b.member.tell_needs((held._replace(subject="h2"),))
        await trio.sleep(2.5)
        assert b.rows == {("held", "h1"): "held by the guard"}
        assert a.rows == {}, "what a follower sees is its own"
        a.member.tell_needs(())
        await trio.sleep(2.5)
        assert b.rows == {}
        a.member.tell_needs((held,))
        await trio.sleep(2.5)
        await a.member.elector.hand_over(None)
        await trio.sleep(2.5)
        follower = next(h for h in made.houses.values() if h.member.view().role != "leader")
        assert ("held", "h1") not in follower.rows


async def test_only_the_one_who_was_asked_answers_and_only_as_the_leader(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b, carrier = made.houses["b"], made.houses["b"].member._carrier
        a.works = 1.0
        async with trio.open_nursery() as nursery:

            async def forge() -> None:
                await trio.sleep(0.5)
                for ticket in carrier._waiting:
                    carrier.hear("c", Answered(ticket, refusal="forged"))

            nursery.start_soon(forge)
            reply = await b.member.perform(Command("sync", (), "eve"), 5)
        assert reply.sentences == ("done by a",)
        with pytest.raises(NoLeader, match="c does not lead any more"):
            await carrier.ask_raft("c", ClusterCommand("barrier", (), "eve"))
        a.works = 30.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_shut_later, made, a)
            with pytest.raises(CommandRefused, match="may or may not have been done"):
                await b.member.perform(Command("sync", (), "eve"), 60)


async def _shut_later(made: Street, house: House) -> None:
    await trio.sleep(1)
    await made.shut(house)


async def test_nobody_waits_for_a_leader_that_stands_still_once_another_one_leads(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """Its streams stand, and what was asked may be done: that much is said, and soon."""
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b, began = made.houses["b"].member, trio.current_time()
        a.member.node.wire.send = lambda *_: None  # type: ignore[method-assign]
        ended: list[float] = []

        async def read() -> None:
            with pytest.raises(CommandRefused, match="a, which leads or led, gives no answer"):
                await b.read("/v1/changes", {})
            ended.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            with pytest.raises(CommandRefused, match="may or may not have been done"):
                await b.perform(Command("sync", (), "eve"), 60)
        assert ended[0] <= 1
        assert trio.current_time() - began < 5
        assert len(a.performed) == 1


async def test_commands_that_are_carried_at_once_are_bounded(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "UNDER_WAY_MAX", 2)
    async with street(tmp_path, "b") as (made, a):
        await trio.sleep(0.5)
        b = made.houses["b"].member
        a.works = 1.0
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(b.perform, Command("sync", (), "eve"), 5)
            await trio.sleep(0.5)
            with pytest.raises(CommandRefused, match="2 commands are under way already"):
                await b.perform(Command("sync", (), "eve"), 5)
        assert len(a.performed) == 2
        assert (await b.perform(Command("sync", (), "eve"), 5)).sentences == ("done by a",)


async def test_without_a_leader_nothing_is_carried(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        b = made.houses["b"]
        for house in (a, made.houses["c"]):
            await made.shut(house)
        await trio.sleep(3)
        with pytest.raises(NoLeader, match="no leader is known to b"):
            await b.raft("barrier")
        with pytest.raises(NoLeader):
            await b.member.perform(Command("sync", (), "eve"), 5)
        assert (await b.raft("get_configuration")).lines[1] == (
            'suffrage: VOTER id: "b" address: "b:1"'
        )


async def test_a_leader_without_a_stream_is_named(autojump_clock: Clock, tmp_path: Path) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        b = made.houses["b"]
        made.isolate(b)
        while b.member.node.wire.peers:
            await trio.lowlevel.checkpoint()
        b.member.node.member._engine.leader = "a"
        with pytest.raises(NotLeader) as caught:
            await b.member.perform(Command("sync", (), "eve"), 5)
        assert (caught.value.leader_id, caught.value.leader_address) == ("a", "a:1")
        assert a.performed == []
