"""A receiver on loopback, what it delivers, and clients with certificates of every kind.

For the tests of the receiver; its own pieces are tested by their use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio
import trio.testing

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import Clock
from dnslb.net.http_limits import Limits, Refusal
from dnslb.net.tls import TlsFiles, client_context
from dnslb.net.watchable import Watchable
from dnslb.sources.healthd import LIMITS, HealthdReceiver
from tests.doubles.pki import Authority

HTTP = Monitor("http", "10.0.0.1", 80)
TCP = Monitor("tcp", "10.0.0.1", 80)
SIX = Monitor("tcp", "2001:db8::1", 443)
BLANK = {"IP": "", "Port": 0, "Healthy": False, "Message": "", "DidChange": False}


def monitor_list(*monitors: Monitor) -> MonitorList:
    return MonitorList(monitors, tuple(range(len(monitors))))


def status(monitor: Monitor, healthy: bool, **more: object) -> dict[str, object]:
    found = {"IP": monitor.host, "Port": monitor.port, "Healthy": healthy}
    return {**found, "Message": "", "DidChange": False, **more}


class Stage:
    """A receiver, what it delivers, and what it needs to be spoken to."""

    def __init__(self, directory: Path, *monitors: Monitor, limits: Limits = LIMITS) -> None:
        self.authority = Authority(directory / "ca")
        self.stranger = Authority(directory / "stranger")
        self.server_files = self.authority.issue("127.0.0.1", "localhost", name="server")
        self.agents = {"fra-1", "ams-1.example.org"}
        self.monitors = Watchable(monitor_list(*monitors))
        self.reports: list[Report] = []
        self.clock = Clock()
        self.receiver = HealthdReceiver(
            host="127.0.0.1",
            port=0,
            files=self.server_files,
            agents=lambda: self.agents,
            clock=self.clock,
            limits=limits,
        )

    async def deliver(self, report: Report) -> None:
        self.reports.append(report)
        await trio.lowlevel.checkpoint()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.receiver.port}/"

    def client(
        self, files: TlsFiles | None = None, name: str | None = "fra-1"
    ) -> httpx.AsyncClient:
        files = files or self.authority.issue(common_name="fra-1")
        headers = {} if name is None else {"X-Agent-Name": name}
        return httpx.AsyncClient(
            verify=client_context(files), trust_env=False, base_url=self.url, headers=headers
        )

    async def wait_refused(self, kind: Refusal) -> None:
        while not self.receiver.http.refused[kind]:  # noqa: ASYNC110  # a counter has no event
            await trio.sleep(0.001)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    await stage.receiver.open()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.receiver.run, stage.deliver, stage.monitors)
            yield stage
            nursery.cancel_scope.cancel()
