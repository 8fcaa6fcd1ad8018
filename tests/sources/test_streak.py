"""The table in the header of streak.py, row by row."""

from __future__ import annotations

import pytest

from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.sources.streak import Streak


def votes(results: str, *, rise: int = 2, fall: int = 2) -> str:
    """``+`` good, ``-`` bad, ``?`` proves nothing; back come u(p), d(own), ``?`` after each."""
    streak = Streak(rise, fall)
    words = {UP: "u", DOWN: "d", UNKNOWN: "?"}
    told = ""
    for result in results:
        {"+": streak.good, "-": streak.bad, "?": streak.lost}[result]()
        told += words[streak.vote]
    return told


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("+", "u"),  # the very first good check votes up at once
        ("-", "?"),  # the very first bad one does not vote down
        ("--", "?d"),
        ("-+", "?u"),
        ("+-", "uu"),
        ("+--", "uud"),
        ("+-+-+-", "uuuuuu"),  # not in a row
        ("--+", "?dd"),
        ("--++", "?ddu"),
        ("--+-++", "?ddddu"),
        ("+?", "u?"),
        ("+?+", "u?u"),
        ("+?-", "u??"),
        ("+?--", "u??d"),
        ("+-?-", "uu??"),  # a check that proves nothing ends the row
        ("--?+", "?d??"),  # and forgives nothing
        ("--?++", "?d??u"),
        ("--?+?++", "?d????u"),
        ("?", "?"),
        ("?+", "?u"),
    ],
)
def test_rise_2_fall_2(results: str, expected: str) -> None:
    assert votes(results) == expected


def test_rise_and_fall_of_one_turn_at_once() -> None:
    assert votes("-+-+", rise=1, fall=1) == "dudu"


def test_long_rows() -> None:
    assert votes("+----", fall=4) == "uuuud"
    assert votes("--++++", rise=4) == "?ddddu"


def test_is_failing_while_the_next_check_may_tip_the_vote() -> None:
    streak = Streak(rise=2, fall=3)
    told = []
    for turn in (streak.bad, streak.good, streak.bad, streak.bad, streak.bad, streak.bad):
        turn()
        told.append(streak.is_failing)
    assert told == [True, False, True, True, False, False]
    streak.lost()
    assert not streak.is_failing
