"""A member that may not write shows the changes of the one that may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

import pytest
import trio
import trio.testing

from dnslb.control.handlers import Handlers
from dnslb.control.led import ASK_EVERY_S, ASK_S_MAX, LedChanges
from dnslb.control.views import change_message
from dnslb.control.watch import HEARTBEAT_S, Watchers
from dnslb.errors import CommandRefused, NoLeader
from dnslb.model.cluster import ClusterView
from dnslb.net.clock import FakeClock
from dnslb.net.http_message import Request
from tests.control.test_handlers import ME, body_of
from tests.control.test_watch import BASE, Reader
from tests.doubles.operations import ALONE, INFO, Shown, change

Clock = trio.testing.MockClock
FOLLOWER = replace(ALONE, role="follower", leader=("b", "b:1"))
HELD, PENDING = change("h1", state="held"), change("p1", state="pending")


class Leader:
    """Answers with ``changes``, after ``delay_s``, unless it is gone."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.changes = [change_message(HELD), change_message(PENDING)]
        self.delay_s = 0.0
        self.gone = False
        self.all_is_too_much = False
        self.leads_here = False

    async def __call__(self, path: str, parameters: Mapping[str, str]) -> bytes | None:
        self.asked.append((path, parameters))
        await trio.sleep(self.delay_s)
        if self.gone:
            raise NoLeader("no leader is known")
        if parameters and self.all_is_too_much:
            raise CommandRefused("that is too much to hand on")
        return None if self.leads_here else json.dumps(self.changes).encode()


def ids(changes: object) -> list[str]:
    assert isinstance(changes, list)
    return [one["id"] for one in changes]


def follower(members: ClusterView = FOLLOWER) -> Shown:
    return Shown(replace(BASE, changes=(change("mine"),)), members=members)


async def test_status_counts_what_the_leader_has(autojump_clock: Clock) -> None:
    leader, shown = Leader(), follower()
    handlers = Handlers(shown, shown, INFO, FakeClock(), leader)
    response = await handlers(Request("GET", "/v1/status", "", peer=ME))
    status = json.loads(await body_of(response))
    assert (status["held_changes"], status["pending_changes"]) == (1, 1)
    assert leader.asked == [("/v1/changes", {"all": "1"})]


async def test_a_watcher_is_told_the_leader_s_changes(autojump_clock: Clock) -> None:
    leader, shown, clock = Leader(), follower(), FakeClock()
    led = LedChanges(leader, shown, clock)
    async with aclosing(Watchers(shown, shown, INFO, clock, led).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        assert ids(reader.picture.other["changes"]) == ["h1", "p1"]
        assert reader.picture.other["status"]["held_changes"] == 1
        leader.changes = leader.changes[1:]
        began_at = trio.current_time()
        while ids(reader.picture.other["changes"]) != ["p1"]:
            await reader.next()
        assert trio.current_time() - began_at <= ASK_EVERY_S + HEARTBEAT_S
        assert reader.picture.other["status"]["held_changes"] == 0
        shown.members = ALONE
        while ids(reader.picture.other["changes"]) != ["mine"]:
            await reader.next()
        assert reader.picture.other["status"]["role"] == "leader"


async def test_the_leader_is_asked_seldom_and_not_for_long(autojump_clock: Clock) -> None:
    leader, shown, clock = Leader(), follower(), FakeClock()
    led = LedChanges(leader, shown, clock)
    first = await led.newest()
    assert first is not None
    for _ in range(5):
        assert await led.newest() is first
    assert len(leader.asked) == 1
    await trio.sleep(ASK_EVERY_S)
    assert await led.newest() is first, "the same as long as nothing in it is another"
    assert len(leader.asked) == 2
    await trio.sleep(ASK_EVERY_S)
    leader.delay_s = 60
    began_at = trio.current_time()
    assert await led.newest() is first
    assert trio.current_time() - began_at <= ASK_S_MAX


@pytest.mark.parametrize("how", ["refuses", "none", "nonsense"])
async def test_what_it_said_last_stays_while_it_cannot_be_asked(
    autojump_clock: Clock, how: str
) -> None:
    leader, shown, clock = Leader(), follower(), FakeClock()
    led = LedChanges(leader, shown, clock)
    first = await led.newest()
    await trio.sleep(2 * ASK_EVERY_S)
    if how == "none":
        shown.members = replace(FOLLOWER, role="candidate", leader=None)
    elif how == "refuses":
        leader.gone = True
    else:
        leader.changes = {"no": "list"}  # type: ignore[assignment]
    assert await led.newest() is first
    assert len(leader.asked) == (1 if how == "none" else 2)


async def test_where_all_is_too_much_the_newest_are_asked_for(autojump_clock: Clock) -> None:
    leader, shown, clock = Leader(), follower(), FakeClock()
    leader.all_is_too_much = True
    found = await LedChanges(leader, shown, clock).newest()
    assert ids(found) == ["h1", "p1"]
    assert [parameters for _, parameters in leader.asked] == [{"all": "1"}, {}]


async def test_who_leads_or_stands_alone_asks_nobody(autojump_clock: Clock) -> None:
    leader, clock = Leader(), FakeClock()
    for elsewhere, members in ((leader, ALONE), (None, FOLLOWER)):
        shown = follower(members)
        assert await LedChanges(elsewhere, shown, clock).newest() is None
    leader.leads_here = True  # since a moment ago
    assert await LedChanges(leader, follower(), clock).newest() is None
    assert len(leader.asked) == 1
