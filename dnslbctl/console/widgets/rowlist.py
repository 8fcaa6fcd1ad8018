"""A list that draws only the rows in sight; its cursor follows a row's key, not its place.

Rows are re-sorted under the operator's hands, and nobody may drain the wrong endpoint for that.
Textual's DataTable costs more than a fifth of a core to keep ten thousand rows current, even if
only the visible ones are touched; this one repaints the lines that differ and nothing else.

Law: what is marked is what was marked, until the operator moves the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from dnslbctl.console.columns import Column
from dnslbctl.console.ink import CURSOR, Ink, Span
from dnslbctl.console.messages import Moved, Picked

if TYPE_CHECKING:
    from textual.events import Event

WHEEL_ROWS = 3
FLEXIBLE_MIN = 12
_HERE, _FOCUSED = 1, 2
"""The cursor's row, without and with the keyboard's attention."""


class RowList(Widget, can_focus=True):
    """``columns_of``: what fits into so many cells. ``pinned``: a cursor on the first row stays
    there when rows come in above it."""

    # By `app._key`: a cursor must have moved before the key that orders something for its row.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", priority=True),
        Binding("down,j", "move(1)", priority=True),
        Binding("pageup,ctrl+b", "page(-1)", priority=True),
        Binding("pagedown,ctrl+f,space", "page(1)", priority=True),
        Binding("home,g", "edge(False)", priority=True),
        Binding("end,G", "edge(True)", priority=True),
        Binding("enter", "pick", priority=True),
    ]

    def __init__(
        self,
        row_of: Callable[[Any], Sequence[Span]],
        columns_of: Callable[[int], Sequence[Column]],
        ink: Ink,
        *,
        pinned: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(id=name)
        self.columns: Sequence[Column] = ()
        self.keys: Sequence[Hashable] = ()
        self.key: Hashable | None = None
        self.empty = ""
        self.row_of = row_of
        self._columns_of = columns_of
        self._ink = ink
        self._pinned = pinned
        self._ellipsis, self._thumb = ("…", "┃") if ink.unicode else (">", "#")
        self._index = 0
        self._top = 0
        self._layout: list[tuple[int, int]] = []
        self._drawn: dict[int, object] = {}

    # ----------------------------------------------------------------------------------- content

    def show(self, keys: Sequence[Hashable]) -> None:
        """Rows by key, in order; the cursor stays on its key, or on its line when that left."""
        before = self.key
        follows_first = self._pinned and self._index == 0
        self.keys = keys
        if follows_first or before is None:
            self._index = 0
        elif not (self._index < len(keys) and keys[self._index] == before):
            try:
                self._index = keys.index(before)
            except ValueError:
                self._index = min(self._index, max(len(keys) - 1, 0))
        self.key = keys[self._index] if keys else None
        self._scroll_to_cursor()
        self.touch()
        if self.key != before:
            self.post_message(Moved(self, self.key))

    def select(self, key: Hashable) -> bool:
        """Whether there is such a row, and the cursor stands on it now."""
        if key not in self.keys:
            return False
        self._go(self.keys.index(key))
        return True

    def touch(self) -> None:
        """Repaints the lines in sight that look different by now."""
        for y in range(self.size.height):
            if self._drawn.get(y) != self._look(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def lay_out(self) -> None:
        """Chooses the columns anew: another width, or other columns than before."""
        self.columns = self._columns_of(self.size.width)
        width = self.size.width - 3
        shown = list(enumerate(self.columns))

        def need() -> int:
            return sum((column.width or FLEXIBLE_MIN) + 2 for _, column in shown)

        while need() > width and any(column.drop for _, column in shown):
            shown.remove(max(shown, key=lambda one: one[1].drop))
        spare = max(width - need(), 0)
        weights = sum(column.weight for _, column in shown if not column.width)
        self._layout = []
        for i, column in shown:
            cells = column.width
            if not cells:
                cells = FLEXIBLE_MIN + spare * column.weight // weights
            self._layout.append((i, cells))
        self._drawn.clear()
        self.refresh()

    # ----------------------------------------------------------------------------------- drawing

    def _look(self, y: int) -> object:
        """What line ``y`` shows, to be compared with what it showed."""
        n = y - 1 + self._top
        thumb = self._has_thumb(y)
        if y == 0 or n >= len(self.keys):
            return y == 0, self.empty if not self.keys and n == 0 else "", thumb
        key = self.keys[n]
        here = (_FOCUSED if self.has_focus else _HERE) if key == self.key else 0
        return tuple(self.row_of(key)), here, thumb

    def _has_thumb(self, y: int) -> bool:
        """Whether the position mark, which shows what part of the list is in sight, is here."""
        view, total = self._view_rows, len(self.keys)
        if y == 0 or total <= view:
            return False
        first = self._top * view // total
        return first < y <= first + max(view * view // total, 1)

    @property
    def _view_rows(self) -> int:
        return max(self.size.height - 1, 1)

    def render_line(self, y: int) -> Strip:
        look = self._drawn[y] = self._look(y)
        base = self.rich_style
        match look:
            case (tuple() as cells, int() as here, bool() as thumb):
                style = base
                if here:
                    style += Style(bgcolor=CURSOR, bold=here == _FOCUSED or None)
                return self._strip(cells, style, "> " if here else "  ", thumb=thumb)
            case (True, _, _):
                cells = tuple((column.title, "head") for column in self.columns)
                return self._strip(cells, base, "  ", thumb=False)
            case (False, str() as text, bool() as thumb):
                segments = [Segment(f"  {self._ink.words(text)}", base + self._ink.style("dim"))]
                return Strip(segments).adjust_cell_length(self.size.width, base)
        raise AssertionError(look)

    def _strip(self, cells: Sequence[Span], style: Style, mark: str, *, thumb: bool) -> Strip:
        segments = [Segment(mark, style)]
        used = 2
        for i, width in self._layout:
            text, tone = cells[i] if i < len(cells) else ("", "")
            text = self._ink.words(text)
            text = self._cut(text, width)
            space = Segment(" " * (width - cell_len(text)), style)
            words = Segment(text, style + self._ink.style(tone))
            segments += [space, words] if self.columns[i].right else [words, space]
            segments.append(Segment("  ", style))
            used += width + 2
        strip = Strip(segments, used).adjust_cell_length(self.size.width - 1, style)
        edge = Segment(self._thumb if thumb else " ", style + self._ink.style("dim"))
        return Strip([*strip, edge], self.size.width)

    def _cut(self, text: str, width: int) -> str:
        if len(text) <= width and text.isascii():
            return text
        if cell_len(text) <= width:
            return text
        return set_cell_size(text, max(width - 1, 0)) + self._ellipsis

    # ------------------------------------------------------------------------------------ moving

    def _go(self, index: int) -> None:
        if not self.keys:
            return
        self._index = max(0, min(index, len(self.keys) - 1))
        self.key = self.keys[self._index]
        self._scroll_to_cursor()
        self.touch()
        self.post_message(Moved(self, self.key))

    def _scroll_to_cursor(self) -> None:
        view = self._view_rows
        self._top = max(min(self._top, self._index), self._index - view + 1)
        self._top = max(0, min(self._top, len(self.keys) - view))

    def _scroll(self, rows: int) -> None:
        """Moves the view; the cursor goes along only where it would leave it."""
        view = self._view_rows
        self._top = max(0, min(self._top + rows, len(self.keys) - view))
        self._go(max(self._top, min(self._index, self._top + view - 1)))

    def action_move(self, rows: int) -> None:
        self._go(self._index + rows)

    def action_page(self, pages: int) -> None:
        self._go(self._index + pages * max(self._view_rows - 1, 1))

    def action_edge(self, last: bool) -> None:
        self._go(len(self.keys) - 1 if last else 0)

    def action_pick(self) -> None:
        if self.key is not None:
            self.post_message(Picked(self, self.key))

    # ------------------------------------------------------------------------------------ events

    def on_resize(self) -> None:
        self._scroll_to_cursor()
        self.lay_out()

    def on_focus(self) -> None:
        self.touch()

    def on_blur(self) -> None:
        self.touch()

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y == 0:
            return
        index = offset.y - 1 + self._top
        if index < len(self.keys):
            self._go(index)
            if event.chain == 2:
                self.action_pick()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self._wheel(event, WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self._wheel(event, -WHEEL_ROWS)

    def _wheel(self, event: Event, rows: int) -> None:
        event.stop()
        self._scroll(rows)
