"""Durations and percentages as people write them, and back. Reads no clock.

Law: what is not plainly a duration is refused; no unit is guessed but seconds.
"""

from __future__ import annotations

import re

from dnslb.errors import InvalidValue

EXPECTED_DURATION = "a duration in seconds, or such as 250ms, 1.5s, 2h or 1h30m"
EXPECTED_SHARE = 'a percentage from 0% to 100%, such as "50%"'

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_PLAIN = re.compile(_NUMBER)
_PART = re.compile(rf"({_NUMBER})(ms|h|m|s)")
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|h|m|s)){{1,8}}")
_SHARE = re.compile(rf"({_NUMBER})%")


def parse_duration(text: str) -> float:
    """Seconds in ``text``, as Go's ``time.ParseDuration`` has it, or a bare number of seconds."""
    if _PLAIN.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise InvalidValue(f"expected {EXPECTED_DURATION}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """The shortest way to write ``seconds`` that `parse_duration` reads back."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.9g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{n:.0f}{unit}" for n, unit in ((hours, "h"), (minutes, "m")) if n]
    if rest or not parts:
        parts.append(f"{rest:.9g}s")
    return "".join(parts)


def parse_share(text: str) -> float:
    """``"50%"`` as 0.5; a bare number is refused, since 1 could mean either."""
    found = _SHARE.fullmatch(text)
    share = float(found[1]) / 100 if found else -1.0
    if not 0 <= share <= 1:
        raise InvalidValue(f"expected {EXPECTED_SHARE}")
    return share
