"""Where a value was given: what a sentence about it begins with.

Law: whoever reads the place finds the value there, in the file down to its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from dnslb.daemon.problems import KeyPath, key_text
from dnslb.daemon.toml_lines import locate


class Origin(Protocol):
    def place(self, *below: str | int) -> str:
        """The place, or of what lies below it: a key in a table, an index in a list."""


@dataclass(frozen=True, slots=True)
class FromFlag:
    name: str

    def place(self, *below: str | int) -> str:
        return f"-{self.name}"


@dataclass(frozen=True, slots=True)
class FromVariable:
    name: str

    def place(self, *below: str | int) -> str:
        return f"environment variable {self.name}"


@dataclass(frozen=True)
class FromText:
    """One text that carries its own key, such as a `-lb` on the command line."""

    outer: Origin
    key: str

    def place(self, *below: str | int) -> str:
        return f"{self.outer.place()} {self.key}"


@dataclass(frozen=True)
class Document:
    """A TOML file that was read: its name, its text, and its values."""

    name: str
    text: str
    values: dict[str, object]

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return locate(self.text)

    def place(self, path: KeyPath) -> str:
        """``dnslb.toml:12: port``. The file is searched for lines only when one is asked for."""
        for length in range(len(path), 0, -1):
            if line := self._lines.get(path[:length]):
                return f"{self.name}:{line}: {key_text(path)}"
        return f"{self.name}: {key_text(path)}"


@dataclass(frozen=True, slots=True)
class FromFile:
    document: Document
    path: KeyPath

    def place(self, *below: str | int) -> str:
        return self.document.place((*self.path, *below))

    def below(self, *path: str | int) -> FromFile:
        return FromFile(self.document, (*self.path, *path))
