"""A page of text over the panes: help, and what the daemon explains."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dnslbctl.client import Failed
from dnslbctl.console import background
from dnslbctl.output import plain

Fetch = Callable[[int], Awaitable[Text]]


class Page(ModalScreen[None]):
    """``fetch``: makes the text for so many cells of width; it may fail with `Failed`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", priority=True),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, fetch: Fetch) -> None:
        super().__init__()
        self._title = title
        self._fetch = fetch

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="page") as box:
            box.border_title = self._title
            box.border_subtitle = "esc closes"
            yield Static("asking the daemon", id="text", markup=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(VerticalScroll))
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        background.start(self, self._show)

    async def _show(self) -> None:
        box = self.query_one(VerticalScroll)
        try:
            text = await self._fetch(max(box.scrollable_content_region.width, 20))
        except Failed as error:
            text = Text(plain(str(error)))
        self.query_one("#text", Static).update(text)

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)
