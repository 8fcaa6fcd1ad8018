"""Lines of toned text: repainted only when they differ, laid out only when they must."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.events import Click
from textual.widgets import Static

from dnslbctl.console.ink import Ink, Line

GO = "go"
"""In the meta of a style: the app's action that a click on these words does. Textual's own
``@click`` paints them as links."""


class Prose(Static):
    """``show`` is cheap to call with what is shown already."""

    def __init__(self, ink: Ink, *, name: str | None = None, classes: str = "") -> None:
        super().__init__(id=name, classes=classes, markup=False)
        self._ink = ink
        self._shown: Text | None = None
        self._height = -1

    def show(self, lines: Iterable[Line]) -> None:
        self.show_text(self._ink.text(lines))

    def show_text(self, text: Text) -> None:
        if text == self._shown and text.spans == (self._shown.spans if self._shown else None):
            return
        self._shown = text
        # Laying the whole screen out anew costs more than painting it: only for another height.
        height = self._height_of(text)
        self.update(text, layout=height != self._height)
        self._height = height

    def _height_of(self, text: Text) -> int:
        width = self.content_region.width
        return len(text.wrap(self.app.console, width)) if width else -1

    async def on_click(self, event: Click) -> None:
        if (action := event.style.meta.get(GO)) is not None:
            await self.app.run_action(action, self.app)

    def on_resize(self) -> None:
        self._height = -1
