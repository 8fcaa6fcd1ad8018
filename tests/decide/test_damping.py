"""How long a verdict must stand: cooldown, its ceiling, and how it wears off."""

from __future__ import annotations

import pytest

from dnslb.decide.damping import FLAP_WINDOW_S, UP_AFTER_S_MAX, Damper
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Policy

START = Now(1000.0, 1000.0, 1_700_000_000.0)


def flapped(policy: Policy, times: int) -> tuple[Damper, Now]:
    """Lives, and is lost and returns ``times`` times, each as soon as it may."""
    damper, now = Damper(), START
    damper.turn("up", now)
    damper.settle(policy, True, now)
    for _ in range(times):
        now = now.later(1)
        damper.turn("down", now)
        damper.settle(policy, True, now)
        now = now.later(1)
        damper.turn("up", now)
        if (due := damper.settle(policy, False, now)) is not None:
            now = now.later(due - now.mono)
            assert damper.settle(policy, False, now) is None
    return damper, now


@pytest.mark.parametrize("up_after", [0.5, 3.0, 60.0, 200.0])
def test_the_ceiling_is_reached_and_wears_off_in_ten_minutes(up_after: float) -> None:
    """However often it flapped: ten quiet minutes halve the wait, from the ceiling as well."""
    policy = Policy(up_after_s=up_after)
    damper, now = flapped(policy, 40)
    assert damper.up_after_s(policy, now.mono) == UP_AFTER_S_MAX
    halved = damper.up_after_s(policy, now.mono + FLAP_WINDOW_S)
    assert UP_AFTER_S_MAX / 2 <= halved < UP_AFTER_S_MAX or halved == up_after
    assert damper.up_after_s(policy, now.mono + 20 * FLAP_WINDOW_S) == up_after


@pytest.mark.parametrize("up_after", [0.0, 300.0, 3600.0])
def test_the_ceiling_does_not_shorten_what_was_asked_for(up_after: float) -> None:
    policy = Policy(up_after_s=up_after)
    damper, now = flapped(policy, 40)
    assert damper.up_after_s(policy, now.mono) == up_after


def test_the_first_publication_is_not_a_return() -> None:
    policy = Policy()
    damper, now = flapped(policy, 1)
    assert damper.flap_count(now.mono) == 0
    damper.turn("down", now.later(1))
    damper.settle(policy, True, now.later(1))
    assert damper.flap_count(now.mono + 1) == 1


def test_unknown_is_neither_a_loss_nor_a_return() -> None:
    policy = Policy()
    damper, now = flapped(policy, 1)
    for state in ("unknown", "up") * 20:
        now = now.later(1)
        damper.turn(state, now)
        damper.settle(policy, True, now)
    assert damper.flap_count(now.mono) == 0


def test_what_stands_in_dns_lives_as_soon_as_it_is_up() -> None:
    damper = Damper()
    damper.turn("up", START)
    assert damper.settle(Policy(), True, START) is None
    assert damper.standing == "living"
