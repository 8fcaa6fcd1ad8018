"""How members stand with the leader, as each of them shows it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election.raft import asides
from dnslb.election.raft.asides import Standing, Standings
from dnslb.election.raft.contact import TOLD_S_MAX, Contact
from dnslb.errors import InvalidValue
from tests.election.raft.house import House, street

Clock = trio.testing.MockClock


async def test_every_member_shows_how_each_stands_with_the_leader(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        b = made.houses["b"]
        await trio.sleep(1.5)

        def standing(house: House, name: str) -> tuple[bool | None, int | None]:
            one = next(m for m in house.member.view().members if m.id == name)
            return one.reached, one.lag

        assert [standing(b, name) for name in "abc"] == [(True, None), (True, 0), (True, 0)]
        heard_s = next(m for m in b.member.view().members if m.id == "c").last_contact_s
        assert heard_s is not None
        assert heard_s < 2
        await made.shut(made.houses["c"])
        await trio.sleep(1.0)
        assert standing(a, "c")[0], "an election takes longer than this"
        await trio.sleep(2.0)
        for house in (a, b):
            assert standing(house, "c")[0] is False
        await made.shut(a)
        await trio.sleep(5.0)
        assert b.member.view().leader is None
        assert [standing(b, name)[0] for name in "abc"] == [False, True, False]


async def test_an_open_stream_that_is_silent_reaches_nobody(
    autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped keeps its streams, and nothing comes from them."""
    async with street(tmp_path, "b", "c") as (made, a):
        b = made.houses["b"]
        await trio.sleep(1.5)
        await made.shut(made.houses["c"])
        monkeypatch.setattr(a.member.node.wire, "send", lambda *frame: None)
        await trio.sleep(8.0)
        assert b.member.view().leader is None
        assert "a" in b.member.node.wire.peers
        reached = {one.id: one.reached for one in b.member.view().members}
        assert reached == {"a": None, "b": True, "c": False}


async def test_without_any_leader_who_is_heard_is_reached(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c", "d", "e") as (made, _):
        b = made.houses["b"]
        await trio.sleep(1.5)
        for name in "cde":
            await made.shut(made.houses[name])
        await trio.sleep(8.0)
        assert b.member.view().leader is None
        reached = {one.id: one.reached for one in b.member.view().members}
        assert reached == {"a": True, "b": True, "c": False, "d": False, "e": False}


async def test_without_the_leader_s_word_who_is_heard_is_shown(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, _):
        b = made.houses["b"]
        await trio.sleep(1.5)
        contacts = b.member.outlook.contacts
        assert contacts.of("c").lag == 0
        contacts.hear("c", Standings(9, (Standing("c", 60.0, 1, False),)))
        assert contacts.of("c") == Contact(reached=True), "c does not lead"
        await trio.sleep(1.5)
        assert contacts.of("c").lag == 0
        contacts._told_at -= TOLD_S_MAX
        assert contacts.of("c") == Contact(), "its word is old, and followers have little to say"


@pytest.mark.parametrize("age_s", [-1.0, math.nan, math.inf])
def test_an_age_in_a_standing_is_a_number_of_seconds(age_s: float) -> None:
    data = asides.to_bytes(Standings(1, (Standing("a", age_s, 1, True),)))
    with pytest.raises(InvalidValue):
        asides.from_bytes(data)
