"""The agent's loops with one upstream and a mock clock: when it posts, and what."""

from __future__ import annotations

import json
import logging

import pytest
import trio
from trio.testing import MockClock

from dnslb.agent.agent import GAP_S
from tests.agent.scripted import ONE, SIX, TWO, ScriptedUpstream, Stage, Start, letter


async def test_what_is_announced_is_checked_and_what_is_seen_is_posted(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE, TWO)
    stage = await start(upstream)
    assert stage.source.lists[-1].monitors == (ONE, TWO)
    await stage.source.say("U-")
    await trio.sleep(1)
    await stage.source.say("UD", {1: "connection refused"})
    (_, first), (_, second) = upstream.posts
    assert [letter(status) for status in first] == ["U", "-"]
    assert second == [
        {"IP": "10.0.0.1", "Port": 80, "Healthy": True, "Message": "success", "DidChange": False},
        {
            "IP": "10.0.0.2",
            "Port": 80,
            "Healthy": False,
            "Message": "connection refused",
            "DidChange": True,
        },
    ]


async def test_nothing_is_posted_before_anything_was_checked_or_the_silence_is_long(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream)
    await stage.source.say("-")
    assert upstream.posts == []
    await trio.sleep(31)
    assert upstream.said == ["-"]


async def test_silence_is_broken_after_keep_alive(start: Start, autojump_clock: MockClock) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream, keep_alive_s=10.0)
    await stage.source.say("U")
    began_at = upstream.posts[0][0]
    await trio.sleep(15)
    await stage.source.say("D")
    await trio.sleep(24)
    at = [at - began_at for at, _ in upstream.posts]
    assert at == pytest.approx([0, 10, 15, 25, 35], abs=0.2)
    assert upstream.said == ["U", "U", "D", "D", "D"]
    assert [statuses[0]["DidChange"] for _, statuses in upstream.posts] == [
        False,
        False,
        True,
        False,
        False,
    ]


async def test_a_report_without_news_is_not_posted(start: Start, autojump_clock: MockClock) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream)
    for _ in range(5):
        await stage.source.say("U")
        await trio.sleep(1)
    assert upstream.said == ["U"]


async def test_changes_in_quick_succession_go_out_together(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE, TWO)
    stage = await start(upstream)
    for letters in ("U-", "UU", "UD", "DD"):
        await stage.source.say(letters)
    await trio.sleep(1)
    assert upstream.said == ["U-", "DD"]
    assert upstream.posts[1][0] - upstream.posts[0][0] == pytest.approx(GAP_S)


async def test_the_newest_replaces_what_was_queued_behind_a_slow_post(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE, TWO)
    stage = await start(upstream)
    upstream.slow_s = 2.0
    for letters in ("U-", "UU", "UD", "DU"):
        await stage.source.say(letters)
        await trio.sleep(0.1)
    await trio.sleep(10)
    assert upstream.said == ["U-", "DU"]


async def test_the_list_is_fetched_again_and_again(start: Start, autojump_clock: MockClock) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream, sync_interval_s=7.0)
    await trio.sleep(15)
    assert upstream.fetched_at == pytest.approx([0, 7, 14], abs=0.2)
    assert [one.monitors for one in stage.source.lists] == [(), (ONE,)]


async def test_a_changed_list_changes_what_is_checked_and_the_order_of_posts(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE, TWO)
    stage = await start(upstream, sync_interval_s=5.0)
    await stage.source.say("UD")
    upstream.announce(TWO, ONE)
    await trio.sleep(6)
    assert stage.source.lists[-1].monitors == (TWO, ONE)
    # What is known goes out in the new order at once, before anything was checked anew.
    assert upstream.said == ["UD", "DU"]


async def test_a_new_monitor_is_blank_until_it_was_checked(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream, sync_interval_s=5.0)
    await stage.source.say("U")
    upstream.announce(TWO, ONE)
    await trio.sleep(6)
    await stage.source.say("DU")
    assert upstream.said == ["U", "-U", "DU"]


async def test_the_rich_form_is_answered_in_the_rich_form(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE, SIX, rich=True)
    stage = await start(upstream)
    await stage.source.say("UD")
    assert upstream.forms == [True]
    assert [status["id"] for status in upstream.posts[0][1]] == [ONE.id, SIX.id]


async def test_a_list_that_cannot_be_read_leaves_the_old_one_in_force(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream, sync_interval_s=5.0)
    await stage.source.say("U")
    upstream.body = b"<html>"
    await trio.sleep(6)
    await stage.source.say("D")
    await trio.sleep(60)
    assert stage.source.lists[-1].monitors == (ONE,)
    assert "D" in upstream.said
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert warnings[0].getMessage().startswith("https://a/: the list cannot be read: ")


async def test_monitors_that_are_not_understood_are_named(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = ScriptedUpstream("a")
    upstream.body = json.dumps(["grpc://10.0.0.9:1"] * 7 + [ONE.url]).encode()
    stage = await start(upstream)
    await stage.source.say("U")
    assert upstream.said == ["-------U"]
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == 6
    assert warnings[-1] == "https://a/: 2 more monitors are not checked"


# ------------------------------------------------------------------------------------- the end


async def test_the_end_closes_all_connections(autojump_clock: MockClock) -> None:
    upstreams = [ScriptedUpstream("a", ONE), ScriptedUpstream("b", ONE)]
    stage = Stage(*upstreams, mode="all")
    with trio.move_on_after(5):
        await stage.agent.run()
    assert all(upstream.closed for upstream in upstreams)
