"""One of a few: all of them in sight, chosen by left and right, space or the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from dnslbctl.console.ink import Ink


class Choice(Widget, can_focus=True):
    """``options``: (value, label)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space", "step(1)", "Next", show=False),
        Binding("left", "step(-1)", "Previous", show=False),
    ]
    chosen: reactive[int] = reactive(0, layout=True)

    class Changed(Message):
        """Another one is chosen."""

    def __init__(self, options: Sequence[tuple[str, str]], value: str, ink: Ink, name: str) -> None:
        super().__init__(id=name)
        self._options = options
        self._ink = ink
        self.set_reactive(Choice.chosen, next(i for i, o in enumerate(options) if o[0] == value))

    @property
    def value(self) -> str:
        return self._options[self.chosen][0]

    def render(self) -> Text:
        on, off = ("●", "○") if self._ink.unicode else ("(*)", "( )")
        labels = [self._ink.words(label) for _, label in self._options]
        wide = sum(len(label) + len(on) + 4 for label in labels) > (self.size.width or 60)
        text = Text()
        for i, label in enumerate(labels):
            if i:
                text.append("\n" if wide else "   ")
            here = i == self.chosen
            style = Style.from_meta({"option": i})
            tone = ("key" if self.has_focus else "bold") if here else "dim"
            text.append(f"{on if here else off} {label}", self._ink.style(tone) + style)
        return text

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_step(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(self._options)

    def on_click(self, event: Click) -> None:
        if (index := event.style.meta.get("option")) is not None:
            self.chosen = index

    def watch_chosen(self) -> None:
        self.post_message(self.Changed())
