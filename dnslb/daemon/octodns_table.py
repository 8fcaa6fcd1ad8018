"""The `[octodns]` table: keyword arguments for a foreign class, and a few words to dnslb itself.

Keys that begin with ``dnslb-`` are ours: no argument of a Python function can be spelled so. All
others go to the class as they are, texts with ``env:`` and ``file:`` as secrets. What they mean
is the class's affair.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dnslb.daemon.kinds import ON_OFF, Kind, choice, listed
from dnslb.daemon.origin import FromFile
from dnslb.daemon.problems import Findings, found, similar
from dnslb.daemon.reader import Reader
from dnslb.daemon.secret import Secret, is_open_to_all, open_to_all, read_secret
from dnslb.errors import InvalidValue
from dnslb.model.names import to_name


def _zone(text: str) -> str:
    try:
        return to_name(text)
    except InvalidValue:
        raise ValueError from None


DEPTH_MAX = 8
OWN_PREFIX = "dnslb-"
OWN_KEYS: dict[str, tuple[Kind[Any], str]] = {
    "dnslb-zones": (listed(Kind("ZONE,...", "the name of a zone", _zone)), "zones"),
    "dnslb-accept-writes": (choice("rrset", "gap", "zone"), "accepted"),
    "dnslb-ownership": (ON_OFF, "ownership"),
}
Accepted = Literal["rrset", "gap", "zone"]
# How octoDNS itself names environment variables; its classes do not read them.
_OCTODNS_ENV = re.compile(r"env/([A-Za-z_]\w*)(/.*)?")


@dataclass(frozen=True, slots=True)
class OctodnsTable:
    """``settings``: never shown, since any text there may be secret. ``zones``: empty: those that
    the class lists. ``accepted``: the worst manner of writing that is accepted."""

    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    zones: tuple[str, ...] = ()
    accepted: Accepted = "rrset"
    ownership: bool = True


def read_octodns(
    table: object, origin: FromFile, environ: Mapping[str, str], findings: Findings
) -> OctodnsTable:
    """What stands there; what is wrong is noted, and left out."""
    if not isinstance(table, dict):
        findings.error(origin.place(), f"expected a table [octodns], {found(table)}")
        return OctodnsTable()
    settings, own = {}, {}
    for key, value in table.items():
        if not key.startswith(OWN_PREFIX):
            settings[key] = _Settings(origin, environ, findings).convert(value, (key,))
        elif key not in OWN_KEYS:
            findings.error(origin.place(key), f"there is no such key{similar(key, OWN_KEYS)}")
        else:
            kind, name = OWN_KEYS[key]
            reader = Reader(kind, origin.below(key), findings, {})
            read = reader.read((value,))
            if not reader.failed:
                own[name] = read
    return OctodnsTable(settings, **own)  # type: ignore[arg-type]


class _Settings:
    def __init__(self, origin: FromFile, environ: Mapping[str, str], findings: Findings) -> None:
        self._origin = origin
        self._environ = environ
        self._findings = findings

    def convert(self, value: object, path: tuple[str | int, ...]) -> object:
        if len(path) > DEPTH_MAX:
            sentence = f"is nested more than {DEPTH_MAX} deep"
            self._findings.error(self._origin.place(*path[:1]), sentence)
            return None
        match value:
            case dict():
                return {key: self.convert(inner, (*path, key)) for key, inner in value.items()}
            case list():
                return [self.convert(inner, (*path, i)) for i, inner in enumerate(value)]
            case str() if value.startswith(("env:", "file:")):
                return self._secret(value, self._origin.place(*path))
            case str() if named := _OCTODNS_ENV.fullmatch(value):
                self._findings.warn(
                    self._origin.place(*path),
                    f'goes to the class as it is; "env:{named[1]}" means the variable',
                )
            case datetime.date() | datetime.time():
                sentence = "expected a text, found a date or time"
                self._findings.error(self._origin.place(*path), sentence)
                return None
        return value

    def _secret(self, text: str, place: str) -> Secret | None:
        try:
            secret = read_secret(text, self._environ)
        except InvalidValue as error:
            self._findings.error(place, str(error))
            return None
        if text.startswith("file:") and is_open_to_all(path := Path(text.removeprefix("file:"))):
            self._findings.warn(place, open_to_all(path))
        return secret


def secrets_within(value: object) -> Iterator[Secret]:
    """Every secret among the settings."""
    match value:
        case Secret():
            yield value
        case dict():
            for inner in value.values():
                yield from secrets_within(inner)
        case list():
            for inner in value:
                yield from secrets_within(inner)


def revealed(value: object) -> Any:
    """The settings in the clear, for the class alone."""
    match value:
        case Secret():
            return value.reveal()
        case dict():
            return {key: revealed(inner) for key, inner in value.items()}
        case list():
            return [revealed(inner) for inner in value]
    return value
