"""The rules of the lease, each left out once: what the model must then catch.

Not options of the product: every ablation overrides one method of the test's own model.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from dnslb.election.raft.lease import LeaseBook, Release, Span
from tests.election.raft.lease_members import Member, Message
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


class NoDrift(Static):
    """1.3: a promise is as long as the lease and the drift."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        at = one.clock(self.true_s)
        one.largest_s = max(one.largest_s, lease_s)
        one.book = replace(one.book, promised_until=max(one.book.promised_until, at + lease_s))


class OwnLeaseForOthers(StaticMixed):
    """1.3: a promise lasts as the round says, not as the member is configured."""

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        super().promise(one, one.book.lease_s, entries_only=entries_only)


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


class KeepsLeaseAfterRelease(Static):
    """1.5: who asked another to stand does not write for the rest of its term."""

    def release(self, one: Member) -> Release:
        release = super().release(one)
        one.book = replace(one.book, released=False)
        return release


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
