"""What happened during a step: entries for the event log, and totals since the start."""

from __future__ import annotations

from dnslb.decide.intents import Intent, Log
from dnslb.model.instant import Now
from dnslb.model.status import LogEntry


class Journal:
    """Entries of one step until they are taken; counters for ever, keyed ``name`` or
    ``name:label``."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = {}
        self._entries: list[LogEntry] = []

    def count(self, name: str, label: str = "") -> None:
        key = f"{name}:{label}" if label else name
        self.counters[key] = self.counters.get(key, 0) + 1

    def log(self, kind: str, message: str, now: Now, **fields: object) -> None:
        self._entries.append(LogEntry(now.wall, kind, message, fields))

    def take(self) -> list[Intent]:
        entries, self._entries = self._entries, []
        return [Log(entry) for entry in entries]
