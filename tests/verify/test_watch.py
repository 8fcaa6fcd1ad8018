"""What is told of the servers, when, and how little they are asked for it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from dnslb.verify.answer import Records
from tests.verify.conftest import StartStage
from tests.verify.stage import DOWN, NEW, NS1, NS2, NS3, OLD, ZONE, key


async def test_what_every_server_answers_is_seen_at_once(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2, NS3)
    stage.servers.hold(NEW)
    expected = stage.expect()
    await trio.sleep(1)
    (sighting,) = stage.told
    assert [seen.expected for seen in sighting.seen] == [expected[key()]]
    assert sighting.seen[0].took_s == stage.at[0] < 0.01
    assert (sighting.lagging, sighting.unverified, sighting.unasked) == ((), None, ())
    assert stage.servers.asked == {NS1: 1, NS2: 1, NS3: 1}


async def test_one_server_that_lags_is_enough_not_to_be_published(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2, NS3)
    stage.servers.hold(NEW)
    stage.servers.hold(OLD, at=(NS2,))
    stage.expect()
    await trio.sleep(30)
    assert stage.seen == []
    (lag,) = stage.lagging
    assert (lag.server, lag.silent, lag.overdue) == ("ns2.example.org (192.0.2.2)", False, False)
    assert lag.sentence == "answers 192.0.2.101 (TTL 60) for www.example.org A"
    assert (lag.names, lag.count) == (("www.example.org A",), 1)
    assert stage.servers.asked[NS1] == stage.servers.asked[NS3] == 1


async def test_a_server_that_catches_up_is_noticed_within_two_seconds(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(30)
    stage.servers.hold(NEW)
    await trio.sleep(2.1)
    assert stage.seen == [key()]
    assert stage.lagging == ()


async def test_soon_after_a_change_it_is_asked_quickly_and_later_slowly(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(0.1)
    assert stage.servers.asked[NS1] >= 3
    await trio.sleep(60)
    before = stage.servers.asked[NS1]
    assert before < 50
    await trio.sleep(100)
    assert 9 <= stage.servers.asked[NS1] - before <= 11


async def test_after_the_timeout_it_is_overdue_until_it_catches_up(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2, timeout_s=20)
    stage.servers.hold(NEW, at=(NS1,))
    stage.servers.hold(OLD, at=(NS2,))
    expected = stage.expect()
    await trio.sleep(19)
    assert [lag.overdue for lag in stage.lagging] == [False]
    await trio.sleep(4)
    (lag,) = stage.lagging
    assert lag.overdue
    assert lag.since_wall == expected[key()].applied_wall
    assert len(stage.told) == 2
    stage.servers.hold(NEW)
    await trio.sleep(11)
    assert stage.seen == [key()]
    assert stage.lagging == ()
    assert len(stage.told) == 3


async def test_a_transfer_that_takes_a_moment_is_not_worth_a_word(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(0.8)
    stage.servers.hold(NEW)
    await trio.sleep(5)
    assert stage.seen == [key()]
    assert [sighting.lagging for sighting in stage.told] == [()]


async def test_silence_is_another_state_than_an_old_answer(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.always[NS1] = DOWN
    stage.expect()
    await trio.sleep(5)
    (lag,) = stage.lagging
    assert (lag.silent, lag.sentence) == (True, DOWN.sentence)
    del stage.servers.always[NS1]
    stage.servers.hold(OLD)
    await trio.sleep(5)
    (lag,) = stage.lagging
    assert (lag.silent, lag.sentence) == (
        False,
        "answers 192.0.2.101 (TTL 60) for www.example.org A",
    )


async def test_the_ttl_must_not_be_above_ours(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.holds[NS1][key()] = Records(NEW, 61)
    stage.expect()
    await trio.sleep(5)
    assert stage.seen == []
    stage.servers.holds[NS1][key()] = Records(NEW, 59)
    await trio.sleep(5)
    assert stage.seen == [key()]


async def test_a_cname_to_the_same_addresses_is_not_what_was_applied(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.holds[NS1][key()] = Records(NEW, 60, alias="elsewhere.example.net")
    stage.expect()
    await trio.sleep(5)
    assert stage.seen == []
    assert stage.lagging[0].sentence.startswith("answers a CNAME to elsewhere.example.net")


# --------------------------------------------------------------------------- newer plans, absence


async def test_a_newer_rrset_takes_the_place_of_the_older(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(10)
    newest = ("192.0.2.103",)
    stage.servers.hold(newest, at=(NS1,))
    expected = stage.expect(values=newest)
    await trio.sleep(5)
    assert stage.seen == []
    stage.servers.hold(newest)
    await trio.sleep(5)
    assert [seen.expected for seen in stage.told[-1].seen] == [expected[key()]]


async def test_an_answer_under_way_to_an_older_question_says_nothing_of_the_newer(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    """The server answers what was applied before: the same values, asked before they changed."""
    stage = start_stage(NS1)
    stage.servers.hold(NEW)
    stage.servers.delay_s[NS1] = 0.3
    stage.expect()
    await trio.sleep(0.1)
    expected = stage.applied()  # the same set again, applied anew meanwhile
    stage.watch.expect_nowait(ZONE, expected)
    await trio.sleep(0.25)
    assert stage.told == []
    await trio.sleep(1)
    assert [seen.expected for seen in stage.told[-1].seen] == [expected[key()]]


async def test_what_is_expected_no_longer_is_not_asked_any_more(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD)
    stage.expect()
    await trio.sleep(5)
    stage.watch.expect_nowait(ZONE, {})
    before = stage.servers.asked[NS1]
    await trio.sleep(100)
    assert stage.servers.asked[NS1] == before
    stage.servers.hold(NEW)
    stage.expect()
    await trio.sleep(1)
    assert stage.seen == [key()]


async def test_what_was_removed_must_be_absent(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD)
    stage.expect(values=())
    await trio.sleep(5)
    assert stage.seen == []
    stage.servers.hold(())
    await trio.sleep(5)
    assert stage.seen == [key()]


async def test_a_wildcard_that_answers_for_a_removed_name_is_not_the_name(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD, key("a.b"))
    stage.servers.hold(OLD, key("*"))
    stage.expect(key("a.b"), values=())
    await trio.sleep(1)
    assert stage.seen == [key("a.b")]
    stage.servers.hold(NEW, key("*"))
    stage.expect(key("a.b"), values=())
    await trio.sleep(5)
    assert stage.seen == [key("a.b")]


# --------------------------------------------------------------------------------- many, bounded


async def test_a_server_that_lags_costs_one_question_a_round_however_much_is_missing(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1, NS2)
    keys = [key(f"n{i}") for i in range(500)]
    stage.servers.hold(NEW, *keys, at=(NS1,))
    stage.servers.hold(OLD, *keys, at=(NS2,))
    stage.expect(*keys)
    await trio.sleep(50)
    assert stage.servers.asked[NS1] == 500
    assert stage.servers.asked[NS2] < 50
    stage.servers.hold(NEW, *keys, at=(NS2,))
    await trio.sleep(5)
    assert sorted(stage.seen) == sorted(keys)
    assert stage.servers.asked[NS2] < 600
    assert len(stage.told) <= 5


async def test_what_stood_when_the_lease_began_is_asked_for_without_hurry(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    keys = [key(f"n{i}") for i in range(800)]
    stage.servers.hold(NEW, *keys, key("new"))
    stood = stage.applied(*keys, plan_id=None)
    stage.watch.expect_nowait(ZONE, stood)
    await trio.sleep(1)
    assert 100 < stage.servers.asked[NS1] < 200
    stage.watch.expect_nowait(ZONE, {**stood, **stage.applied(key("new"))})
    stage.servers.names.clear()
    await trio.sleep(0.01)
    assert (NS1, "new.example.org") in stage.servers.names
    await trio.sleep(10)
    assert set(stage.seen) == {*keys, key("new")}


async def test_of_very_many_what_was_seen_is_told_meanwhile(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    keys = [key(f"n{i}") for i in range(1000)]
    stage.servers.hold(NEW, *keys)
    stage.servers.delay_s[NS1] = 0.1
    stage.expect(*keys)
    await trio.sleep(5)
    assert 200 < len(stage.seen) < 500
    await trio.sleep(10)
    assert set(stage.seen) == set(keys)
    assert len(stage.told) <= 6


async def test_one_name_that_is_never_answered_does_not_hide_the_others(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    keys = [key(f"n{i}") for i in range(20)]
    stage.servers.hold(NEW, *keys)
    stage.servers.hold(OLD, keys[0])
    stage.expect(*keys)
    await trio.sleep(5)
    assert sorted(stage.seen) == sorted(keys[1:])
    assert stage.lagging[0].names == (str(keys[0]),)


async def test_something_new_is_asked_at_once_even_where_a_server_is_overdue(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stuck = [key(f"n{i}") for i in range(12)]
    expected = stage.expect(*stuck)
    await trio.sleep(200)
    stage.servers.hold(NEW, key("new"))
    stage.watch.expect_nowait(ZONE, {**expected, **stage.applied(key("new"))})
    await trio.sleep(0.01)
    assert stage.seen == [key("new")]


async def test_something_new_that_lags_is_asked_quickly_where_a_server_is_overdue(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    expected = stage.expect(key("stuck"))
    await trio.sleep(50)
    stage.watch.expect_nowait(ZONE, {**expected, **stage.applied(key("new"))})
    await trio.sleep(0.1)
    stage.servers.hold(NEW, key("new"))
    await trio.sleep(0.2)
    assert stage.seen == [key("new")]


async def test_of_several_what_is_expected_no_longer_is_not_asked(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    expected = stage.expect(key("a"), key("b"))
    await trio.sleep(5)
    del expected[key("a")]
    stage.watch.expect_nowait(ZONE, expected)
    stage.servers.names.clear()
    await trio.sleep(30)
    assert set(stage.servers.names) == {(NS1, "b.example.org")}


async def test_a_server_that_falls_silent_is_no_longer_said_to_answer(
    start_stage: StartStage, autojump_clock: MockClock
) -> None:
    stage = start_stage(NS1)
    stage.servers.hold(OLD, key("a"), key("b"))
    stage.expect(key("a"), key("b"))
    await trio.sleep(5)
    stage.servers.always[NS1] = DOWN
    for _ in range(4):
        await trio.sleep(2.1)
        assert [lag.silent for lag in stage.lagging] == [True]
