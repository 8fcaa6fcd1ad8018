"""One agent's key: what is told of it, in which order, how often, and what an arrival is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from dnslb.daemon.notices import Notices
from dnslb.errors import SourceError
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import FakeClock
from dnslb.net.tls import TlsFiles
from dnslb.net.watchable import Watchable
from dnslb.sources import etcd
from dnslb.sources.etcd import EtcdSource
from dnslb.sources.etcd_codec import Held
from dnslb.sources.etcd_follow import SEAM_S_MAX, Seen, seen_change
from dnslb.sources.etcd_http import EtcdHttp
from dnslb.sources.etcd_reports import AgentKey
from dnslb.sources.healthd_codec import WireMonitors
from tests.system.etcd import stored, stored_list

A, B = "192.0.2.1:80", "192.0.2.2:80"
WIRE = WireMonitors(
    MonitorList((Monitor.from_url(f"tcp://{A}"), Monitor.from_url(f"tcp://{B}")), (0, 1))
)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.counts: Counter[str] = Counter()
        self.reports: list[Report] = []
        self.told: list[str | None] = []
        self.wire = (WIRE, True)
        self.key = AgentKey("ams", self.clock, self.counts, lambda: self.wire, self._tell)

    def _tell(self, agent: str, error: SourceError | None) -> None:
        self.told.append(None if error is None else str(error))

    async def deliver(self, report: Report) -> None:
        self.reports.append(report)
        await trio.lowlevel.checkpoint()

    def put(
        self, a: bool, b: bool, index: int = 1, *, stored_there: bool = False, age_s: float = 0.0
    ) -> None:
        now = self.clock.now()
        held = Held("ams", stored({A: a, B: b}, at=now.wall).encode(), index)
        self.key.put_nowait(Seen(held, now, stored_there, age_s))

    @property
    def votes(self) -> list[bytes]:
        return [report.votes for report in self.reports]


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.key.run, made.deliver)
        yield made
        nursery.cancel_scope.cancel()


async def test_a_report_says_how_it_came(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.put(True, False, stored_there=True)
        await trio.sleep(1)
        b.put(True, False, age_s=0.2)
        await trio.sleep(1)
        found, seen = b.reports
        assert (found.stored, found.age_s, found.via, found.agent) == (True, 0.0, "etcd", "ams")
        assert (seen.stored, seen.age_s) == (False, 0.2)
        assert seen.sent_wall == int(seen.arrived_wall)
        assert seen.votes == b"\x01\x02"
        # Equal votes are the same object: who compares has nothing to do.
        assert seen.votes is found.votes
        assert b.counts["unchanged"] == 1


async def test_the_same_statuses_are_read_once_and_their_time_each_time(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        for _ in range(3):
            b.put(True, False)
            await trio.sleep(10)
        assert b.counts["unchanged"] == 2
        assert b.key.kept_bytes > 0
        times = [report.sent_wall for report in b.reports]
        assert times == [int(report.arrived_wall) for report in b.reports]
        assert len(set(times)) == 3
        b.key.forget()
        assert b.key.kept_bytes == 0
        b.put(True, False)
        await trio.sleep(1)
        assert b.counts["unchanged"] == 2
        assert b.votes == [b"\x01\x02"] * 4


async def test_what_is_remembered_of_all_agents_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = EtcdSource(
        EtcdHttp(("http://127.0.0.1:1",), TlsFiles()),
        api="v2",
        look_s=1,
        agents=Watchable(("ams",)),
        clock=FakeClock(),
        notices=Notices(float, lambda: None),
    )
    async with bench() as b:
        monkeypatch.setattr(b.key, "_tell", source._tell)
        monkeypatch.setattr(source, "_keys", {"ams": b.key})
        for most, kept in ((1000, True), (10, False)):
            monkeypatch.setattr(etcd, "KEPT_BYTES_MAX", most)
            b.put(True, False)
            await trio.sleep(1)
            assert (b.key.kept_bytes > 0) is kept
        assert b.votes == [b"\x01\x02"] * 2


async def test_a_trusted_place_is_another_meaning(autojump_clock: MockClock) -> None:
    one = WireMonitors(
        MonitorList((Monitor.from_url(f"tcp://{A}"), Monitor.from_url(f"http://{A}")), (0, 1))
    )
    value = stored_list([(A, True), (A, False)], at=0.0).encode()
    async with bench() as b:
        for trusted in (False, True, False):
            b.wire = (one, trusted)
            now = b.clock.now()
            at = int(now.wall)
            fresh = value.replace(b'"Time":0', f'"Time":{at}'.encode())
            b.key.put_nowait(Seen(Held("ams", fresh, 1), now, stored=False))
            await trio.sleep(1)
        assert b.votes == [b"\x00\x00", b"\x01\x02", b"\x00\x00"]


async def test_another_list_is_another_meaning(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.put(True, False)
        await trio.sleep(1)
        b.wire = (WireMonitors(MonitorList((Monitor.from_url(f"tcp://{B}"),), (0,))), True)
        b.put(True, False)
        await trio.sleep(1)
        assert b.votes == [b"\x01\x02", b"\x02"]


async def test_the_newest_is_always_told_and_what_it_overtook_is_not(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        for index in range(1000):
            b.put(True, index % 2 == 0, index)
            await trio.sleep(0.001)
        await trio.sleep(1)
        assert b.votes[-1] == b"\x01\x02"
        # Fifty at once, then twenty a second.
        assert 60 <= len(b.reports) <= 75
        assert b.counts["coalesced"] + len(b.reports) == 1000


async def test_what_is_no_report_is_told_and_the_next_one_counts(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        now = b.clock.now()
        b.key.put_nowait(Seen(Held("ams", b"<html>", 1), now, stored=False))
        await trio.sleep(1)
        b.key.put_nowait(Seen(Held("ams", None, 2), now, stored=False))
        await trio.sleep(1)
        assert b.reports == []
        b.put(True, True)
        await trio.sleep(1)
        assert b.votes == [b"\x01\x01"]
        assert [told is None for told in b.told] == [False, True]
        assert b.counts == {"malformed": 1, "removed": 1, "reports": 1}


def test_what_has_arrived_and_what_was_found() -> None:
    held, now = Held("ams", b"", 7), Now(100.0, 100.0, 1_700_000_000.0)

    def seen(backlog: bool, watched_mono: float | None) -> tuple[bool, float]:
        found = seen_change(held, now, backlog=backlog, watched_mono=watched_mono)
        return found.stored, found.age_s

    assert seen(False, None) == (False, 0.0)
    # Between two polls of one connection: at most as old as the seam is wide.
    assert seen(True, 100.0 - SEAM_S_MAX / 2) == (False, SEAM_S_MAX / 2)
    assert seen(True, 100.0 - SEAM_S_MAX * 2) == (True, 0.0)
    # After a reconnect nobody knows since when it stood there.
    assert seen(True, None) == (True, 0.0)
