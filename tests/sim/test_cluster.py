"""Clusters in trouble, by seed: Raft's properties hold, and never do two members hold a lease.

A failure says how to repeat it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.journal import BrokenLog, Journal
from tests.sim import ablations
from tests.sim.chaos import Chaos, Plan
from tests.sim.oracle import Broken


def plans(first: int, count: int, trouble_s: float) -> Iterator[Plan]:
    """Three to seven nodes, half of the runs with changes of members, a third on a rude network,
    half of all of that in more trouble, a quarter with members of different profiles."""
    for seed in range(first, first + count):
        yield Plan(
            seed,
            size=3 + seed % 5,
            trouble_s=trouble_s,
            members=seed % 2 == 1,
            rude=seed % 3 == 0,
            fault_s=(0.6, 0.3)[seed // 30 % 2],
            mixed=seed // 30 % 4 == 3,
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


@pytest.mark.parametrize("part", range(15))
def test_a_cluster_in_trouble(part: int) -> None:
    elections = acknowledged = leases = 0
    faults = Counter[str]()
    for plan in plans(part * 50, 50, 15.0):
        chaos = run(plan)
        oracle = chaos.cluster.oracle
        elections += oracle.elections
        acknowledged += len(oracle.acknowledged)
        leases += oracle.leases
        faults += chaos.faults
    # The runs are worth something: there was something to break, and all was tried to break it.
    assert elections > 150
    assert acknowledged > 10_000
    assert leases > 15_000
    assert len(faults) == 14
    assert min(faults.values()) > 30


def test_a_run_repeats_exactly() -> None:
    first, again = (run(Plan(7, members=True, rude=True)) for _ in range(2))
    assert first.cluster.trail == again.cluster.trail
    assert first.picture() == again.picture()


def test_who_lost_its_directory_comes_back_only_by_being_removed_and_added() -> None:
    chaos = run(Plan(20, size=5, trouble_s=20.0, members=True))
    assert chaos.wiped is not None
    assert f"remove_server {chaos.wiped}, then add_voter" in "".join(chaos.cluster.refusals)


# The seeds were searched for; a rule whose absence shows in one of some thousand runs only is
# tried by hand (tests/election/raft).
SHORT = partial(Plan, trouble_s=15.0)
CAUGHT = {
    "1.2 an answer counts for its round": SHORT(2, member=ablations.BelievesLateAnswers),
    "1.3 acknowledging is promising": SHORT(0, size=3, rude=True, member=ablations.PromisesNothing),
    "1.3 a start is a promise": SHORT(0, size=3, rude=True, member=ablations.StartsWithoutPromise),
    "1.3 the longest lease is durable": SHORT(
        292, size=3, mixed=True, fault_s=0.3, journal=ablations.ForgetsTheLongestLease
    ),
    "1.4 a vote carries what is left of a promise": SHORT(
        0, size=3, rude=True, member=ablations.WaitsForNobody
    ),
    "1.5 a released lease is over": SHORT(4, size=7, member=ablations.WritesOnAfterRelease),
    "1.6 haste is no release": SHORT(2, member=ablations.ForgetsPromisesAtTheEndOfAStream),
    "5.0 one change of members at a time": SHORT(
        4, size=7, members=True, burst=3, member=ablations.ManyChangesAtOnce
    ),
    "5.1 synced is durable": SHORT(0, size=3, rude=True, lazy_disks=4),
    "5.1 first the disk, then frames": SHORT(0, size=3, member=ablations.SpeaksBeforeItsDisk),
    "5.2 a lost directory is another member": SHORT(
        108, size=7, members=True, mixed=True, fault_s=0.3, forgets_names=True
    ),
    "a vote is durable": SHORT(0, size=3, journal=ablations.VotesAgain),
    "defect 2: what fits stays": SHORT(11, size=4, members=True, member=ablations.TruncatesAlways),
    "defect 6: only what was verified is committed": SHORT(
        0, size=3, rude=True, member=ablations.CommitsWhatIsNotVerified
    ),
    "defect 7: the newest configuration is in force": SHORT(
        51, size=4, members=True, rude=True, fault_s=0.3, journal=ablations.ForgetsWhoIsJoining
    ),
    "defect 8: a vote counts once": SHORT(192, rude=True, member=ablations.CountsVotesTwice),
    "defect 11: an old snapshot is skipped": SHORT(
        6, size=4, rude=True, member=ablations.TakesOldSnapshots
    ),
}


@pytest.mark.parametrize("rule", CAUGHT)
def test_each_rule_is_needed(rule: str) -> None:
    with pytest.raises((Broken, BrokenLog)):
        Chaos(CAUGHT[rule]).run()
    # The same run with the rule finds nothing: it is the rule that counts.
    whole = replace(CAUGHT[rule], member=RaftMember, journal=Journal)
    run(replace(whole, lazy_disks=0, forgets_names=False))


@pytest.mark.long
@pytest.mark.parametrize("part", range(40))
def test_many_clusters_in_trouble(part: int) -> None:
    for plan in plans(10_000 + part * 100, 100, 40.0):
        run(plan)
