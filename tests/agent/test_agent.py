"""The agent's loops against scripted upstreams and a mock clock: when, to whom, and what."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dnslb.agent.agent import BACKOFF, GAP_S, RETURN_S, Agent
from dnslb.agent.link import Link
from dnslb.agent.upstream import Answer, Upstream, UpstreamError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import FakeClock
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.sources.healthd_codec import WireMonitors

ONE = Monitor("tcp", "10.0.0.1", 80)
TWO = Monitor("tcp", "10.0.0.2", 80)
SIX = Monitor("tcp", "2001:db8::1", 443)


def no_context() -> ssl.SSLContext:
    raise AssertionError("no connection is made here")


class ScriptedUpstream(Upstream):
    """Answers from memory. ``failing``: what every request ends with. Instants of trio."""

    def __init__(self, name: str, *monitors: Monitor, rich: bool = False) -> None:
        super().__init__(f"https://{name}/", "fra-1", no_context)
        self.rich = rich
        self.failing: str | None = None
        self.failing_posts: str | None = None
        self.slow_s = 0.0
        self.fetched_at: list[float] = []
        self.posts: list[tuple[float, list[dict[str, Any]]]] = []
        self.forms: list[bool] = []
        self.closed = False
        self.announce(*monitors)

    def announce(self, *monitors: Monitor) -> None:
        wire = WireMonitors(MonitorList(monitors, tuple(range(len(monitors)))))
        self.body = wire.rich_body if self.rich else wire.legacy_body

    async def fetch(self) -> Answer:
        await trio.lowlevel.checkpoint()
        self.fetched_at.append(trio.current_time())
        self._fail(self.failing)
        return Answer(self.body, self.rich)

    async def post(self, body: bytes, *, rich: bool) -> None:
        await trio.sleep(self.slow_s)
        self._fail(self.failing or self.failing_posts)
        self.posts.append((trio.current_time(), json.loads(body)))
        self.forms.append(rich)

    def _fail(self, sentence: str | None) -> None:
        if sentence is not None:
            raise UpstreamError(f"{self.url}: {sentence}")

    async def aclose(self) -> None:
        self.closed = True

    @property
    def said(self) -> list[str]:
        """Each post in short: up, down or nothing yet."""
        return ["".join(_letter(status) for status in statuses) for _, statuses in self.posts]


def _letter(status: dict[str, Any]) -> str:
    return "-" if not status["IP"] else "U" if status["Healthy"] else "D"


class ScriptedSource:
    """Reports what the test says, against the list that it is given."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.lists: list[MonitorList] = []
        self.monitors: Watched[MonitorList] | None = None
        self.deliver: Deliver | None = None

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        self.deliver, self.monitors = deliver, monitors
        while True:
            revision = monitors.revision
            self.lists.append(monitors.value)
            await monitors.wait_changed(revision)

    async def say(self, letters: str, messages: dict[int, str] | None = None) -> None:
        assert self.deliver is not None
        assert self.monitors is not None
        now = self.clock.now()
        votes = bytes({"-": UNKNOWN, "U": UP, "D": DOWN}[letter] for letter in letters)
        complete = UNKNOWN not in votes
        report = Report(
            "fra-1", self.monitors.value, votes, now.mono, now.wall, messages or {}, complete
        )
        await self.deliver(report)
        await wait_all_tasks_blocked()


class Stage:
    def __init__(self, *upstreams: ScriptedUpstream, **options: Any) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        self.agent = Agent(
            [Link(upstream, interval_s=1.0) for upstream in upstreams],
            self.source,
            self.clock,
            luck=lambda: 1.0,
            **options,
        )


Start = Callable[..., Any]


@pytest.fixture
def start(nursery: trio.Nursery) -> Start:
    async def started(*upstreams: ScriptedUpstream, **options: Any) -> Stage:
        stage = Stage(*upstreams, **options)
        nursery.start_soon(stage.agent.run)
        await wait_all_tasks_blocked()
        return stage

    return started


# ---------------------------------------------------------------------------------- one upstream


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
    assert [_letter(status) for status in first] == ["U", "-"]
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


# ------------------------------------------------------------------------------- when it fails


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


# ------------------------------------------------------------------------------------- the end


async def test_the_end_closes_all_connections(autojump_clock: MockClock) -> None:
    upstreams = [ScriptedUpstream("a", ONE), ScriptedUpstream("b", ONE)]
    stage = Stage(*upstreams, mode="all")
    with trio.move_on_after(5):
        await stage.agent.run()
    assert all(upstream.closed for upstream in upstreams)
