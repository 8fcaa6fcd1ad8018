"""Durations and percentages: what is read, what is refused, and that writing inverts reading."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslb.daemon.duration import format_duration, parse_duration, parse_share
from dnslb.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("45", 45),
        ("1.5", 1.5),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h30m1.5s", 5401.5),
        ("1m500ms", 60.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "1d", "-1", "+1", "1 s", " 1", "1s ", "1.", ".5", "1e3", "nan", "inf", "1h 30m"),
        *("1_000", "\u0661", "1µs", "1,5s", "0x10", "1s" * 9, "9" * 13),
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidValue, match="expected a duration in seconds"):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_writing_a_duration_inverts_reading_it(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (60, "1m"), (5400, "1h30m"), (90.5, "1m30.5s")],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "share"), [("0%", 0), ("50%", 0.5), ("12.5%", 0.125), ("100%", 1)]
)
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["", "%", "50", "0.5", "101%", "-1%", "50 %", "nan%", "50%%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(InvalidValue, match="expected a percentage"):
        parse_share(text)
