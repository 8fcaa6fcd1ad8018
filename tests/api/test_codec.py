"""JSON with a limit, and the calendar, held against datetime."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from dnslb.api.codec import Malformed, decode, encode, from_time, to_second_of_day, to_time

INSTANTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)  # years 1 to 9999


@given(INSTANTS)
def test_times_are_what_datetime_says(milliseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    expected = at.isoformat(timespec="milliseconds").replace(".000+00:00", "+00:00")
    assert to_time(milliseconds / 1000) == expected.replace("+00:00", "Z")


@given(INSTANTS)
def test_times_come_back(milliseconds: int) -> None:
    assert round(from_time(to_time(milliseconds / 1000)) * 1000) == milliseconds


@given(INSTANTS, st.integers(-23 * 60, 23 * 60))
def test_offsets_are_understood(milliseconds: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(zone)
    except OverflowError:  # beyond the years that datetime knows
        return
    if at.utcoffset() != timedelta(0):
        assert from_time(at.isoformat()) == pytest.approx(at.timestamp(), abs=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-01-31",
        "2026-01-31T03:12:00",
        "2026-02-29T03:12:00Z",
        "2026-13-01T03:12:00Z",
        "2026-00-10T03:12:00Z",
        "2026-01-32T03:12:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T03:60:00Z",
        "2026-01-31X03:12:00Z",
        "2026-01-31T3:12:00Z",
        "2026-01-31T03:12:00+1:00",
        "\uff12026-01-31T03:12:00Z",
        "-026-01-31T03:12:00Z",
        "2026-01-31T03:12:00.Z",
    ],
)
def test_what_is_no_time_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="RFC 3339"):
        from_time(text)


def test_a_time_of_day() -> None:
    assert to_second_of_day("03:12") == 3 * 3600 + 12 * 60
    assert to_second_of_day("23:59:59.5") == 86399.5
    for text in ("3:12", "24:00", "03", "03:1", "03:12:", "aa:bb", "03:12.5"):
        with pytest.raises(ValueError):  # noqa: PT011  # the sentence is the caller's
            to_second_of_day(text)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_values_come_back(value: object) -> None:
    assert decode(encode(value)) == json.loads(json.dumps(value))


def test_a_lone_surrogate_does_not_stop_an_answer() -> None:
    assert encode("a\ud800b") == b'"a?b"'


def test_infinity_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(float("inf"))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1,}'])
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="JSON"):
        decode(data)


def test_nothing_beyond_the_limit_is_decoded() -> None:
    assert decode(b"[1,2]", 5) == [1, 2]
    with pytest.raises(Malformed, match="more than the 4 allowed"):
        decode(b"[1,2]", 4)
