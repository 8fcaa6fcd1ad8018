"""Turns what was given into a typed value, or into a sentence that says what was expected.

Law: what was given for a secret stands in no sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnslb.daemon.kinds import LIST_LENGTH_MAX, Kind, Unshown
from dnslb.daemon.origin import FromFile, Origin
from dnslb.daemon.problems import Findings, found
from dnslb.daemon.secret import is_open_to_all, open_to_all, read_secret
from dnslb.errors import InvalidValue


class Reader:
    """Turns what was given into values of one kind; tells what does not fit."""

    def __init__(
        self,
        kind: Kind[Any],
        origin: Origin,
        findings: Findings,
        environ: Mapping[str, str],
    ) -> None:
        self._kind = kind
        self._origin = origin
        self._environ = environ
        self._findings = findings
        self.failed = False

    def read(self, raw: tuple[object, ...]) -> object:
        if self._kind.split is None:
            return self._read_one(raw[-1])
        items = [item for text in raw for item in self._items(text)]
        if len(items) > LIST_LENGTH_MAX:
            self._fail((), f"has more than {LIST_LENGTH_MAX} entries")
            return ()
        has_indexes = isinstance(raw[0], list)
        return tuple(
            self._read_one(item, (i,) if has_indexes else ()) for i, item in enumerate(items)
        )

    def _items(self, raw: object) -> list[object]:
        if isinstance(raw, list):
            return raw
        if isinstance(raw, str) and self._kind.split is not None:
            return [*self._kind.split(raw)] or [""]
        self._fail((), f"expected a list, {found(raw)}")
        return []

    def _read_one(self, raw: object, below: tuple[int, ...] = ()) -> object:
        shown = "found something else" if self._kind.is_secret and raw else found(raw)
        text = self._text(raw)
        if not text:
            self._fail(below, f"expected {self._kind.expected}, {shown}")
            return None
        try:
            if self._kind.is_secret:
                secret = read_secret(text, self._environ)
                self._warn_if_open(text)
                return secret
            return self._kind.read(text)
        except Unshown as error:
            self._fail(below, str(error))
        except InvalidValue as error:
            self._fail(below, str(error) if self._kind.is_secret else f"{error}, {shown}")
        except ValueError:
            self._fail(below, f"expected {self._kind.expected}, {shown}")
        return None

    def _warn_if_open(self, text: str) -> None:
        """Of a file with a secret in it that everybody here can read."""
        path = None
        if text.startswith("file:"):
            path = Path(text.removeprefix("file:"))
        elif isinstance(self._origin, FromFile) and not text.startswith("env:"):
            path = Path(self._origin.document.name)
        if path is not None and is_open_to_all(path):
            self._findings.warn(self._origin.place(), open_to_all(path))

    def _text(self, raw: object) -> str | None:
        """A fitting value as text; None for one of a wrong type."""
        if isinstance(self._origin, FromFile) and type(raw) not in self._kind.toml_types:
            return None
        if isinstance(raw, bool):
            return "true" if raw else "false"
        if isinstance(raw, int):
            return str(raw) if raw.bit_length() < 64 else None
        return raw if isinstance(raw, str) else repr(raw)

    def _fail(self, below: tuple[int, ...], sentence: str) -> None:
        self.failed = True
        self._findings.error(self._origin.place(*below), sentence)
