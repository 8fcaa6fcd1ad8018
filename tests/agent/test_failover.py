"""Upstreams that fail, come back, or are slow: to whom the agent posts, and how often it tries."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from dnslb.agent.agent import RETURN_S
from dnslb.agent.link import BACKOFF
from tests.agent.scripted import ONE, SIX, TWO, ScriptedUpstream, Start


async def test_an_upstream_out_of_reach_at_the_start_is_tried_until_it_answers(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upstream = ScriptedUpstream("a", ONE)
    upstream.failing = "connection refused"
    stage = await start(upstream)
    await trio.sleep(120)
    gaps = [b - a for a, b in zip(upstream.fetched_at, upstream.fetched_at[1:], strict=False)]
    assert gaps[0] == pytest.approx(BACKOFF.first_s)
    assert gaps[-1] == pytest.approx(BACKOFF.max_s)
    assert gaps == sorted(gaps)
    upstream.failing = None
    await trio.sleep(BACKOFF.max_s)
    await stage.source.say("U")
    assert upstream.said == ["U"]
    said = [one.getMessage() for one in caplog.records]
    assert said.count("https://a/: connection refused") == 1
    assert said.count("https://a/: the list works again") == 1


async def test_a_failed_post_is_made_again_with_the_newest(
    start: Start, autojump_clock: MockClock
) -> None:
    upstream = ScriptedUpstream("a", ONE)
    stage = await start(upstream)
    await stage.source.say("U")
    upstream.failing_posts = "answers 500: store trouble"
    await trio.sleep(1)
    await stage.source.say("D")
    await stage.source.say("U")
    await stage.source.say("D")
    upstream.failing_posts = None
    await trio.sleep(BACKOFF.first_s + 0.1)
    assert upstream.said == ["U", "D"]


async def test_posts_that_are_never_taken_are_tried_ever_less_often(
    start: Start, autojump_clock: MockClock
) -> None:
    """Fetching works all the time, so only a post that was taken ends the back-off."""
    upstream = ScriptedUpstream("a", ONE)
    upstream.failing_posts = "answers 400"
    tried: list[float] = []
    post = upstream.post

    async def counted(body: bytes, *, rich: bool) -> None:
        tried.append(trio.current_time())
        await post(body, rich=rich)

    upstream.post = counted  # type: ignore[method-assign]
    stage = await start(upstream)
    await stage.source.say("U")
    await trio.sleep(100)
    assert 10 <= len(tried) <= 20


# -------------------------------------------------------------------------- several upstreams


async def test_the_next_upstream_takes_over_at_once(
    start: Start, autojump_clock: MockClock
) -> None:
    first, second = ScriptedUpstream("a", ONE), ScriptedUpstream("b", ONE)
    stage = await start(first, second)
    await stage.source.say("U")
    assert (first.said, second.said) == (["U"], [])
    first.failing = "connection refused"
    await trio.sleep(1)
    before = trio.current_time()
    await stage.source.say("D")
    assert (first.said, second.said) == (["U"], ["D"])
    assert second.posts[0][0] == before
    assert [one.monitors for one in stage.source.lists] == [(), (ONE,)]


async def test_the_first_upstream_is_returned_to(start: Start, autojump_clock: MockClock) -> None:
    first, second = ScriptedUpstream("a", ONE), ScriptedUpstream("b", ONE)
    first.failing = "connection refused"
    stage = await start(first, second)
    await stage.source.say("U")
    assert second.said == ["U"]
    first.failing = None
    await trio.sleep(RETURN_S + 1)
    assert first.said == ["U"]
    await stage.source.say("D")
    assert (first.said, second.said) == (["U", "D"], ["U"])


async def test_with_none_in_reach_the_rounds_grow_longer(
    start: Start, autojump_clock: MockClock
) -> None:
    upstreams = [ScriptedUpstream(name, ONE) for name in "abc"]
    for upstream in upstreams:
        upstream.failing = "connection refused"
    await start(*upstreams)
    await trio.sleep(100)
    for upstream in upstreams:
        assert 8 <= len(upstream.fetched_at) <= 20


async def test_the_form_is_that_of_the_upstream_that_is_posted_to(
    start: Start, autojump_clock: MockClock
) -> None:
    """One that speaks the rich form fails, and the next one is a Go healthd."""
    first = ScriptedUpstream("a", ONE, SIX, rich=True)
    second = ScriptedUpstream("b", ONE)
    stage = await start(first, second)
    await stage.source.say("UD")
    first.failing = "connection refused"
    await trio.sleep(1)
    await stage.source.say("DD")
    await trio.sleep(1)
    await stage.source.say("D")
    assert (first.forms, second.forms) == ([True], [False])
    assert second.said == ["D"]


async def test_in_mode_all_a_slow_upstream_delays_no_other(
    start: Start, autojump_clock: MockClock
) -> None:
    slow, quick = ScriptedUpstream("slow", ONE), ScriptedUpstream("quick", ONE)
    stage = await start(slow, quick, mode="all")
    slow.slow_s = 2.9
    for letters in "UDUDUD":
        await stage.source.say(letters)
        await trio.sleep(0.5)
    await trio.sleep(10)
    assert quick.said == list("UDUDUD")
    assert slow.said == ["U", "D"]


async def test_in_mode_all_a_dead_upstream_hinders_no_other(
    start: Start, autojump_clock: MockClock
) -> None:
    dead, living = ScriptedUpstream("dead", ONE), ScriptedUpstream("living", ONE)
    dead.failing = "connection refused"
    stage = await start(dead, living, mode="all")
    await stage.source.say("U")
    assert living.said == ["U"]
    dead.failing = None
    await trio.sleep(BACKOFF.max_s)
    assert dead.said == ["U"]


async def test_in_mode_all_each_upstream_hears_of_what_it_announced(
    start: Start, autojump_clock: MockClock
) -> None:
    first = ScriptedUpstream("a", ONE, TWO)
    second = ScriptedUpstream("b", SIX, TWO, rich=True)
    stage = await start(first, second, mode="all")
    assert stage.source.lists[-1].monitors == (ONE, TWO, SIX)
    await stage.source.say("UDU", {1: "refused"})
    assert (first.said, second.said) == (["UD"], ["UD"])
    assert second.posts[0][1][1]["Message"] == "refused"
    assert [status["id"] for status in second.posts[0][1]] == [SIX.id, TWO.id]
