"""Who writes the monitor list, when, and what is done about somebody else who does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from trio.testing import MockClock

from dnslb.daemon.monitor_list_worker import CONTESTED, FAILED, SEND_S_MAX, MonitorListWorker
from dnslb.daemon.notices import Notices
from dnslb.daemon.write_gate import MARGIN_S, WriteGate
from dnslb.decide.intents import KeepMonitorList
from dnslb.errors import SourceError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.net.clock import FakeClock
from tests.daemon.pieces import lease
from tests.doubles.monitor_list import MemoryListStore


def listing(*urls: str) -> MonitorList:
    return MonitorList(tuple(map(Monitor.from_url, urls)), tuple(range(len(urls))))


OURS = listing("http://192.0.2.1:80")
NEWER = listing("http://192.0.2.1:80", "tcp://192.0.2.2:80")
THEIRS = listing("tcp://203.0.113.9:22")


@dataclass
class Bench:
    store: MemoryListStore
    gate: WriteGate
    clock: FakeClock
    notices: Notices
    worker: MonitorListWorker

    def keep(self, monitors: MonitorList = OURS, term: int | None = 0) -> None:
        token = None if term is None else lease(term).token
        self.worker.keep_nowait(KeepMonitorList(monitors, token))

    @property
    def rows(self) -> dict[str, str]:
        return {kind: row.sentence for (kind, _), row in self.notices._rows.items()}


@asynccontextmanager
async def bench(closed: str | None = None) -> AsyncIterator[Bench]:
    clock, store = FakeClock(), MemoryListStore()
    gate = WriteGate(clock, dict, closed=closed)
    gate.set_lease(lease())
    notices = Notices(lambda: clock.now().wall, lambda: None)
    worker = MonitorListWorker(store, gate, clock, notices, luck=lambda: 0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run)
        yield Bench(store, gate, clock, notices, worker)
        nursery.cancel_scope.cancel()


async def test_the_lease_holder_writes_what_is_missing(autojump_clock: MockClock) -> None:
    async with bench() as b:
        await trio.sleep(60)
        assert b.store.sent == []
        b.keep()
        await trio.sleep(1)
        assert b.store.sent == [OURS]


async def test_a_list_that_is_right_is_only_watched(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.store.stands.set(OURS)
        b.keep()
        await trio.sleep(3600)
        assert b.store.prepared == 0


async def test_what_somebody_else_wrote_is_mended(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.keep()
        await trio.sleep(1)
        for stands in (THEIRS, None):
            b.store.stands.set(stands)
            await trio.sleep(1)
            assert b.store.stands.value == OURS


async def test_a_reload_changes_the_list_at_once(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.keep()
        await trio.sleep(5)
        b.keep(NEWER)
        await trio.sleep(0.1)
        assert b.store.sent == [OURS, NEWER]


async def test_nothing_is_written_without_the_lease_or_by_another_term(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        b.gate.set_lease(None)
        b.keep()
        await trio.sleep(60)
        b.gate.set_lease(lease(term=2))
        await trio.sleep(60)
        assert b.store.sent == []
        b.keep(term=2)
        await trio.sleep(1)
        assert b.store.sent == [OURS]
        b.keep(term=None)
        b.store.stands.set(None)
        await trio.sleep(3600)
        assert b.store.sent == [OURS]


async def test_a_dry_run_writes_nothing(autojump_clock: MockClock) -> None:
    async with bench(closed="dry run: nothing is written") as b:
        b.keep()
        await trio.sleep(60)
        assert b.store.sent == []


async def test_a_lease_that_ended_while_it_was_prepared_sends_nothing(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        b.store.prepare_s = 5.0
        b.gate.set_lease(lease(until_boot=b.clock.now().boot + 5.0))
        b.keep()
        await trio.sleep(60)
        assert b.store.prepared == 1
        assert b.store.begun == 0


async def test_a_write_ends_with_the_lease(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.store.send_s = 3.0
        b.gate.set_lease(lease(until_boot=b.clock.now().boot + 2.0))
        b.keep()
        await trio.sleep(1)
        assert b.gate.under_way == 1
        await trio.sleep(1 - MARGIN_S)
        assert b.gate.under_way == 0
        assert b.store.sent == []


async def test_a_write_that_hangs_is_given_up_and_tried_again(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.store.send_s = 10_000
        b.keep()
        await trio.sleep(SEND_S_MAX + 0.1)
        assert "cut off" in b.rows[FAILED]
        b.store.send_s = 0.0
        await trio.sleep(60)
        assert b.store.sent == [OURS]
        assert b.rows == {}


async def test_failures_are_shown_slow_down_and_end(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.store.prepare_errors.extend(SourceError("etcd is away") for _ in range(20))
        b.keep()
        await trio.sleep(10)
        assert "agents go on with the one they have: etcd is away" in b.rows[FAILED]
        assert b.store.prepared < 8
        b.store.prepare_errors.clear()
        b.store.stands.set(OURS)
        await trio.sleep(60)
        assert b.rows == {}
        assert b.store.sent == []


async def test_two_that_fight_slow_down_and_say_so(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.keep()
        for _ in range(1200):
            await trio.sleep(0.5)
            b.store.stands.set(THEIRS)
        assert len(b.store.sent) < 12
        assert "somebody else replaced it" in b.rows[CONTESTED]
        await trio.sleep(1200)
        assert b.rows == {}
        assert b.store.stands.value == OURS


async def test_the_rows_go_with_the_lease(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.store.prepare_errors.extend(SourceError("etcd is away") for _ in range(20))
        b.keep()
        await trio.sleep(2)
        assert FAILED in b.rows
        b.gate.set_lease(None)
        b.keep(term=None)
        await trio.sleep(1)
        assert b.rows == {}
