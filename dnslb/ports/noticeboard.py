"""Where a part says what a person should see, beside what the controller finds by itself."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.status import Severity


class Noticeboard(Protocol):
    """Rows of the attention list, by kind and subject; they stay until they are cleared."""

    def put(
        self, severity: Severity, kind: str, subject: str, sentence: str, next_step: str
    ) -> None:
        """Puts a row up, or another sentence in its place; its age stays while it lasts."""

    def clear(self, kind: str, subject: str | None = None) -> None:
        """Takes the rows of this kind down, if there are any; only that of ``subject``, if that
        is given."""
