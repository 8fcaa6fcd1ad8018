"""A whole agent, its prober and its client, against our receiver and against a Go healthd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from dnslb.agent.agent import Agent
from dnslb.agent.fan import Fan, Resolve, addresses_of
from dnslb.agent.link import Link
from dnslb.agent.upstream import Upstream
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import Clock
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.tls import client_context
from dnslb.net.watchable import Watchable
from dnslb.sources.healthd import HealthdReceiver
from dnslb.sources.prober import Prober
from tests.doubles.healthd import GoHealthd
from tests.doubles.pki import Authority


class Endpoint:
    """Something that listens on loopback until it is told to stop."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.port = bound_port(listener)

    @classmethod
    async def open(cls, port: int = 0) -> Endpoint:
        (listener,) = await open_tcp(port)
        return cls(listener)

    def monitor(self, **options: object) -> Monitor:
        return Monitor("tcp", "127.0.0.1", self.port, **options)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self._listener.aclose()


class Stage:
    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.clock = Clock()
        self.server_files = self.authority.issue("127.0.0.1", name="server")
        self.reports: list[Report] = []
        self._told = trio.Event()

    def receiver(self, host: str = "127.0.0.1", port: int = 0) -> HealthdReceiver:
        return HealthdReceiver(
            host=host,
            port=port,
            files=self.server_files,
            agents=lambda: {"fra-1"},
            clock=self.clock,
        )

    def link(self, url: str, address: str | None = None) -> Link:
        context = client_context(self.authority.issue(common_name="fra-1"))
        return Link(Upstream(url, "fra-1", lambda: context, address=address), interval_s=0.1)

    def agent(self, *urls: str, **options: object) -> Agent:
        links = [self.link(url) for url in urls]
        prober = Prober("fra-1", clock=self.clock)
        return Agent(links, prober, self.clock, **options)  # type: ignore[arg-type]

    def agent_to_all(self, *urls: str, resolve: Resolve = addresses_of) -> Agent:
        fans = [Fan(url, partial(self.link, url), resolve=resolve) for url in urls]
        return Agent([], Prober("fra-1", clock=self.clock), self.clock, fans=fans)

    async def deliver(self, report: Report) -> None:
        self.reports.append(report)
        told, self._told = self._told, trio.Event()
        told.set()
        await trio.lowlevel.checkpoint()

    async def wait_votes(self, *votes: int) -> Report:
        """The first report from now on with these votes."""
        while not self.reports or self.reports[-1].votes != bytes(votes):
            await self._told.wait()
        return self.reports[-1]

    async def wait_reports(self, count: int) -> None:
        while len(self.reports) < count:
            await self._told.wait()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    one = await Endpoint.open()
    try:
        yield one
    finally:
        await one.close()


async def test_our_receiver_hears_what_our_agent_sees(stage: Stage, nursery: trio.Nursery) -> None:
    """Rich form: the interval of the configuration is held, IPv6 included, a death and a return."""
    receiver = stage.receiver()
    await receiver.open()
    with trio.fail_after(20):
        async with endpoint() as living, endpoint() as dying:
            gone = Monitor("tcp", "::1", dying.port, interval_s=0.1)
            monitors = (living.monitor(interval_s=0.1), dying.monitor(interval_s=0.1), gone)
            watched = Watchable(MonitorList(monitors, (0, 1, 2)))
            nursery.start_soon(receiver.run, stage.deliver, watched)
            nursery.start_soon(
                stage.agent(f"https://127.0.0.1:{receiver.port}/", sync_interval_s=0.2).run
            )
            report = await stage.wait_votes(UP, UP, DOWN)
            assert report.complete
            assert report.agent == "fra-1"
            assert report.monitors is watched.value
            await dying.close()
            report = await stage.wait_votes(UP, DOWN, DOWN)
            assert "refused" in report.messages[1]
            returned = await Endpoint.open(dying.port)
            await stage.wait_votes(UP, UP, DOWN)
            # A monitor that leaves takes nobody else's state with it.
            watched.set(MonitorList((monitors[1], monitors[0]), (0, 1)))
            seen = len(stage.reports)
            await stage.wait_votes(UP, UP)
            assert all(UNKNOWN not in one.votes for one in stage.reports[seen:])
            await returned.close()
    assert receiver.http.accepted == 1
    assert receiver.counters["errors"] == 0
    nursery.cancel_scope.cancel()


