"""Where each key of a TOML document stands, which `tomllib` does not tell.

Not a parser: it is given only documents that `tomllib` has accepted, and where it should read
one differently it says a wrong line, never a wrong value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dnslb.daemon.problems import KeyPath

# Quantifiers are possessive (*+): no input makes the scan go back over what it has read.
_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r]++|\#[^\n]*+)
    | (?P<newline>\n)
    | (?P<string>
          \"{3}(?:\\.|[^\\"]|"{1,2}(?!"))*+"{3,5}
        | '{3}(?:[^']|'{1,2}(?!'))*+'{3,5}
        | "(?:\\.|[^\\"\n])*+"
        | '[^'\n]*+'
      )
    | (?P<mark>[\[\]{},=.])
    | (?P<bare>[^\s\[\]{},=."'\#]++|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def locate(text: str) -> dict[KeyPath, int]:
    """Key path → line, from 1; elements of lists by index. The first mention of a key counts."""
    scan = _Scan()
    for kind, token, line in _tokens(text):
        scan.take(kind, token, line)
    return scan.lines


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "", match[0]
        if kind != "blank":
            yield kind, token, line
        line += token.count("\n")


@dataclass(slots=True)
class _Open:
    """A list (``index`` counts its elements) or an inline table (``index`` None)."""

    path: KeyPath
    index: int | None


@dataclass(slots=True)
class _Scan:
    lines: dict[KeyPath, int] = field(default_factory=dict)
    table: KeyPath = ()
    counts: dict[KeyPath, int] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    state: str = "key"  # key, value, after (of a value), header
    brackets: int = 0
    wants_element: bool = False
    value_path: KeyPath = ()

    def take(self, kind: str, token: str, line: int) -> None:
        if kind == "newline":
            if not self.open:
                self.state, self.key = "key", []
        elif self.state == "header":
            self._take_header(kind, token, line)
        elif self.state == "key":
            self._take_key(kind, token, line)
        else:
            self._take_value(kind, token, line)

    def _take_header(self, kind: str, token: str, line: int) -> None:
        if token == "[" and kind == "mark":
            self.brackets += 1
        elif token == "]" and kind == "mark":
            if self.key:
                self._enter_table(line)
                self.key = []
        elif not (kind == "mark" and token == "."):
            self.key.append(_key_part(kind, token))

    def _enter_table(self, line: int) -> None:
        path: KeyPath = ()
        for part in self.key[:-1]:
            path = (*path, part)
            if path in self.counts:
                path = (*path, self.counts[path])
        path = (*path, self.key[-1])
        self._note(path, line)
        if self.brackets == 2:
            self.counts[path] = self.counts.get(path, -1) + 1
            path = (*path, self.counts[path])
            self._note(path, line)
        self.table = path

    def _take_key(self, kind: str, token: str, line: int) -> None:
        if kind != "mark":
            self.key.append(_key_part(kind, token))
        elif token == "=":
            base = self.open[-1].path if self.open else self.table
            self.value_path = (*base, *self.key)
            self._note(self.value_path, line)
            self.key, self.state = [], "value"
        elif token == "[" and not self.open:
            self.state, self.brackets = "header", 1
        elif token == "}":
            self._close()

    def _take_value(self, kind: str, token: str, line: int) -> None:
        inside = self.open[-1] if self.open else None
        if self.wants_element and inside is not None and inside.index is not None and token != "]":
            self.wants_element = False
            self.value_path = (*inside.path, inside.index)
            self._note(self.value_path, line)
        if kind != "mark":
            self.state = "after"
        elif token == "[":
            self.open.append(_Open(self.value_path, 0))
            self.state, self.wants_element = "value", True
        elif token == "{":
            self.open.append(_Open(self.value_path, None))
            self.state = "key"
        elif token in "]}":
            self._close()
        elif token == "," and inside is not None:
            if inside.index is None:
                self.state = "key"
            else:
                inside.index += 1
                self.state, self.wants_element = "value", True

    def _close(self) -> None:
        if self.open:
            self.open.pop()
        self.state, self.wants_element, self.key = "after", False, []

    def _note(self, path: KeyPath, line: int) -> None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                break
            self.lines[path[:length]] = line


def _key_part(kind: str, token: str) -> str:
    if kind != "string" or token[0] == "'":
        return token.strip("'") if kind == "string" else token
    return _ESCAPE.sub(_unescape, token[1:-1])


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return chr(int(digits, 16)) if digits else _ESCAPED.get(match[3], match[3])
