"""One of the five panes: a frame, a list, and what it says about the row under the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from dnslbctl.console.ink import Ink
from dnslbctl.console.widgets.prose import Prose
from dnslbctl.console.widgets.rowlist import RowList


class Pane(Vertical):
    """``title`` stands in the frame."""

    def __init__(self, name: str, title: str, rows: RowList, ink: Ink) -> None:
        super().__init__(id=f"pane-{name}", classes="pane")
        self.border_title = title
        self.rows = rows
        self.detail = Prose(ink, classes="detail")

    def compose(self) -> ComposeResult:
        yield self.rows
        yield self.detail