async def test_a_go_healthd_hears_what_it_can_read(stage: Stage, nursery: trio.Nursery) -> None:
    with trio.fail_after(20):
        async with endpoint() as living, endpoint() as dying:
            healthd = GoHealthd(
                stage.server_files,
                [
                    f"tcp://127.0.0.1:{living.port}",
                    "none://192.0.2.1:1",
                    f"tcp://127.0.0.1:{dying.port}",
                    f"tcp://127.0.0.1:{living.port}",
                ],
            )
            await nursery.start(healthd.serve)
            agent = stage.agent(healthd.url, sync_interval_s=0.3, keep_alive_s=0.2)
            nursery.start_soon(agent.run)
            await healthd.wait_statuses("fra-1", True, True, True, True)
            await dying.close()
            statuses = await healthd.wait_statuses("fra-1", True, True, False, True)
            assert statuses[0] == {
                "IP": "127.0.0.1",
                "Port": living.port,
                "Healthy": True,
                "Message": "success",
                "DidChange": False,
            }
            assert statuses[1]["Message"] == "unknown"
            assert "refused" in statuses[2]["Message"]
            # Kept alive without a change, and the list fetched again and again.
            posts, fetches = len(healthd.stored["fra-1"]), healthd.fetches
            await healthd.wait_posts("fra-1", posts + 3)
            while healthd.fetches < fetches + 2:
                await healthd.changed.wait()
            healthd.monitors = [f"tcp://127.0.0.1:{dying.port}", f"tcp://127.0.0.1:{living.port}"]
            await healthd.wait_statuses("fra-1", False, True)
    assert healthd.refused == []
    nursery.cancel_scope.cancel()


async def test_the_second_upstream_takes_over_while_the_first_has_trouble(
    stage: Stage, nursery: trio.Nursery
) -> None:
    with trio.fail_after(20):
        async with endpoint() as dying:
            monitors = [f"tcp://127.0.0.1:{dying.port}"]
            first = GoHealthd(stage.server_files, monitors)
            second = GoHealthd(stage.server_files, monitors)
            await nursery.start(first.serve)
            await nursery.start(second.serve)
            nursery.start_soon(stage.agent(first.url, second.url).run)
            await first.wait_statuses("fra-1", True)
            first.failing = 500
            await dying.close()
            await second.wait_statuses("fra-1", False)
    assert first.stored["fra-1"][-1][0]["Healthy"]
    nursery.cancel_scope.cancel()


async def test_all_upstreams_are_told_in_mode_all(stage: Stage, nursery: trio.Nursery) -> None:
    receiver = stage.receiver()
    await receiver.open()
    with trio.fail_after(20):
        async with endpoint() as dying:
            healthd = GoHealthd(stage.server_files, [f"tcp://127.0.0.1:{dying.port}"])
            await nursery.start(healthd.serve)
            watched = Watchable(MonitorList((dying.monitor(interval_s=0.1),), (0,)))
            nursery.start_soon(receiver.run, stage.deliver, watched)
            urls = (healthd.url, f"https://127.0.0.1:{receiver.port}/")
            nursery.start_soon(stage.agent_to_all(*urls).run)
            await healthd.wait_statuses("fra-1", True)
            await stage.wait_votes(UP)
            await dying.close()
            await healthd.wait_statuses("fra-1", False)
            await stage.wait_votes(DOWN)
    assert healthd.refused == []
    nursery.cancel_scope.cancel()


async def test_each_address_of_a_name_is_told_in_mode_all(
    stage: Stage, nursery: trio.Nursery
) -> None:
    """Two receivers at one port of two addresses; certificates name the host alone."""
    stage.server_files = stage.authority.issue("lb.example.org", name="service")
    first = stage.receiver()
    await first.open()
    second = stage.receiver("127.0.0.2", first.port)
    await second.open()

    async def resolve(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        assert host == "lb.example.org"
        return ["127.0.0.1", "127.0.0.2"]

    told: dict[str, Report] = {}
    with trio.fail_after(20):
        async with endpoint() as dying:
            watched = Watchable(MonitorList((dying.monitor(interval_s=0.1),), (0,)))
            heard = trio.Event()

            def start(receiver: HealthdReceiver, name: str) -> None:
                async def deliver(report: Report) -> None:
                    nonlocal heard
                    told[name] = report
                    heard.set()
                    heard = trio.Event()
                    await trio.lowlevel.checkpoint()

                nursery.start_soon(receiver.run, deliver, watched)

            async def wait_told(votes: dict[str, int]) -> None:
                while {name: report.votes[0] for name, report in told.items()} != votes:
                    await heard.wait()

            start(first, "first")
            start(second, "second")
            url = f"https://lb.example.org:{first.port}/"
            nursery.start_soon(stage.agent_to_all(url, resolve=resolve).run)
            await wait_told({"first": UP, "second": UP})
            await dying.close()
            await wait_told({"first": DOWN, "second": DOWN})
    nursery.cancel_scope.cancel()


async def test_a_receiver_that_starts_late_is_found(stage: Stage, nursery: trio.Nursery) -> None:
    with trio.fail_after(20):
        async with endpoint() as living:
            receiver = stage.receiver()
            reserved = await Endpoint.open()
            await reserved.close()
            nursery.start_soon(stage.agent(f"https://127.0.0.1:{reserved.port}/").run)
            await trio.sleep(0.1)
            receiver = HealthdReceiver(
                host="127.0.0.1",
                port=reserved.port,
                files=stage.server_files,
                agents=lambda: {"fra-1"},
                clock=stage.clock,
            )
            watched = Watchable(MonitorList((living.monitor(),), (0,)))
            nursery.start_soon(receiver.run, stage.deliver, watched)
            await stage.wait_votes(UP)
    nursery.cancel_scope.cancel()
