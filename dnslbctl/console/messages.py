"""What the console's widgets tell it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from dnslbctl.console.widgets.rowlist import RowList


class Moved(Message):
    """The cursor of a list stands on another row, or the list has none any more."""

    def __init__(self, rows: RowList, key: Hashable | None) -> None:
        super().__init__()
        self.rows = rows
        self.key = key


class Picked(Moved):
    """Enter, or a second click: show this row's details."""
