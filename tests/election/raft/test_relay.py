"""Reports from member to member: ages, lists that differ, bounds, and no circles."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.daemon.loadbalancer_tables import ENDPOINTS_MAX
from dnslb.election.raft import asides
from dnslb.election.raft.asides import (
    TOLD_MESSAGES_MAX,
    Answered,
    Aside,
    Facts,
    Handed,
    Monitors,
)
from dnslb.election.raft.messages import BESIDE_BYTES_MAX
from dnslb.election.raft.relay import Relay
from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import FakeClock
from dnslb.net.watchable import Watchable
from tests.election.raft.house import street

Clock = trio.testing.MockClock
ONE, TWO, THREE = (Monitor.from_url(f"tcp://192.0.2.{i}:80") for i in (1, 2, 3))
LIST = MonitorList((ONE, TWO), (0, 1))


def report(agent: str, votes: bytes = bytes((UP, DOWN)), **more: object) -> Report:
    now = FakeClock().now()
    given: dict[str, object] = {
        "monitors": LIST,
        "messages": {1: "refused"},
        "arrived_mono": now.mono,
        "arrived_wall": now.wall,
        **more,
    }
    return Report(agent=agent, votes=votes, **given)  # type: ignore[arg-type]


async def hand(given: Report, ours: MonitorList, later_s: float = 0.0) -> list[Report]:
    """What another member, with its own list and clocks, makes of a report."""
    said: list[Aside] = []
    here = Relay(FakeClock(), lambda peer, aside: said.append(aside))
    here.connected("b")
    await trio.sleep(later_s)
    here.hand_on(given)
    there = Relay(FakeClock(boot_at=5, wall_at=99), lambda peer, aside: None)
    there.connected("a")
    got: list[Report] = []

    async def deliver(one: Report) -> None:
        await trio.lowlevel.checkpoint()
        got.append(one)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.run, deliver, Watchable(ours))
        await trio.testing.wait_all_tasks_blocked()
        for aside in said:
            heard = asides.from_bytes(asides.to_bytes(aside))
            assert isinstance(heard, Monitors | Handed)
            there.hear("a", heard)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert list(there.heard) == got
    return got


async def test_a_report_arrives_with_its_age(autojump_clock: Clock) -> None:
    (got,) = await hand(report("a", age_s=2.0), LIST, later_s=3.0)
    assert (got.agent, got.votes, got.messages, got.complete) == (
        *("a", bytes((UP, DOWN)), {1: "refused"}),
        True,
    )
    assert got.age_s == pytest.approx(5.0)
    assert got.arrived_mono == pytest.approx(3.0)
    assert (got.via, got.sent_wall) == ("member a", None)


async def test_the_agents_own_time_travels_as_an_age(autojump_clock: Clock) -> None:
    wall = FakeClock().now().wall
    (got,) = await hand(report("a", sent_wall=wall - 7), LIST, later_s=1.0)
    assert got.sent_wall is not None
    assert got.arrived_wall - got.sent_wall == pytest.approx(8.0)


async def test_votes_are_read_by_monitor_where_the_lists_differ(autojump_clock: Clock) -> None:
    (got,) = await hand(report("a"), MonitorList((THREE, TWO, ONE), (0, 1, 2)))
    assert got.votes == bytes((UNKNOWN, DOWN, UP))
    assert got.messages == {1: "refused"}
    assert not got.complete, "it says nothing about one of ours"


async def test_a_vote_of_an_unknown_kind_is_none(autojump_clock: Clock) -> None:
    (got,) = await hand(report("a", bytes((9, UP))), LIST)
    assert got.votes == bytes((UNKNOWN, UP))


async def test_what_was_handed_over_or_is_found_in_a_store_is_not_handed_on(
    autojump_clock: Clock,
) -> None:
    assert await hand(report("a", via="member c"), LIST) == []
    assert await hand(report("a", stored=True), LIST) == []


async def test_the_list_is_told_once_and_whoever_comes_later_is_told_the_newest() -> None:
    said: list[tuple[str, Aside]] = []
    relay = Relay(FakeClock(), lambda peer, aside: said.append((peer, aside)))
    relay.connected("b")
    relay.hand_on(report("a"))
    relay.hand_on(report("a", bytes((UP, UP))))
    assert [type(aside) for _, aside in said] == [Monitors, Handed, Handed]
    said.clear()
    relay.connected("c")
    assert [(peer, type(aside)) for peer, aside in said] == [("c", Monitors), ("c", Handed)]
    relay.disconnected("b")
    relay.disconnected("c")
    said.clear()
    relay.hand_on(report("a"))
    assert said == []


async def test_votes_without_a_list_or_of_another_length_say_nothing() -> None:
    relay = Relay(FakeClock(), lambda peer, aside: None)
    relay._monitors = Watchable(LIST)
    handed = Handed("a", bytes((UP,)), 0.0, None, True, {})
    relay.hear("b", handed)
    relay.connected("b")
    relay.hear("b", handed)
    relay.hear("b", Monitors((ONE.id, TWO.id)))
    relay.hear("b", handed)
    assert relay.heard == ()


@pytest.mark.parametrize("age_s", [-1.0, math.nan, math.inf])
def test_an_age_is_a_number_of_seconds(age_s: float) -> None:
    data = asides.to_bytes(Handed("a", b"", age_s, None, True, {}))
    with pytest.raises(InvalidValue):
        asides.from_bytes(data)


@pytest.mark.parametrize(
    "data", [b"", b"\xc0", asides.to_bytes(["farewell"]), asides.to_bytes(["facts", "x"])]
)
def test_what_is_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="nothing that members tell"):
        asides.from_bytes(data)
    assert asides.from_bytes(asides.to_bytes(Facts("0.1.0", "ab"))) == Facts("0.1.0", "ab")


async def test_members_hand_reports_to_each_other_and_compare_what_they_decide_by(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b", "c") as (made, a):
        b = made.houses["b"]
        for house in made.houses.values():
            house.monitors.set(LIST)
            house.member.tell_digest("d1")
        await trio.sleep(0.5)
        a.member.report(report("a"))
        await trio.sleep(0.1)
        for name in "bc":
            (got,) = made.houses[name].reports
            assert (got.agent, got.votes, got.via) == ("a", bytes((UP, DOWN)), "member a")
        assert "config-differs" not in str(a.rows)
        b.member.tell_digest("d2")
        await trio.sleep(1.5)
        assert "b has other load balancers" in a.rows["config-differs", "b"]
        views = {one.id: one for one in a.member.view().members}
        assert [views[name].config_digest for name in "abc"] == ["d1", "d2", "d1"]
        assert [views[name].lag for name in "abc"] == [0, 0, 0]
        last_contact_s = views["b"].last_contact_s
        assert last_contact_s is not None
        assert last_contact_s < 0.2
        b.member.tell_digest("d1")
        await trio.sleep(1.5)
        assert ("config-differs", "b") not in a.rows
        b.member.tell_digest("d3")
        await trio.sleep(1.5)
        assert ("config-differs", "b") in a.rows
        await made.shut(b)
        await trio.sleep(1.5)
        assert ("config-differs", "b") not in a.rows


async def test_members_agree_when_all_voters_say_so_now(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    """A voter that is not heard, or has not said it over this stream, agrees to nothing."""
    async with street(tmp_path, "b", "c") as (made, a):
        b = made.houses["b"]
        for house in made.houses.values():
            house.member.tell_digest("d1")
            await trio.sleep(0.1)
        assert [one.agreed for one in made.houses.values()] == [["d1"]] * 3
        b.member.tell_digest("d2")
        await trio.sleep(0.1)
        assert [one.agreed for one in made.houses.values()] == [["d1", ""]] * 3
        b.member.tell_digest("d1")
        await trio.sleep(0.1)
        assert [one.agreed[-1] for one in made.houses.values()] == ["d1"] * 3
        await made.shut(b)
        assert a.agreed == ["d1", "", "d1", ""]
        await made.open("b")
        await trio.sleep(3)
        assert a.agreed == ["d1", "", "d1", ""]
        b.member.tell_digest("d1")
        await trio.sleep(0.1)
        assert a.agreed[4:] == ["d1"]
        await a.raft("demote_voter", "b", "0")
        b.member.tell_digest("d3")
        await trio.sleep(0.1)
        assert a.agreed[4:] == ["d1"]
        assert b.agreed[-1] == ""


# ---------------------------------------------------------------------------------- how much it is


def test_the_largest_report_of_the_largest_configuration_fits() -> None:
    """So that nothing has to be cut or left out: a list, and a report with a message for each
    check that may have one, all of four-byte letters."""
    ids = Monitors((ONE.id,) * ENDPOINTS_MAX)
    messages = dict.fromkeys(range(9_000, 9_000 + TOLD_MESSAGES_MAX), "\U0001f600" * 200)
    worst = Handed("a" * 300, bytes(ENDPOINTS_MAX), 1.5, 1.5, True, messages)
    for aside in (ids, worst):
        data = asides.to_bytes(aside)
        assert asides.from_bytes(data) == aside
        assert len(data) < BESIDE_BYTES_MAX / 2


async def test_what_is_too_long_to_be_handed_on_is_noted_once(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    async with street(tmp_path, "b") as (_, a):
        for _ in range(2):
            a.member._carrier.send("b", Answered(1, read=bytes(BESIDE_BYTES_MAX)))
        (noted,) = [text for kind, text in a.events if kind == "notice"]
        assert noted.startswith("what members tell each other as Answered has 2097")
