"""One of the five panes: a frame, a list, and what it says about the row under the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from dnslbctl.console.ink import Ink
from dnslbctl.console.rows import RowOf
from dnslbctl.console.widgets.prose import Prose
from dnslbctl.console.widgets.rowlist import RowList


class Pane(Vertical):
    """``name`` is the list's id, too; ``title`` stands in the frame."""

    def __init__(self, name: str, title: str, row_of: RowOf, ink: Ink, *, pinned: bool) -> None:
        super().__init__(id=f"pane-{name}", classes="pane")
        self.border_title = title
        self.rows = RowList(row_of, ink, pinned=pinned, name=name)
        self.detail = Prose(ink, classes="detail")

    def compose(self) -> ComposeResult:
        yield self.rows
        yield self.detail
