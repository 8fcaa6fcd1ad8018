"""What foreign errors mean: the endpoint's answer, or our own trouble."""

from __future__ import annotations

import errno

import pytest

from dnslb.model.report import MESSAGE_LENGTH_MAX
from dnslb.sources.checks.result import failed_at_once, failed_later, not_checked, timed_out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ECONNREFUSED, "connection refused"),
        (errno.ETIMEDOUT, "timed out"),
        (errno.ECONNRESET, "connection reset"),
    ],
)
def test_what_the_endpoint_says_is_its_answer_at_any_time(code: int, message: str) -> None:
    assert failed_at_once(code)[:2] == failed_later(code)[:2] == (False, message)


@pytest.mark.parametrize(
    "code",
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.ENETDOWN,
    ],
)
def test_what_this_machine_lacks_is_never_down(code: int) -> None:
    for result in (failed_at_once(code), failed_later(code)):
        assert result.healthy is None
        assert result.message.startswith("not checked: this ")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EHOSTUNREACH, "no route to host"),
        (errno.ENETUNREACH, "network is unreachable"),
        # ICMPv6 "administratively prohibited" arrives as EACCES.
        (errno.EACCES, "refused by a firewall on the way"),
    ],
)
def test_who_says_that_there_is_no_way_decides(code: int, message: str) -> None:
    assert failed_later(code)[:2] == (False, message)
    assert failed_at_once(code).healthy is None


@pytest.mark.parametrize(
    "code", [errno.EAFNOSUPPORT, errno.EPERM, errno.EINVAL, errno.EAGAIN, errno.EADDRINUSE, 9999]
)
def test_what_fails_before_anything_was_sent_is_ours(code: int) -> None:
    assert failed_at_once(code).healthy is None


def test_an_unheard_of_error_later_is_the_endpoints() -> None:
    assert failed_later(errno.EPROTO)[:2] == (False, "protocol error")


def test_sentences_are_short_and_steady() -> None:
    assert timed_out(1.0).message == "timed out after 1 s"
    assert timed_out(0.25).message == "timed out after 0.25 s"
    assert len(not_checked("x" * 1000).message) <= MESSAGE_LENGTH_MAX
