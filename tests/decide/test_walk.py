"""Walks through everything that can happen, each law checked after every step (`walk.Walk`).

Each seed is one walk, the same in every run; a failure prints its seed and the trail.
"""

from __future__ import annotations

import pytest

from tests.decide.walk import Walk

STEPS = 150


def walk(seed: int, steps: int) -> None:
    made = Walk(seed, compares=seed % 3 > 0, fenced=seed % 2 > 0)
    try:
        made.go(steps)
        made.trail.append("heal")
        made.heal()
    except AssertionError as failed:
        trail = ", ".join(made.trail[-40:])
        raise AssertionError(f"seed {seed}, step {len(made.trail)}: {failed}\n{trail}") from failed


@pytest.mark.parametrize("tens", range(5))
def test_walks(tens: int) -> None:
    for seed in range(tens * 10, tens * 10 + 10):
        walk(seed, STEPS)


@pytest.mark.long
def test_long_walks() -> None:
    for seed in range(1000, 3000):
        walk(seed, 600)
