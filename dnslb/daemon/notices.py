"""What the daemon itself and its parts want a person to see: rows beside the controller's.

Not decisions: these are about the process, its configuration (a reload that was refused, a
setting that waits for a restart) and its accounts. They end when what they tell of ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dnslb.model.status import SEVERITIES, Attention, Severity, Status


class Notices:
    """Rows by (kind, subject); the same one keeps its age while it lasts. ``wall``: seconds of
    the wall clock. ``changed`` is called when a row came, went or reads differently."""

    def __init__(self, wall: Callable[[], float], changed: Callable[[], None]) -> None:
        self._wall = wall
        self._changed = changed
        self._rows: dict[tuple[str, str], Attention] = {}

    def put(
        self, severity: Severity, kind: str, subject: str, sentence: str, next_step: str
    ) -> None:
        older = self._rows.get((kind, subject))
        since_wall = self._wall() if older is None else older.since_wall
        row = Attention(severity, kind, subject, since_wall, sentence, next_step)
        if row != older:
            self._rows[kind, subject] = row
            self._changed()

    def clear(self, kind: str, subject: str | None = None) -> None:
        stay = {
            key: row
            for key, row in self._rows.items()
            if key[0] != kind or subject not in (None, key[1])
        }
        if len(stay) != len(self._rows):
            self._rows = stay
            self._changed()

    def added_to(self, status: Status) -> Status:
        """``status`` with these rows in their places, worst first."""
        if not self._rows:
            return status
        there = {(row.kind, row.subject) for row in status.attention}
        more = (row for key, row in self._rows.items() if key not in there)
        rows = [*status.attention, *more]
        rows.sort(key=lambda row: (SEVERITIES.index(row.severity), row.since_wall))
        return replace(status, attention=tuple(rows))
