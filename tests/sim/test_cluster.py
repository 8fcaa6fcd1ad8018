"""Clusters in trouble, by seed: Raft's properties hold, and never do two members hold a lease.

A failure says how to repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.journal import BrokenLog
from tests.sim import ablations
from tests.sim.chaos import Chaos, Plan
from tests.sim.oracle import Broken


def plans(first: int, count: int, trouble_s: float) -> Iterator[Plan]:
    """Three to seven nodes, half of the runs with changes of members, a third on a rude network."""
    for seed in range(first, first + count):
        yield Plan(
            seed,
            size=3 + seed % 5,
            trouble_s=trouble_s,
            members=seed % 2 == 1,
            rude=seed % 3 == 0,
        )


def run(plan: Plan) -> Chaos:
    chaos = Chaos(plan)
    try:
        chaos.run()
    except BaseException as e:
        e.add_note(f"repeat with: run({plan!r})")
        e.add_note("; ".join(chaos.cluster.trail[-25:]))
        raise
    return chaos


@pytest.mark.parametrize("part", range(6))
def test_a_cluster_in_trouble(part: int) -> None:
    elections = acknowledged = leases = 0
    for plan in plans(part * 10, 10, 15.0):
        oracle = run(plan).cluster.oracle
        elections += oracle.elections
        acknowledged += len(oracle.acknowledged)
        leases += oracle.leases
    # The runs are worth something: there was something to break.
    assert elections > 40
    assert acknowledged > 800
    assert leases > 5000


def test_a_run_repeats_exactly() -> None:
    first, again = (run(Plan(7, members=True, rude=True)) for _ in range(2))
    assert first.cluster.trail == again.cluster.trail
    assert first.picture() == again.picture()


def test_who_lost_its_directory_comes_back_only_by_being_removed_and_added() -> None:
    chaos = run(Plan(17, size=5, trouble_s=20.0, members=True))
    assert chaos.wiped is not None
    assert f"remove_server {chaos.wiped}, then add_voter" in "".join(chaos.cluster.refusals)


# The seeds were searched for; a rule whose absence shows in one of some thousand runs only is
# tried by hand (tests/election/raft).
CAUGHT = {
    "1.3 acknowledging is promising": Plan(
        4, size=7, trouble_s=15.0, member=ablations.PromisesNothing
    ),
    "1.4 a vote carries what is left of a promise": Plan(
        45, trouble_s=15.0, rude=True, member=ablations.WaitsForNobody
    ),
    "1.5 a released lease is over": Plan(
        94, size=7, trouble_s=15.0, member=ablations.WritesOnAfterRelease
    ),
    "5.0 one change of members at a time": Plan(
        2, trouble_s=15.0, members=True, burst=3, member=ablations.ManyChangesAtOnce
    ),
    "defect 2: what fits stays": Plan(20, size=3, trouble_s=15.0, member=ablations.TruncatesAlways),
    "defect 6: only what was verified is committed": Plan(
        2, trouble_s=15.0, member=ablations.CommitsWhatIsNotVerified
    ),
    "5.1 synced is durable": Plan(6, size=4, trouble_s=15.0, rude=True, lazy_disks=4),
}


@pytest.mark.parametrize("rule", CAUGHT)
def test_each_rule_is_needed(rule: str) -> None:
    with pytest.raises((Broken, BrokenLog)):
        Chaos(CAUGHT[rule]).run()
    # The same run with the rule finds nothing: it is the rule that counts.
    run(replace(CAUGHT[rule], member=RaftMember, lazy_disks=0))


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_many_clusters_in_trouble(part: int) -> None:
    for plan in plans(10_000 + part * 100, 100, 40.0):
        run(plan)
