"""What stands in etcd, whichever of its APIs says so; bytes in, values out, pure.

Not the transport, and not what to do about an answer. Which key holds what is healthd's protocol
(docs/health-protocol.md): the list under ``monitors``, each agent's statuses under its name.

Law: that a key is missing is said only by an answer that can be nobody's but etcd's. Whatever
else comes, a page of a proxy or half an answer, is an error and never "empty".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dnslb.errors import SourceError
from dnslb.model.report import bounded_message

MONITORS_KEY = "monitors"
ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""Twice etcd's largest value (1.5 MiB, as v2 answers with the one before), and its escapes."""
LIST_BYTES_MAX = 1_400_000
"""Below what etcd takes in one request."""
TIME_MAX = 1e11
_GO_END = re.compile(rb',"Time":([1-9][0-9]{0,10})\}')

Header = Mapping[str, str]


class EtcdRefused(SourceError):
    """etcd answered and refuses; ``unauthorized``: for want of (other) credentials."""

    def __init__(self, sentence: str, *, unauthorized: bool = False) -> None:
        super().__init__(sentence)
        self.unauthorized = unauthorized


class HistoryGone(SourceError):
    """What was asked for is no more in etcd's history, or its history is another: read anew."""


class ChangedMeanwhile(SourceError):
    """A write was not done, since something else stands there than what was read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; names of headers in lower case."""

    status: int
    headers: Header
    body: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What stands under one key; ``value`` None: positively nothing. ``index``: its last change,
    by which a write can name what it replaces; 0 when nothing stands there."""

    key: str
    value: bytes | None
    index: int


@dataclass(frozen=True, slots=True)
class Reading:
    """``store_index``: how far the store was when it was read; ``cluster``: which store it is."""

    held: Held
    store_index: int
    cluster: str


@dataclass(frozen=True, slots=True)
class Written:
    """What healthd stores of an agent. ``statuses``: the JSON list that the agent posted.
    ``sent_wall``: seconds since 1970 by healthd's clock, when it stored it."""

    statuses: bytes
    sent_wall: float


class _Written(msgspec.Struct, frozen=True):
    time: float = msgspec.field(name="Time")
    status: msgspec.Raw = msgspec.field(name="Status")


_decode_written = msgspec.json.Decoder(_Written).decode
_decode_urls = msgspec.json.Decoder(list[str]).decode


def read_written(value: bytes) -> Written:
    """Raises `SourceError` with what is wrong."""
    if not value:
        raise SourceError("it is empty, or too large to be read")
    found = decoded(_decode_written, value, "what stands there")
    if not 0 < found.time < TIME_MAX:
        raise SourceError(f"its Time is {found.time:g}, which are no seconds since 1970")
    statuses = bytes(found.status)
    # Go writes an empty list that was never filled as null.
    return Written(b"[]" if statuses == b"null" else statuses, found.time)


def begin_of(value: bytes, statuses: bytes) -> bytes:
    """``value`` up to the end of its ``statuses``, where it begins with them as Go writes it;
    else nothing."""
    begin = b'{"Status":' + statuses
    return begin if value.startswith(begin) else b""


def time_after(value: bytes, begin: bytes) -> float | None:
    """The Time of a value that says the same as one of this beginning, and nothing else than Go
    would write behind it; else None. For values of the same statuses this is all to be read."""
    if not begin or not value.startswith(begin):
        return None
    end = _GO_END.fullmatch(value, len(begin))
    return float(end[1]) if end else None


def is_same_list(value: bytes | None, ours: bytes) -> bool:
    """Whether two monitor lists in the legacy form hold the same, however they are spaced."""
    if value is None or value == ours:
        return value == ours
    try:
        return bool(_decode_urls(value) == _decode_urls(ours))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def decoded(decode: Any, body: bytes, what: str) -> Any:
    """Translates what msgspec raises; the one place that does."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{what} is not understood: {bounded_message(str(error))}") from error
