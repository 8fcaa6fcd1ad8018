"""The replay source under a mock clock, and the files it reads."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dnslb.errors import ConfigError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.net.clock import FakeClock
from dnslb.net.watchable import Watchable
from dnslb.sources import replay as replay_module
from dnslb.sources.recording import RecordedReport
from dnslb.sources.replay import Replay

WEB = Monitor("http", "192.0.2.1", 80)
MAIL = Monitor("tcp", "192.0.2.2", 25)
BOTH = MonitorList((WEB, MAIL))


@contextlib.asynccontextmanager
async def replayed(
    monitors: Watchable[MonitorList], *entries: RecordedReport
) -> AsyncIterator[list[Report]]:
    told: list[Report] = []

    async def deliver(report: Report) -> None:
        await trio.lowlevel.checkpoint()
        told.append(report)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Replay(entries, clock=FakeClock()).run, deliver, monitors)
        yield told
        nursery.cancel_scope.cancel()


async def test_reports_are_told_at_their_times(autojump_clock: MockClock) -> None:
    await trio.sleep(100)
    entries = (
        RecordedReport(0.0, "a", {WEB.url: UP}, complete=False),
        RecordedReport(5.0, "b", {WEB.url: DOWN}, {WEB.url: "connection refused"}),
        RecordedReport(5.0, "a", {WEB.url: UP, MAIL.url: UP}),
        RecordedReport(3600.0, "a", {}),
    )
    async with replayed(Watchable(BOTH), *entries) as told:
        await trio.sleep(4000)
    assert [(r.arrived_mono, r.agent, r.votes, r.complete) for r in told] == [
        (100.0, "a", bytes([UP, UNKNOWN]), False),
        (105.0, "b", bytes([DOWN, UNKNOWN]), True),
        (105.0, "a", bytes([UP, UP]), True),
        (3700.0, "a", bytes([UNKNOWN, UNKNOWN]), True),
    ]
    assert told[1].messages == {0: "connection refused"}
    assert {report.age_s for report in told} == {0.0}
    assert {report.via for report in told} == {"replay"}
    assert told[0].arrived_wall == 1_767_225_700.0


async def test_another_list_is_answered_with_the_newest_reports_and_their_age(
    autojump_clock: MockClock,
) -> None:
    monitors = Watchable(BOTH)
    entries = (
        RecordedReport(0.0, "a", {WEB.url: UP, MAIL.url: UP}),
        RecordedReport(1.0, "a", {WEB.url: UP, MAIL.url: DOWN}),
        RecordedReport(2.0, "b", {MAIL.url: UP}),
        RecordedReport(100.0, "b", {MAIL.url: DOWN}),
    )
    async with replayed(monitors, *entries) as told:
        await trio.sleep(10)
        told.clear()
        monitors.set(MonitorList((MAIL,)))
        await trio.sleep(1)
        assert {(r.agent, r.votes, r.age_s, r.seen_mono) for r in told} == {
            ("a", bytes([DOWN]), 9.0, 1.0),
            ("b", bytes([UP]), 8.0, 2.0),
        }
        monitors.set(BOTH)
        await trio.sleep(1)
        assert len(told) == 4
        await trio.sleep(100)
    assert (told[-1].votes, told[-1].age_s) == (bytes([UNKNOWN, DOWN]), 0.0)


async def test_a_change_while_reports_are_told_is_not_missed(autojump_clock: MockClock) -> None:
    monitors = Watchable(BOTH)
    told: list[Report] = []

    async def deliver(report: Report) -> None:
        told.append(report)
        await trio.sleep(0.5)  # slower than any real one

    entries = [RecordedReport(0.0, agent, {WEB.url: UP}) for agent in ("a", "b")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Replay(entries, clock=FakeClock()).run, deliver, monitors)
        await trio.sleep(5)
        monitors.set(MonitorList((MAIL,)))
        await trio.sleep(0.1)
        monitors.set(MonitorList((WEB,)))
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    newest = {report.agent: report for report in told}
    assert {report.votes for report in newest.values()} == {bytes([UP])}
    assert {report.monitors for report in newest.values()} == {MonitorList((WEB,))}


async def test_a_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "rec.jsonl"
    path.write_text('{"at": 1, "agent": "a", "votes": {"http://192.0.2.1:80": "up"}}\n')
    told: list[Report] = []

    async def deliver(report: Report) -> None:
        told.append(report)

    with trio.move_on_after(5):
        await Replay.from_file(path, clock=FakeClock()).run(deliver, Watchable(BOTH))
    assert [report.votes for report in told] == [bytes([UP, UNKNOWN])]


def test_files_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rec.jsonl"
    with pytest.raises(ConfigError, match=r"rec.jsonl cannot be read: No such file"):
        Replay.from_file(path)
    path.write_bytes(b'{"at": \xff}')
    with pytest.raises(ConfigError, match=r"rec.jsonl is not UTF-8 text \(byte 7\)"):
        Replay.from_file(path)
    path.write_text("[]")
    with pytest.raises(ConfigError, match=r"rec.jsonl, line 1: expected an object"):
        Replay.from_file(path)
    monkeypatch.setattr(replay_module, "BYTES_MAX", 1)
    with pytest.raises(ConfigError, match=r"rec.jsonl is larger than 1 bytes"):
        Replay.from_file(path)
