"""What a check says, and foreign errors turned into it: the one place where that is decided.

Law: the same failure always has the same text, since a text that changes makes news of nothing;
and what this machine lacks is "not checked" (``healthy`` None), never "down".
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple, Protocol

from dnslb.model.report import bounded_message


class CheckResult(NamedTuple):
    """``healthy`` None: the check proves nothing, for a reason that lies with us."""

    healthy: bool | None
    message: str
    duration_s: float = 0.0


class Flight(Protocol):
    """A check under way, as its starter holds it."""

    def cancel(self) -> None: ...


class CheckFailed(Exception):
    """Carries the result of a check that cannot go on, inside this package."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result.message)
        self.result = result


SUCCESS = CheckResult(True, "success")
NOTHING_ASKED = CheckResult(True, "unknown")
"""Protocol ``none``, in healthagent's word."""

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ECONNABORTED: "connection aborted",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.EHOSTDOWN: "host is down",
    errno.ENETUNREACH: "network is unreachable",
    errno.EACCES: "refused by a firewall on the way",
    errno.ETIMEDOUT: "timed out",
}
_LOCAL_WORDS = {
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
    errno.ENOBUFS: "this machine has no network buffer left",
    errno.ENOMEM: "this machine has no memory left",
    errno.EADDRNOTAVAIL: "this machine has no local port or address left",
    errno.EADDRINUSE: "this machine has no local port or address left",
    errno.EAGAIN: "this machine has no local port or address left",
    errno.ENETDOWN: "this machine's network is down",
    errno.ENETUNREACH: "this machine has no route to it",
    errno.EHOSTUNREACH: "this machine has no route to it",
    errno.EINVAL: "this machine's routes forbid it",
    errno.EACCES: "this machine's firewall or routes forbid it",
    errno.EPERM: "this machine's firewall forbids it",
    errno.EAFNOSUPPORT: "this machine does not speak that kind of address",
}
# What the other side can make of an attempt before `connect` returns. All else that fails there
# never left this machine: connect(2) reports our routes, filters and lack of ports at once, and
# what a host or router on the way says only later, through SO_ERROR.
_REMOTE_AT_ONCE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT})
_LOCAL_LATER = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETDOWN}
)


def failed_at_once(code: int) -> CheckResult:
    """For an errno of ``socket`` or of ``connect`` itself."""
    return _remote(code) if code in _REMOTE_AT_ONCE else _local(code)


def failed_later(code: int) -> CheckResult:
    """For an errno of a connection under way or made."""
    return _local(code) if code in _LOCAL_LATER else _remote(code)


def timed_out(timeout_s: float) -> CheckResult:
    return CheckResult(False, f"timed out after {timeout_s:g} s")


def not_checked(why: str) -> CheckResult:
    return CheckResult(None, bounded_message(f"not checked: {why}"))


def _remote(code: int) -> CheckResult:
    return CheckResult(False, _WORDS.get(code) or os.strerror(code).lower())


def _local(code: int) -> CheckResult:
    return not_checked(_LOCAL_WORDS.get(code) or os.strerror(code).lower())
