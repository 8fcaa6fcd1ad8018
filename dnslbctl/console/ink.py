"""What text of the console looks like: tones, what they mean, and how they are painted.

A *tone* is the name of a meaning ("bad", "held", ...); a *line* is a row of spans, each a text
and its tone. Everything that builds text builds lines; only here they become Rich's.

Law: marks and words carry the meaning, colour only helps. The colours are Okabe and Ito's, which
are told apart with every common kind of colour blindness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.style import Style
from rich.text import Text

Span = tuple[str, str]
Line = Sequence[Span]

BACKGROUND, SURFACE, PANEL, CURSOR = "#0f1318", "#141a21", "#1e2731", "#21435c"
FOREGROUND, MUTED, QUIET = "#d7dde4", "#8b98a5", "#3d4a57"
BLUE, ORANGE, VERMILION, PURPLE = "#56b4e9", "#e69f00", "#ff7043", "#cc79a7"

_COLOURED = {
    "": "",
    "ok": BLUE,
    "warn": f"bold {ORANGE}",
    "bad": f"bold {VERMILION}",
    "held": f"bold {PURPLE}",
    "dim": MUTED,
    "bold": "bold",
    "head": f"bold {MUTED}",
    "key": f"bold {BLUE}",
    "off": QUIET,
}
_GREY = {
    "": "",
    "ok": "",
    "warn": "bold",
    "bad": "bold reverse",
    "held": "bold underline",
    "dim": MUTED,
    "bold": "bold",
    "head": f"bold {MUTED}",
    "key": "bold",
    "off": QUIET,
}
TONES = frozenset(_COLOURED)


class Ink:
    """Paints tones, with or without colour, and says what the terminal has a sign for."""

    def __init__(self, *, colour: bool, unicode: bool) -> None:
        self.colour = colour
        self.unicode = unicode
        self._styles = {
            tone: Style.parse(text) for tone, text in (_COLOURED if colour else _GREY).items()
        }

    def style(self, tone: str) -> Style:
        return self._styles[tone]

    def words(self, text: str) -> str:
        """``text`` in signs that the terminal has."""
        if self.unicode or text.isascii():
            return text
        return text.replace("→", "->").encode("ascii", "backslashreplace").decode()

    def text(self, lines: Iterable[Line]) -> Text:
        """One Rich text of several lines, wrapped where it is shown."""
        text = Text()
        for number, line in enumerate(lines):
            if number:
                text.append("\n")
            for words, tone in line:
                text.append(self.words(words), self._styles[tone])
        return text

    def label(self, tone: str) -> Style:
        """A ground of the tone's colour."""
        return self._styles[tone] + Style(reverse=True, bold=True)
