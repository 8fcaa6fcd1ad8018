"""Cures and rules left out, one by one: what a run must then find.

Not options of the product: each overrides one method in a copy of a member.
"""

from __future__ import annotations

from msgspec.structs import replace

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects
from dnslb.election.raft.log import change_command
from dnslb.election.raft.membership import Change, Configuration
from dnslb.election.raft.messages import Append, Vote
from dnslb.model.instant import Now


class WaitsForNobody(RaftMember):
    """`safety.md` 1.4: a vote carries what is left of its voter's promise."""

    def grant(self, peer: str, term: int) -> None:
        self._ground.send(peer, Vote(term, 0.0))


class PromisesNothing(RaftMember):
    """`safety.md` 1.3: acknowledging is promising."""

    def _hear_leader(self, peer: str, call: object) -> None:
        before = self._ground.book.promised_until
        super()._hear_leader(peer, call)  # type: ignore[arg-type]
        self._ground.book = replace(self._ground.book, promised_until=before)


class WritesOnAfterRelease(RaftMember):
    """`safety.md` 1.5: who asked another to stand writes no more in its term."""

    def transfer(self, target: str | None, now: Now) -> tuple[str, Effects]:
        result = super().transfer(target, now)
        self._ground.book = replace(self._ground.book, released=False)
        return result


class ManyChangesAtOnce(RaftMember):
    """Defect 1: one uncommitted change of members at a time."""

    def change(self, new: Configuration, now: Now) -> tuple[int, Effects]:
        self._refuse_unless_leading()
        change = Change(self.configuration, new)
        [ticket], effects = self.propose_all((change_command(change),), now)
        return ticket, effects


class TruncatesAlways(RaftMember):
    """Defect 2: a message that is shorter than the log takes nothing back."""

    def _hear_leader(self, peer: str, call: object) -> None:
        if isinstance(call, Append) and call.entries:
            journal = self.journal
            if journal.term_at(call.prev) == call.prev_term and call.prev < journal.last:
                del journal._entries[call.prev + 1 - journal.first :]
                journal._rewrite_from = min(journal._rewrite_from, call.prev + 1)
                journal._changes = [one for one in journal._changes if one[0] <= call.prev]
                commit = min(journal.facts.commit, journal.last)
                journal.facts = replace(journal.facts, commit=commit)
                self._engine._put("raftCommitIndex", commit)
        super()._hear_leader(peer, call)  # type: ignore[arg-type]


class CommitsWhatIsNotVerified(RaftMember):
    """Defect 6: only what was held against the leader's log is committed."""

    def _hear_leader(self, peer: str, call: object) -> None:
        super()._hear_leader(peer, call)  # type: ignore[arg-type]
        if isinstance(call, Append) and call.term == self.term:
            self._engine.raise_commit(min(call.commit, self.journal.last))
