"""What the daemon itself wants a person to see: rows beside those of the controller.

Not decisions: these are about the process and its configuration (a reload that was refused, a
setting that waits for a restart). They end when what they tell of ends.
"""

from __future__ import annotations

from dataclasses import replace

from dnslb.model.status import SEVERITIES, Attention, Severity, Status


class Notices:
    """Rows by (kind, subject); the same one keeps its age while it lasts."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Attention] = {}

    def put(
        self,
        severity: Severity,
        kind: str,
        subject: str,
        sentence: str,
        next_step: str,
        at_wall: float,
    ) -> None:
        older = self._rows.get((kind, subject))
        since_wall = at_wall if older is None else older.since_wall
        self._rows[(kind, subject)] = Attention(
            severity, kind, subject, since_wall, sentence, next_step
        )

    def clear(self, kind: str) -> None:
        for key in [key for key in self._rows if key[0] == kind]:
            del self._rows[key]

    def added_to(self, status: Status) -> Status:
        """``status`` with these rows in their places, worst first."""
        if not self._rows:
            return status
        rows = [*status.attention, *self._rows.values()]
        rows.sort(key=lambda row: (SEVERITIES.index(row.severity), row.since_wall))
        return replace(status, attention=tuple(rows))
