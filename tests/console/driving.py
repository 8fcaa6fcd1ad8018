"""The console under a test's hands: keys in, the screen as rows of text out.

Textual runs on asyncio, so tests are plain functions that call `drive`. The clock stands still
unless a test moves it.
"""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from dnslbctl.aclient import AsyncClient
from dnslbctl.console.app import Console
from dnslbctl.console.screens.form import FormScreen
from dnslbctl.output import Terminal

PATIENCE_S = 20.0
TURNS = 25
"""A key goes from the app to the screen, the widget and back; each has a queue of its own."""
_TEXT = re.compile(
    r'<text class="[^"]*" x="([\d.]+)"[^>]* clip-path="url\(#[^)]*-line-(\d+)\)">([^<]*)</text>'
)
_CELL = 12.2
"""Width of a cell in what Rich exports."""


def screen_rows(console: Console) -> list[str]:
    """What stands on the screen, a text a row, without blanks at the end."""
    rows: dict[int, str] = {}
    for x, line, text in _TEXT.findall(console.export_screenshot()):
        column = round(float(x) / _CELL)
        words = html.unescape(text).replace("\xa0", " ")
        row = rows.get(int(line), "").ljust(column)
        rows[int(line)] = row[:column] + words + row[column + len(words) :]
    return [rows.get(i, "").rstrip() for i in range(console.size.height)]


@dataclass
class Hands:
    """A console that runs, its pilot, and the clock that it reads."""

    console: Console
    pilot: Pilot[None]
    clock_s: list[float] = field(default_factory=lambda: [100.0])

    async def press(self, *keys: str) -> None:
        """Each key is sent when all that the one before caused is done. The pilot's own
        ``press`` waits for an idle process, which may take a second on a busy machine."""
        for key in keys:
            self.console.post_message(Key(key, key if len(key) == 1 else None))
            await self.settle()

    async def burst(self, *keys: str) -> None:
        """All at once, as a slow line brings them; what they do is waited for by the caller."""
        for key in keys:
            self.console.post_message(Key(key, key if len(key) == 1 else None))
        await self.settle()

    async def settle(self) -> None:
        """Until a screen that was opened stands, and all messages were handled."""
        await self._turn()
        for _ in range(1000):
            screen = self.console.screen
            if screen.is_mounted and screen.focused:
                break
            await asyncio.sleep(0)
        await self._turn()

    async def _turn(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await self.pilot.pause(0)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def write(self, text: str) -> None:
        """Into the field that has the focus, as if it were pasted: a key takes its time."""
        field = self.console.focused
        assert isinstance(field, Input), field
        field.insert_text_at_cursor(text)
        await self.settle()

    def rows(self) -> list[str]:
        return screen_rows(self.console)

    @property
    def text(self) -> str:
        return "\n".join(self.rows())

    async def until(self, what: Callable[[], bool]) -> None:
        """Until it is so; patience only bounds a failing test."""
        end = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"it did not come about; on the screen:\n{self.text}")
            await asyncio.sleep(0.03)
        await self.settle()

    async def until_shown(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text for text in texts))

    @property
    def form(self) -> FormScreen:
        assert isinstance(self.console.screen, FormScreen), self.console.screen
        return self.console.screen

    def form_value(self) -> str:
        """What stands in the field that has the focus."""
        field = self.console.focused
        assert isinstance(field, Input), field
        return field.value

    @property
    def forms(self) -> int:
        return len(self.console.screen_stack) - 1


Hand = Callable[[Hands], Awaitable[None]]


def drive(
    path: Path,
    hand: Hand,
    *,
    size: tuple[int, int] = (80, 24),
    unicode: bool = True,
    colour: bool = True,
) -> None:
    """Runs a console on the socket at ``path`` until ``hand`` is done; it must not have failed."""
    asyncio.run(driven(path, hand, size=size, unicode=unicode, colour=colour))


async def driven(
    where: Path | AsyncClient,
    hand: Hand,
    *,
    size: tuple[int, int] = (80, 24),
    unicode: bool = True,
    colour: bool = True,
    connected: bool = True,
) -> None:
    """The same inside a loop that a test has already."""
    clock_s = [100.0]
    terminal = Terminal(width=None, colour=colour, unicode=unicode)
    client = AsyncClient(str(where)) if isinstance(where, Path) else where
    console = Console(client, terminal, clock=lambda: clock_s[0])
    async with console.run_test(size=size, notifications=True) as pilot:
        hands = Hands(console, pilot, clock_s)
        if connected:
            await hands.until(lambda: console.picture.known and not console.offline)
            await hands.settle()
        await hand(hands)
