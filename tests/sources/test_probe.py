"""One probe alone: when it follows up, what it makes up for, and what it says."""

from __future__ import annotations

import pytest

from dnslb.model.loadbalancer import Monitor
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.sources.checks.result import SUCCESS, CheckResult, not_checked
from dnslb.sources.probe import NEVER, NOT_CHECKED_LATELY, NOT_CHECKED_YET, Probe

BAD = CheckResult(False, "connection refused")
LOCAL = not_checked("no file descriptor left")


def probe(**options: float) -> Probe:
    return Probe(Monitor("tcp", "192.0.2.1", 80, **options), 0.5, 100.0)  # type: ignore[arg-type]


def checked(it: Probe, result: CheckResult, at: float, took_s: float = 0.0) -> None:
    it.start(at, at)
    it.land(at + took_s)
    it.judge(result, at + took_s)


def test_its_first_turn_is_its_place_in_the_interval() -> None:
    assert probe(interval_s=10).next_at == 105.0


@pytest.mark.parametrize(("interval_s", "follow_s"), [(0.5, 0.05), (1.0, 0.1), (10.0, 0.2)])
def test_the_check_after_a_failure_follows_at_once(interval_s: float, follow_s: float) -> None:
    it = probe(interval_s=interval_s)
    at = it.next_at
    checked(it, BAD, at, took_s=0.01)
    assert it.next_at == pytest.approx(at + 0.01 + follow_s)
    checked(it, BAD, it.next_at)
    assert it.streak.vote == DOWN
    assert it.next_at == pytest.approx(at + interval_s)


def test_follow_ups_go_on_until_fall_or_a_good_check() -> None:
    it = probe(fall=4)
    at = it.next_at
    checked(it, BAD, at)
    checked(it, BAD, it.next_at)
    assert it.next_at == pytest.approx(at + 0.2)
    checked(it, SUCCESS, it.next_at)
    assert it.next_at == pytest.approx(at + 1.0)


def test_good_checks_after_down_do_not_hurry() -> None:
    it = probe(rise=3)
    at = it.next_at
    checked(it, BAD, at)
    checked(it, BAD, it.next_at)
    checked(it, SUCCESS, it.next_at)
    assert it.next_at == pytest.approx(at + 2.0)


def test_a_follow_up_does_not_come_after_the_next_turn() -> None:
    it = probe(timeout_s=0.95)
    checked(it, BAD, it.next_at, took_s=0.95)
    assert it.next_at == pytest.approx(101.5)


def test_what_proves_nothing_is_not_followed_up() -> None:
    it = probe()
    checked(it, LOCAL, it.next_at)
    assert it.next_at == pytest.approx(101.5)
    assert (it.streak.vote, it.message) == (UNKNOWN, "not checked: no file descriptor left")


def test_a_turn_that_comes_during_a_check_is_taken_when_that_ends() -> None:
    it = probe(timeout_s=3.0)
    it.start(100.5, 100.5)
    assert it.pass_turn(101.5) == 0
    assert it.pass_turn(102.5) == 1
    it.land(103.2)
    assert it.next_at == 103.2
    assert it.start(103.2, 103.2) == 0
    assert it.next_at == 103.5


def test_in_flight_from_start_to_landing() -> None:
    it = probe(timeout_s=2.0)
    told = [(it.in_flight, it.deadline_at)]
    it.start(100.5, 100.5)
    told.append((it.in_flight, it.deadline_at))
    it.land(101.0)
    told.append((it.in_flight, it.deadline_at))
    assert told == [(False, NEVER), (True, 102.5), (False, NEVER)]


def test_messages_say_why_the_vote_is_not_up() -> None:
    it = probe()
    assert it.message == NOT_CHECKED_YET
    told = []
    timed_out = CheckResult(False, "timed out after 1 s")
    for result in (BAD, SUCCESS, BAD, timed_out, SUCCESS, SUCCESS):
        checked(it, result, it.next_at)
        told.append((it.streak.vote, it.message))
    assert told == [
        (UNKNOWN, "connection refused"),
        (UP, ""),
        (UP, ""),
        (DOWN, "timed out after 1 s"),
        (DOWN, "timed out after 1 s"),
        (UP, ""),
    ]


def test_a_vote_that_nothing_renews_is_given_up() -> None:
    it = probe(interval_s=10, timeout_s=2)
    checked(it, SUCCESS, 105.0)
    assert not it.forget_if_older(45.0, 105.0 + 57.0)
    assert it.forget_if_older(45.0, 105.0 + 57.1)
    assert (it.streak.vote, it.message) == (UNKNOWN, NOT_CHECKED_LATELY)
    assert not it.forget_if_older(45.0, 105.0 + 60.0)
