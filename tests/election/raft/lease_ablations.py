"""The rules of the lease, each left out once: what the model must then catch.

Not options of the product: every ablation overrides one method of the test's own model.
"""

from __future__ import annotations

import math
from dataclasses import replace

from dnslb.election.raft.lease import LeaseBook, Release, Span
from dnslb.election.raft.timings import promise_s
from tests.election.raft.lease_members import Config, Member, Message
from tests.election.raft.lease_model import LeaseModel


class MixedLeases(LeaseModel):
    """Members with short and long leases, as after a change of profile, one by one."""

    leases_s = (0.4, 1.0)


class Static(LeaseModel):
    """No changes of members, and no comparison of logs: any voter may win at any time."""

    members_change = False
    logs_compared = False


class StaticMixed(MixedLeases, Static):
    pass


class CountsFromAnswer(Static):
    """1.2: the lease counts from when the round was sent, not from when it was answered."""

    def read_acknowledgement(self, one: Member, message: Message) -> None:
        super().read_acknowledgement(one, message)
        at = one.clock(self.true_s)
        number = one.book.confirmed_round(one.config())
        moved = (replace(r, sent_at=at) if r.number == number else r for r in one.book.rounds)
        one.book = replace(one.book, rounds=tuple(moved))


class AnyTermAcknowledges(Static):
    """1.2: an acknowledgement counts only for the term that it names."""

    def read_acknowledgement(self, one: Member, message: Message) -> None:
        super().read_acknowledgement(one, message._replace(term=one.book.term))


class OldVoters(LeaseModel):
    """1.2: voters are those of the newest configuration in the log, not of the committed one."""

    def lease_voters(self, one: Member) -> Config:
        return one.config(one.commit + 1)


class NoDrift(Static):
    """1.3: a promise is as long as the lease and the drift."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        at = one.clock(self.true_s)
        one.largest_s = max(one.largest_s, lease_s)
        one.book = replace(one.book, promised_until=max(one.book.promised_until, at + lease_s))


class NewestPromiseOnly(StaticMixed):
    """1.3: a promise is the longest of all, not the newest."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        one.largest_s = max(one.largest_s, lease_s)
        one.book = replace(one.book, promised_until=one.clock(self.true_s) + promise_s(lease_s))


class OwnLeaseForOthers(StaticMixed):
    """1.3: a promise lasts as the round says, not as the member is configured."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        super().promise(one, one.book.lease_s, entries_only=entries_only)


class SilentNonVoters(LeaseModel):
    """1.3: members without a vote promise too: they may get one."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        if one.id in one.config():
            super().promise(one, lease_s, entries_only=entries_only)


class NoPromiseAtStart(Static):
    """1.3: a start counts as a promise."""

    def started(self, one: Member, lease_s: float) -> LeaseBook:
        return replace(super().started(one, lease_s), promised_until=-math.inf)


class StartWithoutDrift(Static):
    """1.3: a start counts as a promise of all of it, drift included."""

    def started(self, one: Member, lease_s: float) -> LeaseBook:
        at = one.clock(self.true_s)
        return replace(super().started(one, lease_s), promised_until=at + lease_s)


class ForgetsLargest(StaticMixed):
    """1.3: the longest lease acknowledged outlives a restart."""

    def started(self, one: Member, lease_s: float) -> LeaseBook:
        one.largest_s = 0.0
        return super().started(one, lease_s)


class NoWait(Static):
    """1.4: a new leader waits for what its voters promised."""

    def stand_book(self, one: Member, release: Release | None) -> LeaseBook:
        return replace(super().stand_book(one, release), waits_until=-math.inf)

    def read_vote(self, one: Member, message: Message) -> None:
        pass


class WaitsForItselfOnly(Static):
    """1.4: the promises of the others count."""

    def read_vote(self, one: Member, message: Message) -> None:
        pass


class WaitsForOthersOnly(Static):
    """1.4: its own promise counts too."""

    def stand_book(self, one: Member, release: Release | None) -> LeaseBook:
        book = super().stand_book(one, release)
        return book if book.inherits else replace(book, waits_until=-math.inf)


class WaitsForLastVote(Static):
    """1.4: the largest remainder counts, not the last one."""

    def read_vote(self, one: Member, message: Message) -> None:
        if not one.book.inherits:
            one.book = replace(one.book, waits_until=-math.inf)
        super().read_vote(one, message)


class CountsFromAsking(Static):
    """1.4: a remainder is counted from when the vote is read, not from when it was asked for."""

    def read_vote(self, one: Member, message: Message) -> None:
        one.book = one.book.vote(message.term, left_s=message.value_s, at=one.asked_at)


class KeepsLeaseAfterRelease(Static):
    """1.5: who asked another to stand does not write for the rest of its term."""

    def release(self, one: Member) -> Release:
        release = super().release(one)
        one.book = replace(one.book, released=False)
        return release


class ReleasesWithoutOwnWait(Static):
    """1.5: a leader that still waits hands its wait on."""

    def release(self, one: Member) -> Release:
        return replace(super().release(one), wait_s=0.0)


class LateRelease(Static):
    """1.5: the word of a leader of T serves the candidacy of T + 1 only."""

    def late_release(self, one: Member, message: Message) -> bool:
        return True

    def stand_book(self, one: Member, release: Release | None) -> LeaseBook:
        if release is not None:
            release = replace(release, term=one.term - 1)
        return super().stand_book(one, release)


class ClosedStreamClearsPromise(Static):
    """1.6: a stream that closes clears no promise."""

    def lose_contact(self, one: Member) -> None:
        one.book = replace(one.book, promised_until=-math.inf)


class ChangesBeforeOwnCommit(LeaseModel):
    """5.0: no change of members before an entry of the leader's own term is committed."""

    def may_change(self, one: Member) -> bool:
        newest = max(i for i, (_, config) in enumerate(one.log) if config is not None)
        return newest <= one.commit


class ChangesAtOnce(LeaseModel):
    """5.0: one uncommitted change of members at a time."""

    def may_change(self, one: Member) -> bool:
        return one.log[one.commit][0] == one.term


class KeepsLeaseWithoutOwnPromise(Static):
    """1.2 and 1.3: stepping down drops the lease, and a leader promises to itself what it asks of
    the others. Seen only together: each of the two covers for the other."""

    def __init__(self, seed: int, nodes: int = 3) -> None:
        super().__init__(seed, nodes)
        self.kept: dict[str, Span] = {}

    def begin_round(self, one: Member) -> None:
        before = one.book.promised_until
        super().begin_round(one)
        one.book = replace(one.book, promised_until=before)

    def follow(self, one: Member) -> None:
        span = one.book.span(one.config()) if one.book.leading else None
        if span is not None:
            self.kept[one.id] = span
        super().follow(one)

    def interval(self, one: Member) -> tuple[float, float] | None:
        kept = None if one.book.leading else self.kept.get(one.id)
        if kept is None:
            return super().interval(one)
        return max(one.true_s(kept.begins_at), self.true_s), one.true_s(kept.ends_at)
