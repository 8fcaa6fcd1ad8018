"""The console: a board of panes, kept current from the daemon's stream, and what the keys do.

Paints at most a few times a second, whatever the daemon tells.

Law: the picture is the daemon's or it is called old; while it is old nothing is ordered.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Hashable, Iterable
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.events import DescendantFocus
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import WorkerFailed

from dnslbctl.client import Broken, Failed
from dnslbctl.commands import query
from dnslbctl.console import background, details, lists
from dnslbctl.console.board import PAINT_S, Board
from dnslbctl.console.help import help_text
from dnslbctl.console.messages import Moved, Picked
from dnslbctl.console.widgets.rowlist import RowList

AGES_S = 1.0
RETRY_S, RETRY_S_MAX = 0.25, 4.0
VOTES_AFTER_S, VOTES_EVERY_S = 0.15, 2.0

_KEYS = {
    "question_mark": "help",
    "slash": "filter",
    "colon": "palette",
    "q": "quit",
    "z": "zoom",
    "s": "sort",
    "y": "copy",
    "d": "drain",
    "f": "force",
    "c": "clear",
    "p": "pause",
    "x": "decide",
    "S": "sync",
    "w": "why",
    "a": "add_voter",
    "n": "add_nonvoter",
    "t": "transfer",
    "m": "demote",
    "r": "remove",
}


def _key(key: str, action: str) -> Binding:
    """Keys may come faster than one after the other is done, over a slow line all at once. What
    each does is done before the next one is looked at, and so meets what it was meant for."""
    return Binding(key, f"key({action})", priority=True)


class Console(Board):
    """Runs until somebody quits."""

    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(_key(str(i), f"'pane', '{pane}'") for i, pane in enumerate(lists.PANES, 1)),
        *(_key(key, f"'{action}'") for key, action in _KEYS.items()),
        _key("left", "'fold', True"),
        _key("right", "'fold', False"),
        Binding("ctrl+p", "palette", priority=True),
        Binding("escape", "leave", priority=True),
        Binding("tab", "next_pane(1)", priority=True),
        Binding("shift+tab", "next_pane(-1)", priority=True),
        Binding("ctrl+z", "suspend_process", priority=True),
    ]

    crash: BaseException | None = None
    """What ended it, when nobody quit."""
    _votes_timer: Timer | None = None

    def start(self) -> None:
        if not self.is_headless:
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        background.start(self, self._follow, "follow")
        self.set_interval(AGES_S, self.paint)
        self.set_interval(VOTES_EVERY_S, self._ask_votes)

    def _fatal_error(self) -> None:
        # Textual would print the locals of every frame: the operator's terminal is no place for
        # whatever is in them.
        failed = self._exception
        self.crash = failed.error if isinstance(failed, WorkerFailed) else failed
        self._close_messages_no_wait()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the board mean nothing under a form or a page, nor while a filter is typed."""
        if len(self.screen_stack) > 1:
            return action not in _OWN
        return action != "key" or not isinstance(self.focused, Input)

    async def action_key(self, action: str, *parameters: object) -> None:
        done = getattr(self, f"action_{action}")(*parameters)
        if isawaitable(done):
            await done

    # --------------------------------------------------------------------------------- following

    async def _follow(self) -> None:
        delay = RETRY_S
        while True:
            try:
                async with aclosing(self.client.watch()) as events:
                    async for event in events:
                        self._take(event)
                        delay = RETRY_S
            except Failed as error:
                self._lose(str(error))
                self.client.move_on()
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_S_MAX)

    def _take(self, event: dict[str, Any]) -> None:
        first = not self.picture.known
        try:
            changed = self.picture.apply(event)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Broken(self.client.path, "sent an event of an unknown shape") from error
        self._heard_at = self._clock()
        if "row" in event:
            self.rows.forget_events()
        self._changed |= changed
        returned, self.offline = bool(self.offline), ""
        if first or returned or "names" in changed or "agents" in changed:
            self.lay_out()
        elif self._clock() - self._painted_at >= PAINT_S:
            self.paint()
        elif not self._paint_due:
            self._paint_due = True
            self.set_timer(PAINT_S, self.paint)

    def _lose(self, why: str) -> None:
        self.offline = why
        self.paint()

    # -------------------------------------------------------------------------------- navigation

    def cursor(self) -> Hashable | None:
        return self._panes[self.active].rows.key

    def action_pane(self, name: str) -> None:
        self.active = name
        self._arrange()
        self._base.set_focus(self._panes[name].rows)

    def action_next_pane(self, by: int) -> None:
        place = lists.PANES.index(self.active) + by
        self.action_pane(lists.PANES[place % len(lists.PANES)])

    @on(DescendantFocus)
    def _follow_focus(self) -> None:
        # Focus that moved on since then is told once more.
        widget = self._base.focused
        if isinstance(widget, RowList) and widget.id and widget.id != self.active:
            self.active = widget.id
            self._arrange()

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._arrange()

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(lists.SORTS)
        self._list_anew("endpoints")

    def action_fold(self, fold: bool) -> None:
        key = self.cursor()
        if self.active != "endpoints" or key is None:
            return
        name = key[0] if isinstance(key, tuple) else str(key)
        (self._folded.add if fold else self._folded.discard)(name)
        rows = self._panes["endpoints"].rows
        rows.select(name)
        self._list_anew("endpoints")

    def _list_anew(self, pane: str) -> None:
        if self.picture.known:
            self._panes[pane].rows.show(self._keys_of(pane))

    def action_copy(self) -> None:
        key = self.cursor()
        if key is not None:
            cells = self._panes[self.active].rows.row_of(key)
            self.copy_to_clipboard("  ".join(text.strip() for text, _ in cells if text.strip()))
            self.notify("the row is copied")

    # ------------------------------------------------------------------------------------ filter

    def action_filter(self) -> None:
        bar = self._base.query_one("#filter")
        bar.add_class("shown")
        words = bar.query_one("#words", Input)
        words.value = self._words.get(self.active, "")
        self._base.set_focus(words)

    @on(Input.Changed, "#words")
    def _filter_changed(self, event: Input.Changed) -> None:
        if self._base.query_one("#filter").has_class("shown"):
            self._words[self.active] = event.value.strip()
            self._list_anew(self.active)

    @on(Input.Submitted, "#words")
    def _keep_filter(self) -> None:
        self._base.query_one("#filter").remove_class("shown")
        self._base.set_focus(self._panes[self.active].rows)

    def action_leave(self) -> None:
        self._base.query_one("#filter").remove_class("shown")
        if self._words.pop(self.active, ""):
            self._list_anew(self.active)
        self._base.set_focus(self._panes[self.active].rows)

    # ----------------------------------------------------------------------------------- details

    @on(Moved)
    def _moved(self, event: Moved) -> None:
        self._paint_details()
        self._paint_keys()
        if event.rows.id == "endpoints":
            if self._votes_timer is not None:
                self._votes_timer.stop()
            self._votes_timer = self.set_timer(VOTES_AFTER_S, self._ask_votes)

    def _ask_votes(self) -> None:
        """Each agent's message on the endpoint under the cursor, where they are in sight."""
        pane = self._panes["endpoints"]
        key = pane.rows.key
        shown = pane.detail.display and self._in_sight("endpoints")
        if shown and isinstance(key, tuple) and not self.offline:
            background.start(self, partial(self._show_votes, key), "votes")

    async def _show_votes(self, key: tuple[str, str]) -> None:
        votes = await self._fetch_votes(key)
        if votes is not None and self._panes["endpoints"].rows.key == key:
            self._votes = (key, votes)
            self._paint_details()

    async def _fetch_votes(self, key: tuple[str, str]) -> details.Votes | None:
        try:
            reply = await self.client.get("/endpoints" + query(lb=key[0], called=key[1]))
        except Failed:
            return None  # the votes without their messages stand there already
        row = self.picture.find(key)
        for one in reply.value:
            if row is not None and one["address"] == row.address:
                return one["votes"]  # type: ignore[no-any-return]
        return None

    @on(Picked)
    async def _picked(self, event: Picked) -> None:
        key: Any = event.key
        match event.rows.id:
            case "now":
                await self._go_to(key)
            case "endpoints" if isinstance(key, str):
                self.action_fold(key not in self._folded)
            case "endpoints":
                await self._open_endpoint(key)
            case pane:
                title = f"{pane}"
                await self._open_lines(
                    title.capitalize().removesuffix("s"), self._page_of(str(pane), key)
                )

    async def _go_to(self, key: tuple[str, str]) -> None:
        """From a need to the thing itself."""
        subject = key[1]
        if self.picture.held_change(subject) is not None:
            self.action_pane("changes")
            self._panes["changes"].rows.select(subject)
        elif self._balancer_name() is not None:
            await self.action_why()
        elif (found := self._endpoint()) is not None:
            self.action_pane("endpoints")
            self._panes["endpoints"].rows.select(found[0])
        else:
            await self._open_lines("Now", details.of_attention(self.rows, key))

    async def _open_lines(self, title: str, lines: Iterable[Any]) -> None:
        text = self.ink.text(lines)

        async def fetch(_: int) -> Text:
            return text

        await self.open_page(title, fetch)

    async def _open_endpoint(self, key: tuple[str, str]) -> None:
        async def fetch(_: int) -> Text:
            votes = await self._fetch_votes(key)
            return self.ink.text(details.of_endpoint(self.rows, key, votes))

        await self.open_page("Endpoint", fetch)

    async def action_palette(self) -> None:
        if len(self.screen_stack) == 1:
            await self.push_screen(CommandPalette(placeholder="an order or a pane"))

    async def action_help(self) -> None:
        async def fetch(_: int) -> Text:
            return help_text(self.ink)

        await self.open_page("Help", fetch)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        for pane in lists.PANES:
            title = f"Show {pane.capitalize()}"
            yield SystemCommand(title, "", lambda pane=pane: self.action_pane(pane))
        yield SystemCommand("Help", "keys and marks", self.action_help)
        yield SystemCommand("Quit", "", self.action_quit)


_OWN = frozenset({"key", "command_palette", "leave", "next_pane", *_KEYS.values(), "pane", "fold"})
