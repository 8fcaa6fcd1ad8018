"""The page behind ``?``: keys and marks."""

from __future__ import annotations

from rich.text import Text

from dnslbctl.console.ink import Ink

_SEE = (
    ("1 2 3 4 5", "Now, Endpoints, Members, Changes, Events"),
    ("tab  z", "next pane; one pane, or all of them"),
    ("j k g G", "move; arrows, page up and down, the wheel"),
    ("enter", "details; in Now: to the thing itself"),
    ("w", "why is this name as it is"),
    ("/  esc", "filter: all words must occur; esc clears it"),
    ("s", "sort endpoints: problems, names, newest"),
    ("left right", "fold, unfold"),
    ("y", "copy the row"),
    (":  ctrl+p", "everything by name"),
    ("ctrl+z  q", "to the shell and back; quit"),
)
_ACT = (
    ("x", "do what the row asks for: decide, release, resume"),
    ("d  f  c", "drain or put back; force up or down; clear"),
    ("p", "pause DNS changes, or resume them"),
    ("S", "compare with the provider now"),
    ("a  n", "add a voter, a non-voter"),
    ("t  m  r", "transfer leadership; demote; remove"),
)
_MARKS = (
    ("good", "ok", "up, done"),
    ("bad", "bad", "down, failed, critical"),
    ("warn", "warn", "degraded, warning, catching up"),
    ("held", "held", "held: waits for you; drained, forced"),
    ("unknown", "warn", "unknown: not down, so it stays as it is"),
)
_SIGNS = {
    "good": ("✓", "+"),
    "bad": ("✗", "x"),
    "warn": ("▲", "!"),
    "held": ("‖", "="),
    "unknown": ("?", "?"),
}


def help_text(ink: Ink) -> Text:
    text = Text()
    _section(text, ink, "See", _SEE)
    _section(text, ink, "Act: each first shows what follows, and the dnslbctl verb", _ACT)
    text.append("Marks\n", ink.style("bold"))
    for name, tone, meaning in _MARKS:
        sign = _SIGNS[name][0 if ink.unicode else 1]
        text.append(f"  {sign}           ", ink.style(tone))
        text.append(f"{meaning}\n")
    text.right_crop(1)
    return text


def _section(text: Text, ink: Ink, title: str, rows: tuple[tuple[str, str], ...]) -> None:
    text.append(f"{title}\n", ink.style("bold"))
    for keys, meaning in rows:
        text.append(f"  {keys:12}", ink.style("key"))
        text.append(f"{meaning}\n")
