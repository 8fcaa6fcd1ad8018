"""Recorded reports, told again at their times: for demos, tests, and to live an incident again.

Not the reader of recordings (`recording.py`, pure). A source like any other: whoever listens
cannot tell that nobody checks anything.

Law: nothing is told twice as if it were new. When the monitor list changes, each agent's newest
report is told again against the new list, with its age.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from dnslb.errors import ConfigError
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.sources.recording import BYTES_MAX, RecordedReport, read_recording


class Replay:
    """A `Source` that tells ``entries``, in the order of their times, once."""

    def __init__(self, entries: Iterable[RecordedReport], *, clock: Clock | None = None) -> None:
        self._entries = tuple(sorted(entries, key=lambda entry: entry.at_s))
        self._clock = clock or Clock()
        self._told: dict[str, tuple[RecordedReport, float]] = {}

    @classmethod
    def from_file(cls, path: Path, *, clock: Clock | None = None) -> Replay:
        """Raises `ConfigError`."""
        return cls(read_file(path), clock=clock)

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        """Tells the reports, then goes on to answer changes of ``monitors`` until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, deliver, monitors)
            start_at = self._clock.now().mono
            for entry in self._entries:
                await trio.sleep_until(start_at + entry.at_s)
                now = self._clock.now()
                self._told[entry.agent] = (entry, now.mono)
                await deliver(self._report(entry, now.mono, monitors.value))

    async def _follow(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        revision = monitors.revision
        while True:
            wanted = await monitors.wait_changed(revision)
            revision = monitors.revision
            for entry, told_mono in tuple(self._told.values()):
                await deliver(self._report(entry, told_mono, wanted))

    def _report(self, entry: RecordedReport, told_mono: float, monitors: MonitorList) -> Report:
        now = self._clock.now()
        votes, messages = entry.positioned(monitors)
        return Report(
            agent=entry.agent,
            monitors=monitors,
            votes=votes,
            messages=messages,
            arrived_mono=now.mono,
            arrived_wall=now.wall,
            complete=entry.complete,
            age_s=now.mono - told_mono,
            via="replay",
        )


def read_file(path: Path) -> tuple[RecordedReport, ...]:
    """A recording. Raises `ConfigError` that says what is wrong with the file, and where."""
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > BYTES_MAX:
        raise ConfigError(f"{path} is larger than {BYTES_MAX} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
    return read_recording(text, str(path))
