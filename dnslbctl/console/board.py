"""The five panes and the bars around them: what stands where, and painting what changed.

Not where the picture comes from, not what keys do: that is `app`'s.

Law: painting costs in proportion to what is in sight and differs, never to what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Input, Label

from dnslbctl.aclient import AsyncClient, monotonic
from dnslbctl.console import details, headline, ink as looks, lists
from dnslbctl.console.actions import Actions
from dnslbctl.console.columns import columns
from dnslbctl.console.frame import Frame
from dnslbctl.console.ink import Ink
from dnslbctl.console.rows import Rows
from dnslbctl.console.screens.base import BaseScreen
from dnslbctl.console.screens.form import FormScreen
from dnslbctl.console.widgets.pane import Pane
from dnslbctl.console.widgets.prose import Prose
from dnslbctl.console.widgets.rowlist import RowList
from dnslbctl.output import Terminal
from dnslbctl.viewmodel import Picture

PAINT_S = 0.2
"""The least time between two paintings."""
MEMBERS_MAX = 9
WIDE, TALL, ROOMY = 130, 36, 30
"""From so many columns and lines all panes are shown; from so many lines one has all details."""
SIDES = {"left": ("now", "endpoints"), "right": ("members", "changes", "events")}
_EMPTY = {
    "now": "nothing needs you",
    "endpoints": "no endpoint",
    "members": "no member",
    "changes": "no change is under way",
    "events": "nothing happened yet",
}
_DEPENDS = {
    "now": {"status"},
    "endpoints": {"rows", "names"},
    "members": {"members"},
    "changes": {"changes"},
    "events": {"events"},
}
THEME = Theme(
    "dnslb",
    primary=looks.BLUE,
    secondary=looks.PURPLE,
    accent=looks.BLUE,
    success=looks.BLUE,
    warning=looks.ORANGE,
    error=looks.VERMILION,
    background=looks.BACKGROUND,
    surface=looks.SURFACE,
    panel=looks.PANEL,
    foreground=looks.FOREGROUND,
    dark=True,
)


class Board(Actions):
    """``clock``: seconds that only go forward; ``client``: whom to ask."""

    CSS_PATH = "app.tcss"
    TITLE = "dnslbctl"

    def __init__(
        self, client: AsyncClient, terminal: Terminal, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__()
        self.client = client
        self.picture = Picture()
        self.rows = Rows(self.picture, terminal)
        self.ink = Ink(colour=terminal.colour, unicode=terminal.unicode)
        self.active = lists.PANES[0]
        self.offline = "not connected yet"
        self._clock = clock
        self._heard_at = clock()
        self._frame = Frame(self.rows, self.ink)
        self._changed: set[str] = set()
        self._painted_at = -PAINT_S
        self._paint_due = False
        self._sort = 0
        self._folded: set[str] = set()
        self._words: dict[str, str] = {}
        self._zoomed = False
        self._votes: tuple[Hashable, details.Votes] | None = None
        self._wide = False
        self._arrangement: tuple[bool, str, bool] | None = None
        self._base: Screen[object]
        bars = ("header", "tabs", "banner", "keys")
        self._bars = {name: Prose(self.ink, name=name, classes="bar") for name in bars}
        row_of: dict[str, Callable[[Any], Any]] = {
            "now": self.rows.now,
            "endpoints": self.rows.endpoint,
            "members": self.rows.member,
            "changes": self.rows.change,
            "events": self.rows.event,
        }
        self._panes = {
            pane: Pane(pane, f"{i} {pane.capitalize()}", RowList(
                row_of[pane], partial(columns, pane, self.rows), self.ink,
                pinned=pane == "events", name=pane,
            ), self.ink)
            for i, pane in enumerate(lists.PANES, 1)
        }  # fmt: skip

    # ------------------------------------------------------------------------------------ layout

    def get_default_screen(self) -> BaseScreen:
        return BaseScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield self._bars["header"]
        yield self._bars["tabs"]
        yield self._bars["banner"]
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield self._panes["now"]
                yield self._panes["endpoints"]
            with Vertical(id="right"):
                yield self._panes["members"]
                yield self._panes["changes"]
                yield self._panes["events"]
        with Horizontal(id="filter"):
            yield Label(" / ")
            yield Input(placeholder="words that must all occur", compact=True, id="words")
        yield self._bars["keys"]

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = "dnslb"
        self._base = self.screen
        self.set_class(not self.ink.unicode, "ascii")
        for name, pane in self._panes.items():
            pane.rows.empty = _EMPTY[name]
        self._arrange()
        self._base.set_focus(self._panes[self.active].rows)
        self.start()

    def start(self) -> None:
        """Called once everything stands."""

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    def _arrange(self) -> None:
        """One pane or all of them, and which columns fit."""
        size = self._base.size
        wide = size.width >= WIDE and size.height >= TALL and not self._zoomed
        self._wide = wide
        # Styles of a whole screen are slow to change: only for another arrangement.
        arrangement = (wide, "" if wide else self.active, size.height >= ROOMY)
        if arrangement == self._arrangement:
            self.paint()
            return
        self._arrangement = arrangement
        self._base.set_class(wide, "wide")
        for name, pane in self._panes.items():
            pane.set_class(name == self.active, "active")
            pane.detail.display = self._has_detail(name)
        for side, panes in SIDES.items():
            self._base.query_one(f"#{side}").set_class(self.active in panes, "active")
        self._fit_members()
        self.call_after_refresh(self.paint)

    def _fit_members(self) -> None:
        """Beside the others this pane takes no more than it needs."""
        lines = min(max(len(self.picture.members), 1), MEMBERS_MAX) + 5
        self._panes["members"].styles.height = lines if self._wide else "1fr"

    def _has_detail(self, pane: str) -> bool:
        if pane == "events":
            return False
        return pane != "endpoints" or self._wide or self._base.size.height >= ROOMY

    def _in_sight(self, pane: str) -> bool:
        return self._wide or pane == self.active

    def lay_out(self) -> None:
        """There may be other columns: agents came or went."""
        for pane in self._panes.values():
            pane.rows.lay_out()
        self.paint()

    # ---------------------------------------------------------------------------------- painting

    @property
    def trouble(self) -> headline.Trouble | None:
        """Why the picture is old, or None."""
        if not self.offline:
            return None
        age_s = self._clock() - self._heard_at if self.picture.known else None
        return headline.Trouble(self.offline, age_s)

    def paint(self) -> None:
        """Everything in sight that looks different by now."""
        self._paint_due = False
        self._painted_at = self._clock()
        trouble = self.trouble
        self._base.set_class(trouble is not None, "stale")
        if self.picture.known and trouble is None:
            self.rows.now_s = self.picture.now_s(self._clock() - self._heard_at)
        self._paint_bars(trouble)
        if not self.picture.known:
            return
        changed, self._changed = self._changed, set()
        for name, pane in self._panes.items():
            if changed & _DEPENDS[name]:
                pane.rows.show(self._keys_of(name))
                if name == "members":
                    self._fit_members()
            elif self._in_sight(name):
                pane.rows.touch()
        self._paint_details()
        for screen in self.screen_stack[-1:]:  # empty once it ends
            if isinstance(screen, FormScreen):
                screen.consider()

    def _keys_of(self, pane: str) -> list[Hashable]:
        text = self._words.get(pane, "")
        words = lists.words_of(text)
        frame = self._panes[pane]
        if pane == "endpoints":
            sort = lists.SORTS[self._sort]
            frame.border_subtitle = f"filter: {text}" if text else sort
            return lists.endpoint_keys(self.picture, words, sort, self._folded)
        frame.border_subtitle = f"filter: {text}" if text else ""
        return lists.KEYS[pane](self.picture, words)

    def _paint_bars(self, trouble: headline.Trouble | None) -> None:
        width = self._base.size.width
        self._bars["header"].show_text(self._frame.header(width, trouble))
        self._bars["tabs"].show_text(self._frame.tabs(width, self.active))
        self._paint_keys()
        bar = self._bars["banner"]
        banner = None
        if self.picture.known or trouble is not None:
            banner = headline.banner(self.rows, trouble)
        bar.set_class(banner is not None, "shown")
        for tone in ("bad", "held", "warn"):
            bar.set_class(banner is not None and banner[1] == tone, tone)
        if banner is not None:
            bar.show([[(banner[0], "")]])

    def _paint_keys(self) -> None:
        width = self._base.size.width
        raft = self.picture.known and self.picture.status["election"] == "raft"
        about = self._attention()
        step = self.rows.step_of(about) if about is not None else ""
        keys = self._frame.keys(width, self.active, on=not self.offline, raft=raft, step=step)
        self._bars["keys"].show_text(keys)

    def _paint_details(self) -> None:
        for name, pane in self._panes.items():
            if pane.detail.display and self._in_sight(name):
                pane.detail.show(self._detail_of(name, pane.rows.key))

    def _page_of(self, pane: str, key: Any) -> list[looks.Line]:
        """What `enter` shows: of a member also what its row has no room for."""
        about = details.of_member(self.rows, key) if pane == "members" else []
        return [*about, *self._detail_of(pane, key)]

    def _detail_of(self, pane: str, key: Any) -> list[looks.Line]:
        match pane:
            case "members":
                return details.of_members(self.rows)
            case _ if key is None:
                return []
            case "now":
                return details.of_attention(self.rows, key)
            case "endpoints":
                votes = self._votes[1] if self._votes and self._votes[0] == key else None
                return details.of_endpoint(self.rows, key, votes)
            case "changes":
                return details.of_change(self.rows, key)
        return details.of_event(self.rows, key)
