"""What must hold in every run: Raft's five properties, and one writer at a time by true time.

Shares no code with what it judges. It sees all members at once, which nobody in a cluster can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster, Node


class Broken(AssertionError):
    """A property does not hold."""


class Oracle:
    """``committed``: index → (term, command) as first committed anywhere, and in which term."""

    def __init__(self) -> None:
        self.leaders: dict[int, str] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.committed_in: dict[int, int] = {}
        self.applied: list[int] = []
        self.acknowledged: dict[int, int] = {}
        self.proposed: dict[tuple[str, int, int], int] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self.leases = 0
        self.elections = 0
        self._seen: dict[str, int] = {}
        self._leading: dict[str, int] = {}

    def started(self, one: str, member: RaftMember) -> None:
        self._seen[one] = 1
        self.spans.pop(one, None)
        self._leading.pop(one, None)

    def stopped(self, one: str) -> None:
        self.spans.pop(one, None)

    def event(self, cluster: Cluster, node: Node, member: RaftMember, effects: Effects) -> None:
        self._check_election(node, member)
        self._check_commits(node, member)
        self._check_machine(node)
        self._check_lease(cluster, node, member)
        for finished in effects.finished:
            key = (node.id, node.starts, finished.ticket)
            number = self.proposed.pop(key)
            if finished.outcome == "applied" and number >= 0:
                self.acknowledged[number] = finished.index

    def _check_election(self, node: Node, member: RaftMember) -> None:
        if member.role != "leader" or self._leading.get(node.id) == member.term:
            return
        self._leading[node.id] = member.term
        self.elections += 1
        first = self.leaders.setdefault(member.term, node.id)
        if first != node.id:
            raise Broken(f"{first} and {node.id} both lead term {member.term}")
        journal = member.journal
        for index, (term, command) in self.committed.items():
            if index < journal.first or self.committed_in[index] >= member.term:
                continue
            entry = journal.entries[index - journal.first] if index <= journal.last else None
            # The first entry of a log may stand for a snapshot: its command is not kept.
            if (
                entry is None
                or entry.term != term
                or (entry.command != command and index > journal.first)
            ):
                raise Broken(f"{node.id} leads {member.term} without committed entry {index}")

    def _check_commits(self, node: Node, member: RaftMember) -> None:
        journal, seen, commit = member.journal, self._seen.get(node.id, 1), member.commit
        if commit > journal.last:
            raise Broken(f"{node.id} has committed {commit} of {journal.last}")
        for index in range(max(seen + 1, journal.first + 1), commit + 1):
            entry = journal.entries[index - journal.first]
            mine = (entry.term, entry.command)
            theirs = self.committed.setdefault(index, mine)
            self.committed_in.setdefault(index, member.term)
            if mine != theirs:
                raise Broken(f"{node.id} commits another entry {index} than was committed")
        self._seen[node.id] = max(seen, commit)

    def _check_machine(self, node: Node) -> None:
        mine = node.machine.numbers
        common = min(len(mine), len(self.applied))
        # All before was compared when it was applied, but for what a snapshot brought.
        if mine[:common] != self.applied[:common]:
            raise Broken(f"{node.id} applied something else: {mine[-5:]}")
        if len(mine) > common:
            self.applied.extend(mine[common:])

    def _check_lease(self, cluster: Cluster, node: Node, member: RaftMember) -> None:
        span = member.lease()
        if span is None:
            self.spans.pop(node.id, None)
            return
        begins, ends = node.true_s(span.begins_at), node.true_s(span.ends_at)
        self.spans[node.id] = (begins, ends)
        self.leases += begins <= cluster.true_s < ends
        for other, (other_begins, other_ends) in self.spans.items():
            if other == node.id:
                continue
            begin = max(begins, other_begins, cluster.true_s)
            if min(ends, other_ends) > begin + 1e-6:
                raise Broken(
                    f"{node.id} may write {begins:.3f} to {ends:.3f}, {other} {other_begins:.3f} "
                    f"to {other_ends:.3f}"
                )

    def final(self) -> None:
        """After healing: nothing that anybody was told is lost."""
        lost = [number for number in self.acknowledged if number not in set(self.applied)]
        if lost:
            raise Broken(f"acknowledged and lost: {lost[:5]}")
        if len(set(self.applied)) != len(self.applied):
            raise Broken("something was applied twice")
