"""Five hundred runs of instances in trouble: never may two write, and they go on after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dnslb.election.kubernetes_lease import LeaseContest
from tests.election import kubernetes_ablations as ablations
from tests.election.kubernetes_town import LONG, SHORT, Plan, Town


def plans(first: int, count: int) -> Iterator[Plan]:
    """Two or three instances; in every fourth run one of them is as client-go's."""
    for seed in range(first, first + count):
        go = seed % 4 == 3
        yield Plan(seed, size=2 + seed % 2, go=go, timing=LONG if seed % 8 == 7 else SHORT)


def run(plan: Plan, kind: type[Town] = Town) -> Town:
    town = kind(plan)
    try:
        town.run()
        assert town.holders(), "nobody may write although all has been well for long"
    except BaseException as e:
        e.add_note(f"repeat with: run({plan!r})")
        e.add_note("\n".join(town.trail[-40:]))
        raise
    return town


def test_never_two_and_always_one_after_it() -> None:
    holdings = 0
    for plan in plans(0, 500):
        holdings += len(run(plan).holdings)
    # The runs are worth something: the Lease changed hands often.
    assert holdings > 1000


def test_a_run_repeats_exactly() -> None:
    first, again = (run(Plan(7, size=3)).trail for _ in range(2))
    assert first == again


@pytest.mark.parametrize("left_out", ablations.ALL, ids=lambda kind: kind.__name__)
def test_each_rule_is_needed(left_out: type[LeaseContest]) -> None:
    class Ablated(Town):
        contest = left_out

    def run_all() -> None:
        for plan in plans(0, 500):
            Ablated(plan).run()

    with pytest.raises(AssertionError, match=r"may write (at once|again)"):
        run_all()
