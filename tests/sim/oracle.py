"""What must hold in every run: Raft's five properties, and one writer at a time by true time.

Shares no code with what it judges. It sees all members at once, which nobody in a cluster can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects
from dnslb.election.raft.log import Entry
from dnslb.election.raft.messages import Append, Ask, Heard, Vote

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster, Node


class Broken(AssertionError):
    """A property does not hold."""


class Oracle:
    """``committed``: index → (term, command) as first committed anywhere, and in which term.
    ``entries``: all that any log ever held: (index, term) → command and the term before it."""

    def __init__(self) -> None:
        self.leaders: dict[int, str] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.committed_in: dict[int, int] = {}
        self.applied: list[int] = []
        self.acknowledged: dict[int, int] = {}
        self.proposed: dict[tuple[str, int, int], int] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self.entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        self.votes: dict[tuple[str, str, int], str] = {}
        self.messages = 0
        self.leases = 0
        self.elections = 0
        self._seen: dict[str, int] = {}
        self._leading: dict[str, int] = {}
        self._matches: dict[tuple[str, str], tuple[int, int]] = {}
        self._checked: dict[str, tuple[list[int], int]] = {}

    def started(self, node: Node, member: RaftMember) -> None:
        one, journal = node.id, member.journal
        self._seen[one] = 1
        self.spans.pop(one, None)
        self._leading.pop(one, None)
        self._checked[one] = ([], 0)
        self._check_log(node, member, journal.entries)

    def stopped(self, one: str) -> None:
        self.spans.pop(one, None)

    def event(self, cluster: Cluster, node: Node, member: RaftMember, effects: Effects) -> None:
        for batch in node.store.batches:
            self._check_log(node, member, batch.entries)
        node.store.batches.clear()
        if effects.frames:
            self._check_leaving(node, effects)
        self._check_election(node, member)
        self._check_commits(node, member)
        if member.role == "leader":
            self._check_matches(cluster, node, member)
        self._check_machine(node)
        self._check_lease(cluster, node, member)
        for finished in effects.finished:
            key = (node.id, node.starts, finished.ticket)
            number = self.proposed.pop(key)
            if finished.outcome == "applied" and number >= 0:
                self.acknowledged[number] = finished.index

    def _check_log(self, node: Node, member: RaftMember, entries: Sequence[Entry]) -> None:
        """Log matching: who has the same entry has the same before it; by induction all of it."""
        journal = member.journal
        for command, index, term in entries:
            before = journal.term_at(index - 1)
            # What stands at a snapshot's end has no command any more, and nothing before it.
            if before is None or journal.term_at(index) != term:
                continue
            if self.entries.setdefault((index, term), (command, before)) != (command, before):
                raise Broken(f"{node.id} has another entry {index} of term {term} than others had")

    def _check_leaving(self, node: Node, effects: Effects) -> None:
        """Durable votes and entries: what leaves rests on what the disk said that it has."""
        durable = node.store.newest
        facts, last = durable.facts, durable.entries[-1].position if durable.entries else 1
        for peer, message in effects.frames:
            self.messages += 1
            match message:
                case Vote() | Ask():
                    chosen = peer if isinstance(message, Vote) else node.id
                    if (facts.term, facts.voted) != (message.term, chosen):
                        raise Broken(f"{node.id} votes for {chosen}, and its disk does not know")
                    key = (node.id, durable.incarnation, message.term)
                    if self.votes.setdefault(key, chosen) != chosen:
                        raise Broken(f"{node.id} votes twice in term {message.term}")
                case Append() if message.prev + len(message.entries) > last:
                    raise Broken(f"{node.id} sends entries that its disk does not have")
                case Heard() if message.matches and message.next - 1 > last:
                    raise Broken(f"{node.id} acknowledges entries that its disk does not have")

    def _check_election(self, node: Node, member: RaftMember) -> None:
        if member.role != "leader" or self._leading.get(node.id) == member.term:
            return
        self._leading[node.id] = member.term
        self.elections += 1
        first = self.leaders.setdefault(member.term, node.id)
        if first != node.id:
            raise Broken(f"{first} and {node.id} both lead term {member.term}")
        self._check_majority(node, member)
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

    def _check_majority(self, node: Node, member: RaftMember) -> None:
        """Votes that were given, and not votes that were counted."""
        entries = [one for one in member.configuration.members if one.suffrage == "voter"]
        durable = node.store.newest
        if durable.facts.voted == node.id:  # who is alone asks nobody
            self.votes.setdefault((node.id, durable.incarnation, durable.facts.term), node.id)
        votes = (self.votes.get((one.id, one.incarnation, member.term)) for one in entries)
        given = sum(vote == node.id for vote in votes)
        if given <= len(entries) // 2:
            raise Broken(f"{node.id} leads term {member.term} by {given} votes of {len(entries)}")

    def _check_matches(self, cluster: Cluster, node: Node, member: RaftMember) -> None:
        """What a leader takes for acknowledged in its term is on the other's disk."""
        for entry in member.configuration.members:
            match, peer = member.match_of(entry.id), cluster.nodes[entry.id]
            key = (node.id, entry.id)
            if entry.id == node.id or self._matches.get(key) == (member.term, match):
                continue
            self._matches[key] = (member.term, match)
            stored = peer.store.newest
            if stored.facts.term != member.term or match < stored.entries[0].position:
                continue
            place = match - stored.entries[0].position
            term = stored.entries[place].term if place < len(stored.entries) else None
            if term != (member.journal.term_at(match) or term):
                raise Broken(f"{node.id} believes that {entry.id} has entry {match}")

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
        checked, count = self._checked[node.id]
        if checked is not mine:  # a snapshot brought it
            count = 0
        if count == len(mine):
            return
        common = min(len(mine), len(self.applied))
        if mine[count:common] != self.applied[count:common]:
            raise Broken(f"{node.id} applied something else: {mine[-5:]}")
        self.applied.extend(mine[common:])
        self._checked[node.id] = (mine, len(mine))

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
        lost = sorted(self.acknowledged.keys() - set(self.applied))
        if lost:
            raise Broken(f"acknowledged and lost: {lost[:5]}")
        if len(set(self.applied)) != len(self.applied):
            raise Broken("something was applied twice")
