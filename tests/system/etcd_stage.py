"""The etcd source at work against a real etcd, in this process: what it tells and shows."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from dnslb.daemon.notices import Notices
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import VOTE_WORDS, Report
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.net.tls import TlsFiles
from dnslb.net.watchable import Watchable
from dnslb.sources import etcd
from dnslb.sources.etcd import EtcdSource
from dnslb.sources.etcd_follow import Login
from dnslb.sources.etcd_http import EtcdHttp

PATIENCE_S = 20.0
A, B = "192.0.2.1:80", "192.0.2.2:80"
AGENTS = ("ams", "fra", "waw")


def listing(*urls: str) -> MonitorList:
    monitors = tuple(Monitor.from_url(url) for url in dict.fromkeys(urls))
    index = {monitor.url: i for i, monitor in enumerate(monitors)}
    return MonitorList(monitors, tuple(index[url] for url in urls))


LIST = listing(f"http://{A}", f"http://{B}")


@dataclass
class Bench:
    source: EtcdSource
    agents: Watchable[tuple[str, ...]]
    monitors: Watchable[MonitorList]
    notices: Notices
    reports: list[Report] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, str]:
        return {kind: row.sentence for (kind, _), row in self.notices._rows.items()}

    def last(self, agent: str) -> Report | None:
        return next((r for r in reversed(self.reports) if r.agent == agent), None)

    def votes(self, agent: str) -> str:
        report = self.last(agent)
        return " ".join(VOTE_WORDS[vote] for vote in report.votes) if report else "-"

    def has_counted(self, what: str, count: int) -> bool:
        return self.source.counters[what] == count

    async def wait(self, what: Callable[[], bool]) -> None:
        """Until it is so; patience only bounds a failing test."""
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, (self.rows, self.source.counters, self.reports[-2:])
            await trio.sleep(0.01)

    async def wait_votes(self, agent: str, votes: str) -> None:
        await self.wait(lambda: self.votes(agent) == votes)

    async def wait_row(self, kind: str) -> None:
        await self.wait(lambda: kind in self.rows)

    async def wait_live(self) -> None:
        await self.wait(lambda: self.source._live_at_mono is not None)

    async def put_list(self) -> None:
        """As the lease holder's worker does."""
        with trio.fail_after(PATIENCE_S):
            prepared = await self.source.prepare(self.monitors.value)
            if prepared is not None:
                await prepared.send()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are short: for tests of what happens, not of pace."""
    monkeypatch.setattr(etcd, "STABLE_S", 0.3)
    monkeypatch.setattr(etcd, "_AGAIN", Backoff(first_s=0.05, max_s=0.2))


@asynccontextmanager
async def bench(
    *urls: str,
    api: str = "auto",
    files: TlsFiles | None = None,
    monitors: MonitorList = LIST,
    user: str | None = None,
    password: str = "",
    look_s: float = 0.5,
) -> AsyncIterator[Bench]:
    clock = Clock()
    notices = Notices(lambda: clock.now().wall, lambda: None)
    agents: Watchable[tuple[str, ...]] = Watchable(AGENTS)
    source = EtcdSource(
        EtcdHttp(urls, files or TlsFiles()),
        api=api,
        look_s=look_s,
        agents=agents,
        clock=clock,
        notices=notices,
        login=Login(user, lambda: password),
        luck=lambda: 0.0,
    )
    made = Bench(source, agents, Watchable(monitors), notices)

    async def deliver(report: Report) -> None:
        made.reports.append(report)
        await trio.lowlevel.checkpoint()

    try:
        await source.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.run, deliver, made.monitors)
            yield made
            nursery.cancel_scope.cancel()
    finally:
        await source.aclose()
