"""What a command leaves behind that came to nothing: an add_voter, a transfer."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election.raft import admin as admin_module
from dnslb.election.raft.membership import Configuration
from dnslb.errors import CommandRefused
from dnslb.model.checkpoint import StoredState
from dnslb.model.operator import Pause, SetPause
from tests.election.raft.house import House, street
from tests.election.raft.test_commands import refused, suffrages

Clock = trio.testing.MockClock


def never_catches_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.member.node.member, "match_of", lambda peer: 0)


def places(house: House) -> dict[str, str]:
    return {one.id: one.address for one in house.member.view().members}


async def test_who_is_on_its_way_to_a_vote_is_shown_so(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path, "b") as (made, a), trio.open_nursery() as nursery:
        await made.open("c")
        never_catches_up(a, monkeypatch)
        nursery.start_soon(refused, a, "add_voter", "c", "c:1", "0")
        await trio.sleep(2)
        assert suffrages(a)["c"] == "staging"
        await trio.sleep(admin_module.CATCH_UP_S)
        assert "c" not in suffrages(a)


@pytest.mark.parametrize("address", ["c:1", "c2:1"])
async def test_who_had_no_vote_before_goes_on_without_one_where_it_was(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    async with street(tmp_path, "b") as (made, a):
        made.houses["c2"] = await made.open("c")
        await a.raft("add_nonvoter", "c", "c:1", "0")
        never_catches_up(a, monkeypatch)
        sentence = await refused(a, "add_voter", "c", address, "0")
        assert sentence == "c did not catch up within 20 s. The members are as before."
        assert suffrages(a) == {"a": "voter", "b": "voter", "c": "nonvoter"}
        assert places(a)["c"] == "c:1"


async def test_why_it_got_no_vote_is_said(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path, "b") as (made, a):
        await made.open("c")
        change = a.member._admin._change

        async def no_vote(new: Configuration) -> int:
            if "c" in new.voters:
                raise CommandRefused("Nothing is voted on today.")
            return await change(new)

        monkeypatch.setattr(a.member._admin, "_change", no_vote)
        assert await refused(a, "add_voter", "c", "c:1", "0") == (
            "Nothing is voted on today. The members are as before."
        )
        assert suffrages(a) == {"a": "voter", "b": "voter"}


async def test_what_cannot_be_seen_to_be_taken_back_is_not_called_so(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path, "b") as (made, a):
        await made.open("c")
        never_catches_up(a, monkeypatch)
        change = a.member._admin._change

        async def never_back(new: Configuration) -> int:
            if new.find("c") is None:
                await trio.sleep_forever()
            return await change(new)

        monkeypatch.setattr(a.member._admin, "_change", never_back)
        with trio.fail_after(admin_module.CATCH_UP_S + 6):
            sentence = await refused(a, "add_voter", "c", "c:1", "0")
        assert sentence == (
            "c did not catch up within 20 s. Taking c out again is not committed yet: see "
            "get_configuration."
        )
        assert suffrages(a)["c"] == "nonvoter"


async def test_a_hand_over_that_is_cut_off_leaves_the_lease_and_the_workers(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        await trio.sleep(0.5)
        before = a.lease
        assert before is not None
        await made.shut(made.houses["c"])
        with trio.move_on_after(0.5) as scope:
            await a.member.elector.hand_over("c")
        assert scope.cancelled_caught
        assert a.rested == [f"rest {before.term}", f"resume {before.term}"]
        assert a.lease is not None
        assert a.lease.token == before.token
        pause = SetPause(Pause("", "why", "eve", 1.0))
        state = await a.member.store.propose((pause,))
        assert isinstance(state, StoredState)


async def test_who_has_the_log_and_does_not_answer_gets_no_vote(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path, "b") as (made, a):
        await made.open("c")
        monkeypatch.setattr(a.member._admin, "_living", lambda: frozenset({"a", "b"}))
        assert "c did not catch up" in await refused(a, "add_voter", "c", "c:1", "0")
        assert suffrages(a) == {"a": "voter", "b": "voter"}


async def test_who_is_alone_disturbs_no_write_for_a_hand_over(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path) as (_, a):
        sentence = await refused(a, "leadership_transfer")
        assert sentence == "a is the only voter: there is nobody to take over."
        assert a.rested == []
