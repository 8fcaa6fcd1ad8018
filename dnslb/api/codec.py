"""JSON with a limit, and RFC 3339 times: how the values of `messages` become bytes and back.

Not a schema: who decodes checks what it needs. Reads no clock and no time zone; all times are
UTC. The calendar is computed here, since importing datetime costs a fifth of a whole
``dnslbctl status``.

Law: nothing longer than its limit is decoded, and what cannot be decoded raises `Malformed`.
"""

from __future__ import annotations

import json

BODY_BYTES_MAX = 64 * 1024 * 1024
"""The longest answer a client takes: 10,000 endpoints seen by 99 agents stay well below."""

REQUEST_BYTES_MAX = 256 * 1024
"""The longest body a request may have."""

_DAYS_TO_1970 = 719_468  # from 1 March of year 0, where the calendar below begins


class Malformed(ValueError):
    """Bytes or text that are not what they should be; ``str()`` says what was expected."""


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(value: object) -> bytes:
    """``value`` as compact JSON in UTF-8; a lone surrogate becomes a question mark."""
    return _encoder.encode(value).encode("utf-8", "replace")


def decode(data: bytes, bytes_max: int = BODY_BYTES_MAX) -> object:
    """The JSON value in ``data``; raises `Malformed`."""
    if len(data) > bytes_max:
        raise Malformed(f"{len(data)} bytes of JSON are more than the {bytes_max} allowed")
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"JSON was expected: {error}") from error
    return value


def to_time(wall_s: float) -> str:
    """Seconds since 1970 as RFC 3339 UTC, to the millisecond: ``2026-01-31T03:12:00.250Z``.

    Whole seconds are written without a fraction.
    """
    milliseconds = round(wall_s * 1000)
    seconds, millisecond = divmod(milliseconds, 1000)
    days, second = divmod(seconds, 86400)
    year, month, day = _to_date(days)
    hour, second = divmod(second, 3600)
    minute, second = divmod(second, 60)
    fraction = f".{millisecond:03}" if millisecond else ""
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"


def from_time(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time with ``Z`` or an offset; raises `Malformed`."""
    try:
        date, clock = text[:10], text[11:]
        if text[10] not in "Tt " or date[4] != "-" or date[7] != "-":
            raise ValueError
        clock, offset_s = _split_offset(clock)
        year, month, day = _number(date[:4]), _number(date[5:7]), _number(date[8:])
        if _to_date(days := _from_date(year, month, day)) != (year, month, day):
            raise ValueError
        return days * 86400 + to_second_of_day(clock) - offset_s
    except (ValueError, IndexError):
        raise Malformed(f"{text[:40]!r} is no RFC 3339 time such as 2026-01-31T03:12:00Z") from None


def to_second_of_day(clock: str) -> float:
    """Seconds since midnight of ``HH:MM`` or ``HH:MM:SS[.fff]``; raises ValueError."""
    whole, dot, fraction = clock.partition(".")
    parts = [_number(part) for part in whole.split(":")]
    if any(len(part) != 2 for part in whole.split(":")) or (dot and len(parts) != 3):
        raise ValueError(f"{clock[:20]!r} is no time of day such as 03:12 or 03:12:30")
    hour, minute, second = (*parts, 0) if len(parts) == 2 else parts
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"{clock[:20]!r} is no time of day such as 03:12 or 03:12:30")
    thousandths = _number(fraction[:9]) / 10 ** len(fraction[:9]) if dot else 0.0
    return hour * 3600 + minute * 60 + second + thousandths


def _split_offset(clock: str) -> tuple[str, int]:
    if clock[-1] in "Zz":
        return clock[:-1], 0
    sign = {"+": 1, "-": -1}[clock[-6]] if clock[-6] in "+-" else 0
    if not sign or clock[-3] != ":":
        raise ValueError
    return clock[:-6], sign * (_number(clock[-5:-3]) * 3600 + _number(clock[-2:]) * 60)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError
    return int(text)


# The proleptic Gregorian calendar with years that begin in March, so that the leap day is the
# last day of a year: Howard Hinnant, "chrono-compatible low-level date algorithms".
def _to_date(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + _DAYS_TO_1970, 146_097)
    leap_days = day_of_era // 1460 - day_of_era // 36524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def _from_date(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    shifted = month - 3 if month > 2 else month + 9
    day_of_year = (153 * shifted + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - _DAYS_TO_1970
