"""The withdrawal guard alone: budgets, windows, the latch and what is remembered of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dnslb.decide.guard import Guard, Withdrawal
from dnslb.decide.settings import GuardSettings
from dnslb.model.instant import Now
from dnslb.model.rrset import RRsetKey
from tests.decide.world import World, balancer, settings

NOW = Now(1000.0, 1000.0, 1_700_000_000.0)


def withdrawal(lb: str, count: int, share: float = 1.0, living: bool = True) -> Withdrawal:
    key = RRsetKey(lb, "A")
    addresses = frozenset(f"{lb}-{i:03}" for i in range(count))
    return Withdrawal(lb, key, addresses, frozenset(), living, share)


@pytest.mark.parametrize("base", [1, 3, 10, 100, 1000])
def test_a_share_is_rounded_up_exactly(base: int) -> None:
    """7 % of 100 are 7, whatever binary fractions say."""
    for percent in range(100):
        asked = [withdrawal("w", base, percent / 100)]
        kept = Guard().judge(asked, {"w": base}, GuardSettings(1.0), NOW)
        exact = -(-Fraction(percent, 100) * base // 1)
        assert base - len(kept.get(RRsetKey("w", "A"), ())) == exact, percent


def test_who_keeps_a_living_endpoint_goes_first() -> None:
    asked = [withdrawal("a", 6, living=False), withdrawal("b", 6, living=True)]
    for order in (asked, asked[::-1]):
        guard = Guard()
        kept = guard.judge(order, {"a": 6, "b": 6}, GuardSettings(0.5), NOW)
        assert set(kept) == {RRsetKey("a", "A")}
        assert len(kept[RRsetKey("a", "A")]) == 6


def test_distinct_addresses_count() -> None:
    """One address that leaves, returns and leaves again is one withdrawal."""
    guard = Guard()
    once = [withdrawal("w", 1, 0.1)]
    for later in range(0, 60, 10):
        now = NOW.later(later)
        assert not guard.judge(once, {"w": 10}, GuardSettings(1.0, 60.0), now)
    both = [withdrawal("w", 2, 0.1)]
    assert guard.judge(both, {"w": 10}, GuardSettings(1.0, 60.0), NOW.later(59))


def test_a_window_ends_and_the_latch_does_not() -> None:
    guard = Guard()
    key = RRsetKey("w", "A")
    asked = [withdrawal("w", 4, 0.5)]
    held = guard.judge(asked, {"w": 4}, GuardSettings(1.0), NOW)[key]
    for later in (61, 200, 10_000, 10_000_000):
        rest = [asked[0]._replace(addresses=held)]
        assert guard.judge(rest, {"w": 2}, GuardSettings(1.0), NOW.later(later)) == {key: held}
    guard.release(key, held)
    assert guard.episode(key) is None


def test_memory_survives_with_its_age() -> None:
    """A successor has the same window, for the rest of it, and the same latch."""
    key = RRsetKey("w", "A")
    first = Guard()
    held = first.judge([withdrawal("w", 3, 0.5)], {"w": 4}, GuardSettings(1.0, 60.0), NOW)[key]
    memory = first.to_memory({}, NOW.later(10))
    for older, left in ((20.0, 0), (60.0, 2)):
        then = Guard()
        then.restore(memory, older, Now(5.0, 5.0, NOW.wall + 10 + older))
        assert then.episodes[key].addresses == held
        more = withdrawal("w", 4, 0.5)
        more = more._replace(addresses=frozenset(a + "x" for a in more.addresses))
        kept = then.judge([more], {"w": 4}, GuardSettings(1.0, 60.0), Now(5.0, 5.0, 0.0))
        assert len(more.addresses - kept[key]) == left


def test_zones_that_are_not_read_yet_count_with_what_we_left_there() -> None:
    """After a restart the first zone that answers must not be judged as if it were all: with
    eight addresses in it no share would hold, and every zone after it would be free too."""
    zones = tuple(f"z{i}.org" for i in range(5))
    lbs = [
        balancer(f"www.{zone}", *[f"192.0.{i}.{j}" for j in range(1, 9)])
        for i, zone in enumerate(zones)
    ]
    before = World(settings(*lbs), zones=zones).start()
    before.vote_all("up")
    before.wait(5)
    after = World(
        settings(*lbs),
        zones=zones,
        records=before.records,
        state=before.state,
        now=before.now.later(100),
    )
    after.hold_reads = True
    after.start(guard_age_s=100)
    after.vote_all({lb.addresses[j]: "down" if j < 7 else "up" for lb in lbs for j in range(8)})
    assert len(after.reads_held) == 5
    while after.reads_held:
        after.finish_read()
        after.wait(1)
    assert sum(len(values) for _, values in after.records.values()) == 20
