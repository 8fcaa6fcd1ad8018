"""The checks ``http`` and ``https``: GET over a fresh connection; the status code decides.

Redirects are not followed (they would lead to names, and to DNS); nothing of the body is waited
for. Over TLS the certificate must be for the monitor's address, or for its host header.

Law: an answer's head is bounded; what cannot be read as HTTP is a failed check, never an error.
"""

from __future__ import annotations

import errno
import socket
import ssl

import h11
import trio

from dnslb import __version__
from dnslb.model.loadbalancer import DEFAULT_PATH, Monitor
from dnslb.model.report import bounded_message
from dnslb.net.tls import handshake_sentence
from dnslb.sources.checks import tcp
from dnslb.sources.checks.result import (
    SUCCESS,
    CheckFailed,
    CheckResult,
    failed_later,
    not_checked,
)

HEAD_BYTES_MAX = 16_384
INTERIM_MAX = 8
_CHUNK = 4096
_HUNG_UP = CheckResult(False, "hung up before answering")
_HUNG_UP_CODES = frozenset({errno.ECONNRESET, errno.EPIPE})
_REFUSED_CERTIFICATE = "the peer's certificate is refused: "

_Stream = trio.abc.Stream


async def check(monitor: Monitor, context: ssl.SSLContext | None = None) -> CheckResult:
    """Whether the answer's status code is one of those expected; without a time-out.

    ``context``: https; it has to verify what the server shows.
    """
    try:
        sock = await tcp.connect(monitor)
        try:
            return await _ask(monitor, sock, context)
        except OSError as error:
            return _failed(error)
        except trio.BrokenResourceError as error:
            return _broken(error)
        finally:
            sock.close()
    except CheckFailed as failure:
        return failure.result


async def _ask(
    monitor: Monitor, sock: socket.socket, context: ssl.SSLContext | None
) -> CheckResult:
    plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    stream = plain if context is None else await _handshake(monitor, plain, context)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    request = h11.Request(
        method="GET",
        target=monitor.path or DEFAULT_PATH,
        headers=[
            ("Host", monitor.host_header or monitor.host_port),
            ("User-Agent", f"dnslb/{__version__}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ],
    )
    await stream.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
    status = await _status(connection, stream)
    low, high = monitor.expect
    # healthagent's sentence, to the letter: dashboards and people know it.
    return SUCCESS if low <= status <= high else CheckResult(False, f"status code is `{status}`")


async def _status(connection: h11.Connection, stream: _Stream) -> int:
    """The final status code; interim answers (RFC 9110 15.2) are passed over."""
    interim = 0
    try:
        while interim <= INTERIM_MAX:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some(_CHUNK)
                if not data:
                    raise CheckFailed(_HUNG_UP)
                connection.receive_data(bytes(data))
            elif isinstance(event, h11.Response):
                return event.status_code
            elif isinstance(event, h11.InformationalResponse):
                interim += 1
            else:
                break
    except h11.RemoteProtocolError as error:
        if error.error_status_hint == 431:
            text = f"the answer's head is longer than {HEAD_BYTES_MAX} bytes"
            raise CheckFailed(CheckResult(False, text)) from error
        raise CheckFailed(CheckResult(False, "the answer is not HTTP")) from error
    raise CheckFailed(CheckResult(False, "the answer is not HTTP"))


async def _handshake(
    monitor: Monitor, plain: trio.SocketStream, context: ssl.SSLContext
) -> _Stream:
    try:
        encrypted = trio.SSLStream(
            plain, context, server_hostname=server_name(monitor), https_compatible=True
        )
    except (ValueError, UnicodeError) as error:
        text = f"host-header {monitor.host_header!r} cannot be a TLS server name"
        raise CheckFailed(not_checked(text)) from error
    await encrypted.do_handshake()
    return encrypted


def server_name(monitor: Monitor) -> str:
    """Whom the certificate must be for. Python sends it as SNI unless it is an address."""
    if monitor.host_header is None:
        return monitor.host
    name = monitor.host_header
    if name.startswith("["):
        return name[1:].partition("]")[0]
    host, colon, port = name.rpartition(":")
    return host if colon and port.isdecimal() and ":" not in host else name


def _broken(error: trio.BrokenResourceError) -> CheckResult:
    """A connection that failed under a stream, whose own words say nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLEOFError):
            return _HUNG_UP
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = handshake_sentence(cause).removeprefix(_REFUSED_CERTIFICATE)
            return CheckResult(False, bounded_message(f"certificate: {why}"))
        if isinstance(cause, ssl.SSLError):
            return CheckResult(False, bounded_message(handshake_sentence(cause)))
        if isinstance(cause, OSError):
            return _failed(cause)
        cause = cause.__cause__ or cause.__context__
    return _HUNG_UP


def _failed(error: OSError) -> CheckResult:
    # Whether a close arrives as an end or as a reset hangs on what was still unread over there.
    return _HUNG_UP if error.errno in _HUNG_UP_CODES else failed_later(error.errno or 0)
