"""The agent's loops: keep the list, have it checked, post what changed and what stayed.

It checks by any `Source` that works on a monitor list; the built-in prober is one.

Law: no fault of a network ends an agent. It goes on checking the last list that it was given,
and what it posts is always the newest it knows: a report never waits behind an older one.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio

from dnslb.agent.fan import Fan
from dnslb.agent.link import BACKOFF, NEVER, Link
from dnslb.agent.upstream import UpstreamError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import Clock
from dnslb.net.watchable import Watchable
from dnslb.ports.source import Source

log = logging.getLogger(__name__)

RETURN_S = 30.0
"""How often an agent on a later upstream looks whether an earlier one is back."""
GAP_S = 0.05
"""The least time between two posts; what changes meanwhile goes out together."""


class Agent:
    """Runs until cancelled; raises nothing that a network can cause.

    ``links``: one of them at a time, in order. ``fans``: every link of theirs, always.
    """

    def __init__(
        self,
        links: Sequence[Link],
        source: Source,
        clock: Clock,
        *,
        fans: Sequence[Fan] = (),
        sync_interval_s: float = 30.0,
        keep_alive_s: float = 30.0,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._links = tuple(links)
        self._source = source
        self._clock = clock
        self._fans = tuple(fans)
        self._sync_interval_s = sync_interval_s
        self._keep_alive_s = keep_alive_s
        self._luck = luck
        self._monitors: Watchable[MonitorList] = Watchable(MonitorList())
        self._engaged: list[MonitorList] = []
        self._newest: Watchable[Report | None] = Watchable(None)

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._source.run, self._deliver, self._monitors)
                for fan in self._fans:
                    nursery.start_soon(fan.run, partial(self._keep, fan))
                if self._links:
                    nursery.start_soon(self._keep_one_of_all)
        finally:
            for link in self._links:
                await link.upstream.aclose()

    def described(self) -> str:
        """How its upstreams stand, in one line."""
        stand = [link.described() for link in self._links]
        stand += [line for fan in self._fans for line in fan.described()]
        return "; ".join(line for line in stand if line) or "no upstream has answered yet"

    async def _deliver(self, report: Report) -> None:
        self._newest.set(report)
        await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------ which upstream

    async def _keep(self, fan: Fan, link: Link) -> None:
        """Mode "all": this upstream, for ever, whatever the others do."""
        failures = 0
        while True:
            posts = link.posts
            with contextlib.suppress(UpstreamError):  # the link has named it in the log
                await self._serve(link)
            fan.look_again()
            failures = failures + 1 if link.posts == posts else 1
            await trio.sleep(BACKOFF.delay_s(failures, self._luck()))

    async def _keep_one_of_all(self) -> None:
        """Mode "first": the first that works; the next one when it fails."""
        links, at, failures = self._links, 0, 0
        while True:
            link = links[at]
            posts = link.posts
            back_at = await self._serve_until_better(link, links[:at])
            if back_at is not None:
                log.info("%s is back: returning to it", links[back_at].name)
                at, failures = back_at, 0
                continue
            failures = failures + 1 if link.posts == posts else 1
            at = (at + 1) % len(links)
            rounds, rest = divmod(failures, len(links))
            if rounds and not rest:
                await trio.sleep(BACKOFF.delay_s(rounds, self._luck()))

    async def _serve_until_better(self, link: Link, better: Sequence[Link]) -> int | None:
        """Serves until it fails (None), or until a better one is back (its index)."""
        back_at: int | None = None

        async def look_out() -> None:
            nonlocal back_at
            while True:
                await trio.sleep(RETURN_S)
                for i, other in enumerate(better):
                    try:
                        await other.sync()
                    except UpstreamError:
                        continue
                    back_at = i
                    nursery.cancel_scope.cancel()
                    return

        async with trio.open_nursery() as nursery:
            if better:
                nursery.start_soon(look_out)
            with contextlib.suppress(UpstreamError):
                await self._serve(link)
            nursery.cancel_scope.cancel()
        return back_at

    # ---------------------------------------------------------------------------- one upstream

    async def _serve(self, link: Link) -> None:
        """Keeps the list and posts; returns never, raises `UpstreamError` at the first failure."""
        while True:
            now_mono = self._clock.now().mono
            if link.announced is None or now_mono >= link.sync_at_mono:
                await self._sync(link)
            self._engage(link)
            revision, report = self._newest.revision, self._newest.value
            if link.is_news(report) or self._clock.now().mono >= link.post_at_mono:
                await link.post(report)
                link.post_at_mono = self._clock.now().mono + self._keep_alive_s
                await trio.sleep(GAP_S)
            due_at_mono = min(link.sync_at_mono, link.post_at_mono)
            with trio.move_on_after(max(0.0, due_at_mono - self._clock.now().mono)):
                await self._newest.wait_changed(revision)

    async def _sync(self, link: Link) -> None:
        """Fetches the list; raises `UpstreamError` when there is none to go on with."""
        try:
            await link.sync()
        except UpstreamError as error:
            # What is in reach but has no good list for us may still take a post.
            if link.announced is None or not error.reached:
                raise
        link.sync_at_mono = self._clock.now().mono + self._sync_interval_s
        if link.post_at_mono == NEVER:
            # A first report is worth waiting for: blank statuses tell nobody anything.
            link.post_at_mono = self._clock.now().mono + self._keep_alive_s

    def _engage(self, link: Link) -> None:
        """Has checked what this upstream announced: alone, or together with the others'."""
        engaged = [one for fan in self._fans for one in fan.links] or [link]
        lists = [one.announced.monitors for one in engaged if one.announced is not None]
        if [id(one) for one in lists] == [id(one) for one in self._engaged]:
            return
        self._engaged = lists
        wanted = lists[0] if len(lists) == 1 else _union(lists)
        if wanted is not self._monitors.value and wanted != self._monitors.value:
            self._monitors.set(wanted)


def _union(lists: Iterable[MonitorList]) -> MonitorList:
    """Each monitor once, in the order of the lists."""
    index: dict[Monitor, None] = dict.fromkeys(monitor for one in lists for monitor in one.monitors)
    return MonitorList(tuple(index), tuple(range(len(index))))
