"""Header, tabs and key line as painted text, each fitted to the width that there is.

What they say is `headline`'s business; here it gets its place, and what can be clicked an action.
"""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from dnslbctl.console import headline
from dnslbctl.console.headline import Trouble
from dnslbctl.console.ink import Ink
from dnslbctl.console.lists import PANES
from dnslbctl.console.rows import Rows
from dnslbctl.console.widgets.prose import GO

Hint = tuple[str, str, str]
"""Key, word, action."""

_MORE: tuple[Hint, ...] = (
    ("/", "Filter", "filter"),
    (":", "More", "palette"),
    ("?", "Help", "help"),
    ("q", "Quit", "quit"),
)
_HINTS: dict[str, tuple[Hint, ...]] = {
    "now": (("w", "Why", "why"), ("p", "Pause", "pause")),
    "endpoints": (
        ("d", "Drain", "drain"),
        ("f", "Force", "force"),
        ("c", "Clear", "clear"),
        ("w", "Why", "why"),
        ("p", "Pause", "pause"),
    ),
    "members": (
        ("a", "Add voter", "add_voter"),
        ("t", "Transfer", "transfer"),
        ("m", "Demote", "demote"),
        ("r", "Remove", "remove"),
    ),
    "changes": (("x", "Decide", "decide"), ("w", "Why", "why"), ("p", "Pause", "pause"),
                ("S", "Sync", "sync")),
    "events": (("w", "Why", "why"), ("p", "Pause", "pause")),
}  # fmt: skip


class Frame:
    """Paints by one picture and one ink."""

    def __init__(self, rows: Rows, ink: Ink) -> None:
        self._rows = rows
        self._ink = ink

    def _click(self, text: Text, words: str, tone: str, action: str) -> None:
        style = Style.from_meta({GO: action})
        text.append(self._ink.words(words), self._ink.style(tone) + style)

    def header(self, width: int, trouble: Trouble | None) -> Text:
        ink, rows = self._ink, self._rows
        text = Text(no_wrap=True, overflow="crop")
        text.append(" dnslb ", ink.style("bold"))
        text.append(ink.words(f"{headline.name(rows)} "), ink.style("bold"))
        word, tone = headline.word(rows, trouble)
        text.append(f" {word} " if ink.colour else f"[{word}]", ink.label(tone))
        clock = headline.clock(rows)
        left = width - text.cell_len - len(clock) - 3
        for words, span_tone in headline.header(rows, left):
            text.append(ink.words(words), ink.style(span_tone))
        text.append(" " * max(width - text.cell_len - len(clock) - 1, 1))
        text.append(clock, ink.style("dim"))
        return text

    def tabs(self, width: int, active: str) -> Text:
        """As much as fits: first the numbers go, then room, then what is wrong."""
        for numbers, wrong, gap in ((True, True, 2), (False, True, 2), (False, True, 1)):
            text = self._tabs(active, gap, numbers=numbers, wrong=wrong)
            if text.cell_len <= width:
                return text
        return self._tabs(active, 1 if width >= 60 else 0, numbers=False, wrong=False)

    def _tabs(self, active: str, gap: int, *, numbers: bool, wrong: bool) -> Text:
        ink = self._ink
        counts = headline.counts(self._rows)
        text = Text(no_wrap=True, overflow="crop")
        for i, pane in enumerate(PANES, 1):
            number, (trouble, tone) = counts.get(pane, ("", ("", "")))
            style = Style.from_meta({GO: f"pane('{pane}')"})
            here = pane == active
            label = f" {i} {pane.capitalize()} "
            if here and not ink.colour:
                label = f"[{label[1:-1]}]"
            text.append(label, (ink.label("key") if here else ink.style("")) + style)
            if trouble and (wrong or pane == "now"):
                text.append(f" {trouble}" if here else trouble, ink.style(tone) + style)
            elif number and numbers:
                text.append(f" {number}" if here else number, ink.style("dim") + style)
            text.append(" " * gap)
        text.rstrip()
        return text

    def keys(self, width: int, pane: str, *, on: bool, raft: bool, step: str) -> Text:
        """``on``: whether orders can be given; ``raft``: whether there are members to order;
        ``step``: what ``x`` does in Now, "" where it does nothing."""
        hints = _HINTS[pane] if pane != "members" or raft else ()
        if pane == "now":
            hints = (*((("x", step, "decide"),) if step else ()), *hints)
        if self._rows.picture.known and self._rows.picture.status["pauses"]:
            hints = tuple((k, "Resume" if w == "Pause" else w, a) for k, w, a in hints)
        text = Text(no_wrap=True, overflow="crop")
        for key, word, action in (*hints, *_MORE):
            off = not on and (key, word, action) not in _MORE and action != "why"
            before = text.copy()
            text.append(" ")
            self._click(text, key, "off" if off else "key", action)
            self._click(text, f" {word} ", "off" if off else "", action)
            if text.cell_len > width:
                return before
        return text
