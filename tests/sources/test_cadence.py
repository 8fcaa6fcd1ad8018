"""Cadence alone: turns are spread, never drift, and are never made up for in a burst."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslb.sources.cadence import Cadence, phase


@pytest.mark.parametrize("count", [2, 3, 7, 10, 100, 1000, 5000])
def test_turns_lie_evenly_however_many_there_are(count: int) -> None:
    turns = sorted(phase(index) for index in range(count))
    gaps = [b - a for a, b in zip(turns, [*turns[1:], turns[0] + 1], strict=True)]
    assert max(gaps) < 2.7 / count
    assert all(0 <= turn < 1 for turn in turns)


def test_turns_do_not_drift() -> None:
    cadence = Cadence(0.7, 0.1)
    for number in range(100_000):
        assert cadence.next_at == 0.7 + number * 0.1
        cadence.take(cadence.next_at)


def test_a_late_start_delays_no_later_turn() -> None:
    cadence = Cadence(10.0, 1.0)
    assert cadence.take(10.9) == 0
    assert cadence.next_at == 11.0


def test_turns_that_passed_are_skipped_and_counted() -> None:
    cadence = Cadence(10.0, 1.0)
    assert cadence.take(13.5) == 3
    assert cadence.next_at == 14.0


def test_before_its_time_a_turn_is_not_used_up() -> None:
    cadence = Cadence(10.0, 1.0)
    assert cadence.take(9.999) == 0
    assert cadence.next_at == 10.0


@given(
    origin=st.floats(0, 1e6),
    interval=st.floats(0.1, 3600),
    waits=st.lists(st.floats(0, 10_000), max_size=20),
)
def test_the_next_turn_is_always_ahead_and_less_than_one_interval_away(
    origin: float, interval: float, waits: list[float]
) -> None:
    cadence, now = Cadence(origin, interval), origin
    used = 0
    for wait in waits:
        now += wait
        before = cadence.next_at
        skipped = cadence.take(now)
        used += skipped + (before <= now)
        assert now < cadence.next_at <= now + interval * (1 + 1e-9) or before > now
        assert cadence.next_at == origin + used * interval
