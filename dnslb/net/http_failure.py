"""Failures of an HTTP client (httpx) as sentences for an operator."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

import httpx

from dnslb.net.tls import handshake_sentence, hung_up_sentence

_HANG_UPS = frozenset({None, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})
_CUT_OFF = ("disconnected", "peer closed connection")  # as h11 and httpcore put it
_LENGTH_MAX = 200


def transport_sentence(error: httpx.TransportError, *, tls: bool = True) -> str:
    """What went wrong. ``tls``: certificates were shown, so a hang-up may be about ours."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            if not isinstance(cause, ssl.SSLEOFError):
                return handshake_sentence(error)
        elif isinstance(cause, socket.gaierror):
            return "the host name cannot be resolved"
        elif isinstance(cause, OSError) and cause.errno not in _HANG_UPS:
            return os.strerror(cause.errno or 0).lower()
    if tls and isinstance(error, httpx.ConnectError):
        return f"{handshake_sentence(error)}; it may have refused our certificate"
    if not isinstance(error, httpx.RemoteProtocolError) or any(w in str(error) for w in _CUT_OFF):
        return hung_up_sentence() if tls else "the server hung up before its answer was whole"
    return _one_line(str(error)) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and what is in groups among them; nearest first."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        waiting.extend((one.__cause__, one.__context__))


def _one_line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in text[:_LENGTH_MAX])
    return " ".join(line.split()).rstrip(".")
