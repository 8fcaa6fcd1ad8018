"""The waits between attempts: their growth, their bounds, and luck's share."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslb.net.backoff import Backoff


def test_doubles_up_to_the_maximum() -> None:
    backoff = Backoff(first_s=1, max_s=10, factor=2, jitter=0)
    assert [backoff.delay_s(n, 0.3) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_luck_spreads_the_wait_by_the_jitter() -> None:
    backoff = Backoff(first_s=8, max_s=60, jitter=0.25)
    assert backoff.delay_s(1, 0.0) == 6
    assert backoff.delay_s(1, 0.5) == 7
    assert backoff.delay_s(1, 1.0) == 8


@given(attempt=st.integers(1, 10**9), luck=st.floats(0, 1))
def test_never_leaves_its_bounds(attempt: int, luck: float) -> None:
    backoff = Backoff(first_s=0.5, max_s=60, jitter=0.5)
    assert 0.25 <= backoff.delay_s(attempt, luck) <= 60


@pytest.mark.parametrize(
    "bad",
    [
        {"first_s": 0},
        {"first_s": 5, "max_s": 4},
        {"factor": 0.5},
        {"jitter": -0.1},
        {"jitter": 1.1},
    ],
)
def test_refuses_bounds_without_sense(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Backoff(**bad)


@pytest.mark.parametrize(("attempt", "luck"), [(0, 0.5), (1, -0.1), (1, 1.5)])
def test_refuses_arguments_without_sense(attempt: int, luck: float) -> None:
    with pytest.raises(ValueError, match=r"counted from 1|within 0 and 1"):
        Backoff().delay_s(attempt, luck)
