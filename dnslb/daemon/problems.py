"""What is wrong with a configuration: gathered while it is read, told all at once.

Law: each problem names its place; nothing found in a secret is ever part of a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from dnslb.errors import ConfigError

PROBLEMS_MAX = 1000
FOUND_LENGTH_MAX = 80
_LINE = re.compile(r":([0-9]+)(?:: |\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

KeyPath = tuple[str | int, ...]
"""A key in a TOML document: ``("lb", "www.example.org", "endpoints", 2)``."""


class Problem(NamedTuple):
    """``place``: a flag, an environment variable, or file, line and key."""

    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}" if self.place else self.sentence


class ConfigProblems(ConfigError):
    """Everything that keeps a configuration from being used, and what else was noticed."""

    def __init__(self, problems: tuple[Problem, ...], warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.warnings = warnings


class Findings:
    """Gathers problems and warnings up to a limit; the surplus is counted."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._surplus = 0

    def error(self, place: str, sentence: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems[Problem(place, sentence)] = None
        else:
            self._surplus += 1

    def warn(self, place: str, sentence: str) -> None:
        if len(self._warnings) < PROBLEMS_MAX:
            self._warnings[Problem(place, sentence)] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the command line and the environment got wrong, then the file in its order."""
        more = Problem("", f"and {self._surplus} more problems that are not shown")
        found = sorted(self._problems, key=_line)
        return (*found, more) if self._surplus else tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(map(str, sorted(self._warnings, key=_line)))

    @property
    def are_fatal(self) -> bool:
        return bool(self._problems)

    def raise_if_fatal(self) -> None:
        if self._problems:
            raise ConfigProblems(self.problems, self.warnings)


def _line(problem: Problem) -> int:
    match = _LINE.search(problem.place)
    return int(match[1]) if match else 0


def found(value: object) -> str:
    """What stood there, short and printable, for the end of a sentence."""
    match value:
        case bool():
            return f"found {str(value).lower()}"
        case int() if value.bit_length() > 200:
            return "found a number with very many digits"
        case str():
            cut = value[:FOUND_LENGTH_MAX]
            return f"found {cut!r}" + ("..." if cut != value else "") if value else "found nothing"
        case int() | float():
            return f"found {value!r}"
        case dict():
            return "found a table"
        case list() if value and len(value) <= 4 and all(_is_short(item) for item in value):
            return f"found {value!r}"
        case list():
            return "found a list"
    return "found a date or time"


def _is_short(value: object) -> bool:
    return type(value) is int and value.bit_length() <= 32


def key_text(path: Iterable[str | int]) -> str:
    """A key as it is written in TOML, with indexes from 0: ``lb."www.example.org".ttl``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if _BARE_KEY.fullmatch(part) else json.dumps(part[:FOUND_LENGTH_MAX])
            text += f".{shown}" if text else shown
    return text


def similar(word: str, words: Iterable[str], prefix: str = "") -> str:
    """``; did you mean ...?`` or nothing."""
    import difflib  # noqa: PLC0415 - lazy: only mistakes pay for it

    close = difflib.get_close_matches(word[:FOUND_LENGTH_MAX], list(words), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
