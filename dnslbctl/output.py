"""Lays text out for people: marks, words, colours, durations, tables that fit the terminal.

Pure: it is told how wide the terminal is and what it can show. Knows nothing of DNS.

Law: nothing that came from outside reaches the terminal unescaped; marks and words carry the
meaning, colour only helps; no identifier is ever cut.
"""

from __future__ import annotations

from dnslb.api.codec import from_time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Iterable, Mapping, Sequence

    Cell = str | tuple[str, str]

GOOD, BAD, WARN, DIM, BOLD = "32", "1;31", "33", "2", "1"
_MARKS = {
    "good": ("✓", "+"),
    "bad": ("✗", "x"),
    "warn": ("▲", "!"),
    "unknown": ("?", "?"),
    "info": ("·", "-"),
    "held": ("‖", "="),
    "to": ("→", "->"),
    "dot": ("·", "|"),
}
_FLEXIBLE_MIN = 28


class Terminal:
    """What standard output can show; ``width`` None: as wide as the text."""

    def __init__(self, *, width: int | None, colour: bool, unicode: bool) -> None:
        self.width = width
        self.colour = colour
        self.unicode = unicode

    @classmethod
    def of(
        cls, environ: Mapping[str, str], *, columns: int | None, encoding: str | None
    ) -> Terminal:
        """``columns``: of the terminal, None when there is none; ``encoding``: of the output."""
        dumb = environ.get("TERM") == "dumb"
        utf8 = (encoding or "").lower().replace("-", "").startswith("utf")
        return cls(
            width=columns,
            colour=columns is not None and not dumb and not environ.get("NO_COLOR"),
            unicode=utf8 and environ.get("DNSLB_ASCII") != "1",
        )

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text else text

    def mark(self, name: str) -> str:
        fancy, plain_ = _MARKS[name]
        return fancy if self.unicode else plain_


def plain(value: object) -> str:
    """``value`` as text that a terminal prints as it stands: control characters, bidirectional
    overrides and the like appear as escapes."""
    text = value if isinstance(value, str) else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def duration(seconds: float | None) -> str:
    """``4m12s``, ``3h04m``, ``2d04h``: two units are enough for people."""
    if seconds is None:
        return "never"
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def milliseconds(seconds: float | None) -> str:
    """``0.4 ms``, ``12 ms``, ``1250 ms``; nothing where it is not known."""
    if seconds is None:
        return ""
    ms = seconds * 1000
    return f"{ms:.1f} ms" if ms < 9.95 else f"{ms:.0f} ms"


def since(then: str | None, at: str) -> str:
    """How long ago ``then`` was, seen from ``at``; both as they came over the wire."""
    return "-" if then is None else duration(from_time(at) - from_time(then))


def until(then: str | None, at: str) -> str:
    """``for 1h20m more``, or ``without end``."""
    if then is None:
        return "without end"
    left_s = from_time(then) - from_time(at)
    return f"for {duration(left_s)} more" if left_s > 0 else "ends now"


def clock(when: str | None, at: str = "") -> str:
    """The time of day, with the date in front unless it is that of ``at``."""
    if when is None:
        return "-"
    day, time = plain(when[:10]), plain(when[11:19])
    return f"{time}Z" if day == at[:10] else f"{day} {time}Z"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 endpoint``, ``3 endpoints``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def addresses(values: Sequence[str] | None) -> str:
    if values is None:
        return "not known yet"
    return ", ".join(map(plain, values)) if values else "nothing"


def cells_wide(text: str) -> int:
    """How many terminal cells ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - rarely needed

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells; a longer word has a line of its own."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if line and cells_wide(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line or not lines else lines


def paragraph(text: str, terminal: Terminal, indent: int = 0, first: str = "") -> list[str]:
    """Lines of ``text``, indented; ``first`` stands in front of the first one."""
    text = plain(text)
    width = (terminal.width or 10**9) - indent
    lines = wrap(text, max(width, 20)) if terminal.width else [text]
    return [
        (first or " " * indent) + line if i == 0 else " " * indent + line
        for i, line in enumerate(lines)
    ]


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    terminal: Terminal,
    *,
    indent: int = 0,
    right: Sequence[int] = (),
    optional: int | None = None,
) -> list[str]:
    """Aligned columns; the last one is prose and is wrapped to what is left of the width.

    ``right``: columns aligned to the right. A cell is text, or text and its style. An empty
    header line is left out, and so is the ``optional`` column where nothing stands in it.
    """
    laid = [[_cell(cell) for cell in row] for row in rows]
    titles = [(title, BOLD) for title in header]
    if optional is not None and not any(row[optional][0] for row in laid):
        for row in (titles, *laid):
            del row[optional]
        right = [i - (i > optional) for i in right if i != optional]
    every = [titles, *laid] if any(header) else laid
    fixed = max((len(row) for row in every), default=1) - 1
    widths = [max(cells_wide(row[i][0]) for row in every) for i in range(fixed)]
    used = indent + sum(widths) + 2 * fixed
    left = (terminal.width - used) if terminal.width else 10**9
    if titles and left < _FLEXIBLE_MIN:
        titles[-1] = ("", "")  # its column stands below the others
    lines: list[str] = []
    for row in every:
        start = " " * indent
        for i in range(fixed):
            text, style = row[i]
            space = " " * (widths[i] - cells_wide(text))
            painted = terminal.paint(text, style)
            start += (space + painted if i in right else painted + space) + "  "
        text, style = row[fixed]
        if left >= _FLEXIBLE_MIN or cells_wide(text) <= left:
            prose = wrap(text, left) if terminal.width else [text]
            margin = " " * used
        else:  # no room beside the columns: below them
            prose = ["", *wrap(text, max((terminal.width or 80) - indent - 4, 20))]
            margin = " " * (indent + 4)
        lines.append((start + terminal.paint(prose[0], style)).rstrip())
        lines.extend(margin + terminal.paint(line, style) for line in prose[1:] if line)
    return lines


def _cell(cell: Cell) -> tuple[str, str]:
    text, style = (cell, "") if isinstance(cell, str) else cell
    return plain(text), style
