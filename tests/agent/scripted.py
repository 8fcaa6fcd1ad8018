"""Upstreams and a source that do what a test says, in memory and by trio's clock."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from dnslb.agent.agent import Agent
from dnslb.agent.fan import Fan, NotResolved
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
        return ["".join(letter(status) for status in statuses) for _, statuses in self.posts]


def letter(status: dict[str, Any]) -> str:
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


class ScriptedResolver:
    """Answers every name with ``addresses``, or fails with ``failing``. Instants of trio."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.failing: str | None = None
        self.asked_at: list[float] = []

    async def __call__(self, host: str) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        self.asked_at.append(trio.current_time())
        if self.failing is not None:
            raise NotResolved(self.failing)
        return self.addresses


class Stage:
    """``mode`` "all": a fan for each upstream, whose host has one address; or give ``fans``."""

    def __init__(self, *upstreams: ScriptedUpstream, mode: str = "first", **options: Any) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        links = [Link(upstream, interval_s=1.0) for upstream in upstreams]
        if mode == "all":
            options["fans"] = [fan_of(link) for link in links]
            links = []
        self.agent = Agent(links, self.source, self.clock, luck=lambda: 1.0, **options)


def fan_of(link: Link) -> Fan:
    return Fan(link.name, lambda _: link, resolve=ScriptedResolver("192.0.2.1"), luck=lambda: 1.0)


Start = Callable[..., Any]
"""Starts an agent on the given upstreams; returns its `Stage`."""
