"""What a handler gets and gives: a whole request, an answer or a stream, and `HttpError`.

Values only; nothing here reads or writes. What a constructor accepts can be sent: an answer
that HTTP cannot carry is refused where the handler made it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs, unquote, urlsplit

import trio

from dnslb.net.peer import Peer

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
EVENTS = "text/event-stream"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|")
# The server alone decides how an answer is framed and whether the connection goes on.
_FRAMING = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})


class HttpError(Exception):
    """A handler's way to answer with an error: a status and one sentence for the client."""

    def __init__(
        self, status: int, sentence: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(sentence or reason_phrase(status))
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read whole and was within all limits.

    ``path`` is as sent, still percent-encoded; `segments` are decoded. ``headers`` have lower
    case names; a repeated header's values are joined by ``", "`` (RFC 9110 5.2). ``closing`` is
    set when the server shuts down: whatever waits for long should then end.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: bytes = field(default=b"", repr=False)
    peer: Peer = Peer()
    closing: trio.Event = field(default_factory=trio.Event, compare=False, repr=False)

    @property
    def segments(self) -> tuple[str, ...]:
        """The path's parts between the slashes, each decoded by itself."""
        return tuple(unquote(part, errors="strict") for part in self.path.split("/")[1:])

    @property
    def parameters(self) -> dict[str, str]:
        """The query's fields, of repeated ones the last; at most 64. Raises `HttpError` 400."""
        try:
            found = parse_qs(self.query, keep_blank_values=True, errors="strict", max_num_fields=64)
        except ValueError as error:
            raise HttpError(400, "The query cannot be read.") from error
        return {name: values[-1] for name, values in found.items()}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``body`` is all of it, or an async iterator: then it is sent as it comes, until
    the iterator ends, the client leaves, or a write takes too long.

    Each item of an iterator must stand by itself (a whole event), for ``heartbeat`` is sent
    between items after ``heartbeat_s`` seconds without one. Raises ValueError for what HTTP
    cannot carry.
    """

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat: bytes = b""
    heartbeat_s: float = 0.0

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"an answer's status is within 200 and 599, not {self.status}")
        if self.status in {204, 304} and self.body != b"":
            raise ValueError(f"an answer of status {self.status} has no body")
        for name, value in (*self.headers, ("content-type", self.content_type)):
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"not a header: {name!r}: {value!r}")
        for name, _value in self.headers:
            if name.lower() in _FRAMING:
                raise ValueError(f"{name} is the server's to set")
        if self.heartbeat and self.heartbeat_s <= 0:
            raise ValueError("a heartbeat needs a period in seconds")

    @classmethod
    def text(
        cls, status: int, sentence: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        """One line of plain text."""
        return cls(status, sentence.encode() + b"\n", TEXT, headers)

    @classmethod
    def events(cls, body: AsyncIterator[bytes], *, heartbeat_s: float) -> Response:
        """Server-sent events, kept alive by comments (the HTML standard, 9.2.7)."""
        return cls(200, body, EVENTS, heartbeat=b":\n\n", heartbeat_s=heartbeat_s)


Handler = Callable[[Request], Awaitable[Response]]
"""Answers one request; may raise `HttpError`. Any other exception is a fault of ours: 500."""


def reason_phrase(status: int) -> str:
    """The status in words; empty for one without a registered name."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def split_target(target: bytes) -> tuple[str, str]:
    """Path and query of a request target in origin, absolute or asterisk form (RFC 9112 3.2).

    Raises ValueError for any other, and for a path that does not decode as UTF-8.
    """
    if not target.isascii():
        raise ValueError("The request target is not ASCII.")
    text = target.decode("ascii")
    if re.match(r"https?://", text, re.IGNORECASE):
        parts = urlsplit(text)
        path, query = parts.path or "/", parts.query
    else:
        path, _, query = text.partition("?")
    if path != "*" and not path.startswith("/"):
        raise ValueError("The request target is not a path.")
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("The path is not UTF-8.") from error
    return path, query
