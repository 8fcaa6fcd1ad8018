"""What a daemon and its octoDNS worker say to each other: one JSON object a line. Pure.

A pass is one process. It gets one `Request`, and answers with one of ANSWERS. A pass that writes
has two steps more, so that it can be held between them:

    Request(write) → Ready → "look" → Planned → "write" → Stands

Law: a secret travels in a request and nowhere else; what is no message in form is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.octodns_manner import Manner

LINE_BYTES_MAX = 16 * 1024 * 1024

Word = Literal["look", "write"]
Kind = Literal["temporary", "refused", "conflict", "unknown", "fenced"]


@dataclass(frozen=True, slots=True)
class ProviderClass:
    """Which class, by dotted name, with which settings; ``accepted``: the worst manner of writing
    that a person accepted."""

    name: str
    settings: Mapping[str, Any] = field(repr=False)
    accepted: Manner = "rrset"


@dataclass(frozen=True, slots=True)
class Swap:
    """One RRset from ``before`` (None: absent) to ``after`` (None: removed)."""

    key: RRsetKey
    before: RRset | None
    after: RRset | None


class ListZones(msgspec.Struct, frozen=True, tag=True):
    """Which zones there are."""


class ReadZone(msgspec.Struct, frozen=True, tag=True):
    """What stands at ``names``; answered by `Stands`."""

    zone: str
    names: frozenset[str]


class WriteZone(msgspec.Struct, frozen=True, tag=True):
    """``token``: what the marker must hold; None where no marker is kept."""

    zone: str
    swaps: tuple[Swap, ...]
    token: FencingToken | None = None


class ReadMarker(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Marker`."""

    zone: str


class TakeMarker(msgspec.Struct, frozen=True, tag=True):
    """Read, write, read; without ``token`` the marker is removed, whatever it says or, where that
    is given, if it is ``only``. Answered by `Marker`."""

    zone: str
    token: FencingToken | None
    over: str | None = None
    only: FencingToken | None = None


Task = ListZones | ReadZone | WriteZone | ReadMarker | TakeMarker


@dataclass(frozen=True, slots=True)
class Request:
    provider: ProviderClass
    task: Task


class Zones(msgspec.Struct, frozen=True, tag=True):
    """Normalised names; those that no name of ours can lie in are left out."""

    zones: frozenset[str]


class Stands(msgspec.Struct, frozen=True, tag=True):
    """What was read at the names asked for, or what stands after a write. ``total``: RRsets in
    the whole zone. ``notices``: what a person should know beside it."""

    rrsets: tuple[RRset, ...]
    cnames: dict[str, str] = {}
    total: int = 0
    notices: tuple[str, ...] = ()


class Marker(msgspec.Struct, frozen=True, tag=True):
    token: FencingToken | None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The zone is as the plan believes; nothing is written without "look" and "write"."""


class Planned(msgspec.Struct, frozen=True, tag=True):
    """Read again, compared again, and planned: "write" writes."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """``sentence`` is dnslb's, without its full stop where ``detail`` follows: the words of
    foreign code, to be scrubbed of secrets."""

    kind: Kind
    sentence: str
    detail: str = ""


Answer = Zones | Stands | Marker | Ready | Planned | Failed
M = TypeVar("M")


def to_line(message: object) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def from_line(line: bytes, kind: type[M] | Any) -> M:
    """Raises `msgspec.ValidationError` or `msgspec.DecodeError` for what is no such message."""
    decoded: M = msgspec.json.decode(line, type=kind)
    return decoded
