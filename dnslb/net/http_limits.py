"""What a server grants its clients, and the counts of what it refused.

Law: everything that a client can make grow or last has a limit here, and each refusal has a
kind that is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from dnslb.net.http_message import HttpError


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, durations in seconds; 0 bytes of body means that none is accepted.

    ``idle_s`` must be well above the interval at which clients post, or each post meets a
    connection that was just closed.
    """

    header_bytes_max: int = 16 * 1024
    body_bytes_max: int = 1024 * 1024
    bodies_bytes_max: int = 64 * 1024 * 1024
    """All bodies being read or handled together: beyond it, 503."""
    connections_max: int = 1024
    connections_per_peer_max: int = 256
    """Per address, or per user of this machine; many agents may stand behind one address."""

    handshake_s: float = 5.0
    header_s: float = 10.0
    """From the first byte of a request to the end of its head, and, on a new connection, until
    that first byte."""
    body_s: float = 30.0
    handler_s: float = 60.0
    """For a handler to make its answer; not for streaming it."""
    idle_s: float = 300.0
    send_s: float = 30.0
    """For one write; frees us from readers that stall."""
    linger_s: float = 2.0
    linger_bytes_max: int = 8 * 1024 * 1024
    """What is read and dropped after a refusal, so that the answer is not lost to a reset."""
    grace_s: float = 5.0
    """For requests under way at shutdown."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value < 0 or (value == 0 and name != "body_bytes_max"):
                raise ValueError(f"{name} must be above 0, not {value}")


class Refusal(StrEnum):
    """Why a client was not served, or not to the end; the value is a metric's label."""

    CONNECTIONS = "connections"
    PEER_CONNECTIONS = "peer_connections"
    EVICTED = "evicted"  # idle, and its place was needed
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    HANDSHAKE_FAILED = "handshake_failed"
    HEADER_TIMEOUT = "header_timeout"
    HEADER_SIZE = "header_size"
    BODY_TIMEOUT = "body_timeout"
    BODY_SIZE = "body_size"
    BODIES_SIZE = "bodies_size"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    THROTTLED = "throttled"
    HANDLER_TIMEOUT = "handler_timeout"
    HANDLER_FAILED = "handler_failed"
    STREAM_FAILED = "stream_failed"
    SEND_TIMEOUT = "send_timeout"
    DISCONNECTED = "disconnected"  # the client left in the middle of a request or an answer
    GRACE_ENDED = "grace_ended"  # cut off at shutdown


class Refused(HttpError):
    """The server itself refuses a request; the connection ends after the answer."""

    def __init__(
        self,
        kind: Refusal,
        status: int,
        sentence: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(status, sentence, headers)
        self.kind = kind


@dataclass(slots=True)
class HttpStats:
    """Counts since the server was made; ``open`` and ``bodies_bytes`` are of this moment."""

    open: int = 0
    bodies_bytes: int = 0
    accepted: int = 0
    requests: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    """By status, the server's own refusals included."""
    refused: Counter[Refusal] = field(default_factory=Counter)
