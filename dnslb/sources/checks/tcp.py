"""The check ``tcp``: a connection is made, and dropped. Also how http and https connect.

In three steps (`begin`, wait until writable, `finish`), so that a caller with thousands of
checks can wait for all of them at once (`checker.py`).

Law: every socket is closed at once, with a reset. A close in good order would leave it in
TIME_WAIT for a minute: at a thousand checks a second more than there are local ports. HAProxy
and Kubernetes drop their tcp checks the same way.
"""

from __future__ import annotations

import errno
import socket
import struct

import trio

from dnslb.model.loadbalancer import Monitor
from dnslb.sources.checks.result import (
    SUCCESS,
    CheckFailed,
    CheckResult,
    failed_at_once,
    failed_later,
)

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger, socket(7)
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
# Reported for a connection that was made, then reset: one that was refused says ECONNREFUSED.
# Whether the reset is seen before we look is luck, and a vote must not hang on that.
_MADE_THEN_RESET = frozenset({errno.ECONNRESET, errno.EPIPE})
_UNPRIVILEGED = 1024


def begin(host: str, port: int) -> socket.socket:
    """A socket whose connection is under way; `finish` it once it is writable, then close it.

    ``host`` is an address. Raises `CheckFailed`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, _STREAM)
    except OSError as error:
        raise CheckFailed(failed_at_once(error.errno or 0)) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        code = sock.connect_ex((host, port))
    except OSError as error:
        sock.close()
        raise CheckFailed(failed_at_once(error.errno or 0)) from error
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        raise CheckFailed(failed_at_once(code))
    return sock


def finish(sock: socket.socket, port: int) -> CheckResult:
    """What became of the connection of a socket that is writable now."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code and code not in _MADE_THEN_RESET:
        return failed_later(code)
    if port >= _UNPRIVILEGED and _is_own_echo(sock, port):
        return failed_later(errno.ECONNREFUSED)
    return SUCCESS


def _is_own_echo(sock: socket.socket, port: int) -> bool:
    """Whether the socket is connected to itself: for a dead endpoint on this machine, whose port
    the kernel happened to choose as ours too (simultaneous open, RFC 9293 3.5)."""
    try:
        own = sock.getsockname()
        return bool(own[1] == port and own == sock.getpeername())
    except OSError:
        return False


async def connect(monitor: Monitor) -> socket.socket:
    """A connected socket, which the caller closes. Raises `CheckFailed`."""
    sock = begin(monitor.host, monitor.port)
    try:
        await trio.lowlevel.wait_writable(sock)
        result = finish(sock, monitor.port)
        if not result.healthy:
            raise CheckFailed(result)
    except BaseException:
        sock.close()
        raise
    return sock


async def check(monitor: Monitor) -> CheckResult:
    """Whether a connection can be made; without a time-out."""
    try:
        sock = await connect(monitor)
    except CheckFailed as failure:
        return failure.result
    sock.close()
    return SUCCESS
