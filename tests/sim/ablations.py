"""Cures and rules left out, one by one: what a run must then find.

Not options of the product: each overrides one method in a copy of a member or of its journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import Store, change_command
from dnslb.election.raft.membership import Change, Configuration
from dnslb.election.raft.messages import Append, Chunk, Heard, Message, Vote
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


class StartsWithoutPromise(RaftMember):
    """`safety.md` 1.3: a start counts as a promise of the longest lease ever acknowledged."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ground.book = replace(self._ground.book, promised_until=-math.inf)


class ForgetsTheLongestLease(Journal):
    """`safety.md` 1.3: the longest lease acknowledged is durable, and so survives a start."""

    def note_lease(self, lease_s: float) -> None:
        pass


class BelievesLateAnswers(RaftMember):
    """`safety.md` 1.2: an answer counts for the round that it names."""

    def _receive(self, peer: str, message: Message) -> None:
        if isinstance(message, Heard):
            newest = max(message.round, self._ground.book.newest_round)
            message = replace(message, round=newest)
        super()._receive(peer, message)


class ForgetsPromisesAtTheEndOfAStream(RaftMember):
    """`safety.md` 1.6: haste is no release from a promise."""

    def disconnected(self, peer: str, now: Now) -> Effects:
        if peer == self.leader:
            self._ground.book = replace(self._ground.book, promised_until=-math.inf)
        return super().disconnected(peer, now)


class CountsVotesTwice(RaftMember):
    """Defect 8: a vote counts once."""

    def _receive(self, peer: str, message: Message) -> None:
        self._elections._voted_for_me.discard(peer)
        super()._receive(peer, message)


class SpeaksBeforeItsDisk(RaftMember):
    """`safety.md` 5.1: nothing leaves before it is durable."""

    def _event(self, now: Now, act: Callable[[], None]) -> Effects:
        journal, sync = self._ground.journal, self._ground.journal.sync
        journal.sync = lambda: None  # type: ignore[method-assign]
        try:
            effects = super()._event(now, act)
        finally:
            journal.sync = sync  # type: ignore[method-assign]
        if not effects.frames:
            journal.sync()
        return effects


class VotesAgain(Journal):
    """Raft's durable vote: one a term."""

    def set_term(self, term: int, voted: str) -> None:
        self.facts = replace(self.facts, term=term, voted="")


class ForgetsWhoIsJoining(Journal):
    """Defect 7: the newest configuration in the log is in force after a start, too."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        if self.facts.term:
            self._changes = [one for one in self._changes if one[0] <= self.facts.commit]


class TakesOldSnapshots(RaftMember):
    """Defect 11: an old snapshot is skipped."""

    def _hear_leader(self, peer: str, call: object) -> None:
        if isinstance(call, Chunk) and call.term == self.term and len(call.data) == call.size:
            self._following._install(call, call.data)
        super()._hear_leader(peer, call)  # type: ignore[arg-type]


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
