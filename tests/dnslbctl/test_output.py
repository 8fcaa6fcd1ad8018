"""Laying text out: widths, marks, durations, and nothing hostile on the terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from dnslbctl.output import (
    BAD,
    Terminal,
    addresses,
    cells_wide,
    clock,
    count,
    duration,
    paragraph,
    plain,
    since,
    table,
    until,
    wrap,
)

Cell = str | tuple[str, str]
PIPE = Terminal(width=None, colour=False, unicode=True)
AT = "2026-01-01T00:00:00Z"
ANYTHING = st.text()


def terminal(width: int | None = 80, colour: bool = False, unicode: bool = True) -> Terminal:
    return Terminal(width=width, colour=colour, unicode=unicode)


@given(ANYTHING)
def test_nothing_that_moves_the_cursor_gets_through(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\x0ab"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\x9b31m", "\\x9b31m"),
        ("ü – 日本", "ü – 日本"),
        (None, "None"),
    ],
)
def test_what_hostile_text_looks_like(text: object, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(None, "never"), (-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (10, "10s")],
        *[(59.9, "59s"), (60, "1m00s"), (252, "4m12s"), (3599, "59m59s"), (3600, "1h00m")],
        *[(11_040, "3h04m"), (86_399, "23h59m"), (86_400, "1d00h"), (10**7, "115d17h")],
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_times() -> None:
    assert since("2025-12-31T23:56:00Z", AT) == "4m00s"
    assert since(None, AT) == "-"
    assert until("2026-01-01T01:20:00Z", AT) == "for 1h20m more"
    assert until(None, AT) == "without end"
    assert until("2025-12-31T00:00:00Z", AT) == "ends now"
    assert clock("2026-01-01T03:12:07.250Z", AT) == "03:12:07Z"
    assert clock("2025-12-31T03:12:07Z", AT) == "2025-12-31 03:12:07Z"


def test_counts_and_addresses() -> None:
    assert count(1, "endpoint") == "1 endpoint"
    assert count(12_345, "address", "addresses") == "12,345 addresses"
    assert addresses(None) == "not known yet"
    assert addresses([]) == "nothing"
    assert addresses(["192.0.2.1", "192.0.2.2"]) == "192.0.2.1, 192.0.2.2"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf"))), st.integers(1, 50))
def test_wrapped_lines_fit_or_are_one_word(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(cells_wide(line) <= width or len(line.split()) == 1 for line in lines)


def test_wide_and_combining_characters() -> None:
    assert cells_wide("abc") == 3
    assert cells_wide("日本") == 4
    assert cells_wide("e\u0301") == 1


CELLS = st.text("ab c日\x1b", max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, st.text("ab c", max_size=80)), min_size=1), st.integers(60))
def test_a_table_is_aligned_and_fits(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = table(("ONE", "TWO", "PROSE"), rows, terminal(width))
    assert all(cells_wide(line) <= width for line in lines if " " in line.strip())
    first = [plain(row[0]) for row in rows]
    start = max(map(cells_wide, [*first, "ONE"])) + 2
    assert lines[0][:3] == "ONE"
    assert lines[0].index("TWO") == start
    assert all(line.isprintable() for line in lines)


def test_prose_goes_below_where_there_is_no_room_beside() -> None:
    rows = [("tcp://192.0.2.1:80", "3 of 3 agents say down, since the connection is refused")]
    assert table(("ENDPOINT", "WHY"), rows, terminal(40)) == [
        "ENDPOINT",
        "tcp://192.0.2.1:80",
        "    3 of 3 agents say down, since the",
        "    connection is refused",
    ]
    assert table(("ENDPOINT", "WHY"), rows, terminal(60)) == [
        "ENDPOINT            WHY",
        "tcp://192.0.2.1:80  3 of 3 agents say down, since the",
        "                    connection is refused",
    ]


def test_a_pipe_gets_whole_lines() -> None:
    long = "word " * 100
    assert len(table(("A", "B"), [("x", long)], PIPE)) == 2
    assert len(paragraph(long, PIPE, 4)) == 1


def test_colour_only_where_it_is_wanted() -> None:
    assert terminal(colour=True).paint("x", BAD) == "\x1b[1;31mx\x1b[0m"
    assert terminal().paint("x", BAD) == "x"
    assert table(("A",), [(("x", BAD),)], terminal()) == ["A", "x"]
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not Terminal.of(environ, columns=80, encoding="utf-8").colour
    assert Terminal.of({"TERM": "xterm"}, columns=80, encoding="utf-8").colour
    assert not Terminal.of({"TERM": "xterm"}, columns=None, encoding="utf-8").colour


def test_colour_changes_no_widths() -> None:
    rows: list[tuple[Cell, Cell]] = [(("x", BAD), "prose"), ("longer", "prose")]
    plain_lines = table(("A", "B"), rows, terminal())
    painted = table(("A", "B"), rows, terminal(colour=True))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == plain_lines


def test_marks_are_ascii_where_that_is_needed() -> None:
    for environ, encoding in (({"DNSLB_ASCII": "1"}, "utf-8"), ({}, "latin-1"), ({}, None)):
        shown = Terminal.of(environ, columns=80, encoding=encoding)
        assert all(shown.mark(name).isascii() for name in ("good", "bad", "warn", "to", "dot"))
    fancy = Terminal.of({}, columns=80, encoding="UTF-8")
    assert fancy.mark("good") == "✓"
