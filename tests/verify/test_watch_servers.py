"""Whom a watch asks, and what it tells where somebody cannot be asked."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from dnslb.model.publication import Sighting
from dnslb.verify.servers import Found
from dnslb.verify.watch import SERVERS_S_MAX
from tests.verify.conftest import StartStage
from tests.verify.stage import NEW, NO_ROUTE, NS1, NS2, OLD, ZONE, key


async def test_an_address_that_cannot_be_reached_from_here_is_named_and_left_out(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    stage.servers.hold(NEW)
    stage.servers.always[NS2] = NO_ROUTE
    stage.expect()
    await trio.sleep(1)
    assert stage.seen == [key()]
    assert stage.told[-1].unasked == (f"{NS2} {NO_ROUTE.sentence}",)
    del stage.servers.always[NS2]
    stage.servers.hold(OLD, at=(NS2,))
    stage.servers.delay_s[NS2] = 0.2
    stage.expect()
    await trio.sleep(5)
    assert stage.seen == [key()]
    assert [lag.server for lag in stage.lagging] == [str(NS2)]


async def test_an_address_that_could_not_be_reached_is_asked_for_whatever_is_new(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    stage.servers.always[NS2] = NO_ROUTE
    expected = stage.expect(key("stuck"))
    await trio.sleep(5)
    del stage.servers.always[NS2]
    stage.servers.delay_s[NS2] = 0.2
    stage.servers.hold(NEW, key("new"), at=(NS1,))
    stage.watch.expect_nowait(ZONE, {**expected, **stage.applied(key("new"))})
    await trio.sleep(5)
    assert stage.seen == []


async def test_where_no_server_can_be_reached_nothing_is_published(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.always[NS1] = NO_ROUTE
    stage.expect()
    await trio.sleep(30)
    assert stage.told == [Sighting(ZONE, unverified=f"{NS1} {NO_ROUTE.sentence}")]
    del stage.servers.always[NS1]
    stage.servers.hold(NEW)
    await trio.sleep(5)
    assert stage.seen == [key()]
    assert stage.told[-1].unverified is None


async def test_where_no_server_is_known_it_is_said_and_searched_on(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(NEW)
    stage.finder.fails = ["ns9.example.org has no address"] * 3
    stage.expect()
    await trio.sleep(0.1)
    assert stage.told == [Sighting(ZONE, unverified="ns9.example.org has no address")]
    await trio.sleep(30)
    assert (stage.seen, stage.told[-1].unverified) == ([key()], None)
    assert [sighting.unverified for sighting in stage.told[1:]] == [None, None]


async def test_the_servers_are_searched_anew_from_time_to_time(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    stage.servers.hold(NEW, at=(NS1,))
    stage.expect()
    await trio.sleep(SERVERS_S_MAX - 10)
    assert (stage.finder.searches, stage.seen) == (1, [])
    stage.finder.found = Found((NS1,), ("ns4.example.org has no address",))
    await trio.sleep(20)
    assert stage.finder.searches == 2
    assert stage.servers.asked[NS1] == 1
    assert (stage.seen, stage.lagging) == ([key()], ())
    assert stage.told[-1].unasked == ("ns4.example.org has no address",)


async def test_servers_that_were_known_are_asked_on_while_a_search_fails(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(SERVERS_S_MAX - 1)
    stage.finder.fails = ["the resolver is down"] * 9
    await trio.sleep(5)
    stage.servers.hold(NEW)
    await trio.sleep(12)
    assert (stage.seen, stage.told[-1].unverified) == ([key()], None)


async def test_what_was_expected_before_it_runs_is_watched(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(NEW)
    stage.expect()
    await trio.sleep(1)
    assert stage.seen == [key()]
