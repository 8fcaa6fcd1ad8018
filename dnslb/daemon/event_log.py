"""What happened, for operators: the newest entries in memory, each also a line of the log.

Not the state store: it does not survive a restart; the system's journal does that.

Law: bounded; a follower that fell behind can count what it has missed.
"""

from __future__ import annotations

import logging
from collections import deque

import trio

from dnslb.model.status import LogEntry

ENTRIES_MAX = 1000
# What an operator on call would want to find by looking for warnings alone.
WARNINGS = frozenset(
    {
        "config-refused",
        "frozen",
        "held",
        "notice",
        "stall",
        "state-store",
        "write-failed",
        "zone-error",
    }
)

log = logging.getLogger("dnslb.events")


class EventLog:
    """Satisfies `dnslb.ports.watched.Watched`; the revision counts all entries ever written."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=entries_max)
        self._shown: tuple[LogEntry, ...] | None = ()
        self._written = 0
        self._changed = trio.Event()

    @property
    def value(self) -> tuple[LogEntry, ...]:
        """The newest entries, oldest first."""
        if self._shown is None:
            self._shown = tuple(self._entries)
        return self._shown

    @property
    def revision(self) -> int:
        return self._written

    def append(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        self._shown = None
        self._written += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        level = logging.WARNING if entry.kind in WARNINGS else logging.INFO
        fields = {"event": entry.kind, **entry.fields}
        log.log(level, "%s", entry.message, extra={"fields": fields})

    async def wait_changed(self, revision: int) -> tuple[LogEntry, ...]:
        """Returns the newest entries once the revision differs from ``revision``."""
        await trio.lowlevel.checkpoint()
        while self._written == revision:
            await self._changed.wait()
        return self.value
