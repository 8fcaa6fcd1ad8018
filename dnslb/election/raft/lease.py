"""The right to write, as one member keeps book of it: promises given, waits owed, rounds sent.

Not the consensus, which elects one leader per term; a lease is what makes sure that a leader
whose time is over *knows* it, before another one begins (`safety.md` 1). Pure: every instant is
an argument, in seconds of this member's own boot clock, and no instant leaves it; what travels
are durations.

    acknowledgement, own round, start ──► promise   one, the longest of all ever given
    candidacy: own promise, and what each vote says is left of its voter's ──► wait
    leader: round sent ──► acknowledged by a majority ──► lease from the wait's end
                                                          to the round's sending + L

Law: two majorities share a voter. Its promise to the old leader outlives the old lease (its
clock may run `DRIFT` faster), travels with its vote, and is waited out before the new lease
begins. Nothing in here ever shortens a promise or a wait, but for a leader that gave its lease
up before it asked another to stand.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from dnslb.election.raft.timings import LEASE_S_MAX, PROMISE_S_MAX, promise_s
from dnslb.errors import InvalidValue

ROUNDS_MAX = 256
"""Rounds kept at most. Forgetting one can only end a lease earlier."""


class Round(Struct, frozen=True):
    """One wave of messages to all members. It carries the length of the lease it asks for."""

    number: int
    sent_at: float
    lease_s: float


class Release(Struct, frozen=True):
    """A leader's word that it does not write any more in ``term``, whatever comes. ``wait_s``:
    what it itself would still have had to wait, so that its heir waits it in its stead."""

    term: int
    wait_s: float


class Span(Struct, frozen=True):
    """A lease: from and to which instant of the boot clock one may write."""

    begins_at: float
    ends_at: float

    def holds(self, at: float) -> bool:
        return self.begins_at <= at < self.ends_at


class LeaseBook(Struct, frozen=True):
    """Make one with `started`. ``term`` is the one that it stands or leads in; neither of both:
    it follows. ``acknowledged``: the newest round of this term that each member acknowledged."""

    member: str
    lease_s: float
    promised_until: float
    term: int = 0
    standing: bool = False
    leading: bool = False
    inherits: bool = False
    released: bool = False
    waits_until: float = -math.inf
    newest_round: int = 0
    rounds: tuple[Round, ...] = ()
    acknowledged: tuple[tuple[str, int], ...] = ()

    @classmethod
    def started(cls, member: str, *, at: float, lease_s: float, largest_s: float) -> Self:
        """``largest_s``: the longest lease that this member's store says it ever acknowledged.
        What it had promised before it stopped is not known, so all of it counts from now on; on
        a first start too, since the directory may have been lost."""
        longest = max(_lease_s(lease_s), largest_s)
        return cls(member, lease_s, promised_until=at + promise_s(longest))

    # ------------------------------------------------------------------------- every member

    def promise(self, *, at: float, lease_s: float) -> Self:
        """To be called before a round or entries are acknowledged, and ``lease_s`` must be
        durable before the acknowledgement leaves, where it is the longest so far."""
        until = at + promise_s(_lease_s(lease_s))
        return replace(self, promised_until=max(self.promised_until, until))

    def promise_left_s(self, at: float) -> float:
        """What a vote granted now has to say."""
        return max(0.0, self.promised_until - at)

    def follow(self) -> Self:
        """Neither stands nor leads any more: the lease ends here and now."""
        return replace(
            self,
            standing=False,
            leading=False,
            inherits=False,
            released=False,
            waits_until=-math.inf,
            newest_round=0,
            rounds=(),
            acknowledged=(),
        )

    # ---------------------------------------------------------------------------- candidate

    def stand(self, term: int, *, at: float, release: Release | None = None) -> Self:
        """A candidacy for ``term``. ``release``: what the leader of the term just before said
        when it asked for this very candidacy, in the same turn in which that was received."""
        if term <= self.term:
            raise InvalidValue(f"{self.member} stood in term {self.term}, not again in {term}")
        inherits = release is not None and release.term == term - 1
        waits_until = self.promised_until
        if release is not None and inherits:
            waits_until = at + release.wait_s
        return replace(
            self.follow(), term=term, standing=True, inherits=inherits, waits_until=waits_until
        )

    def vote(self, term: int, *, left_s: float, at: float) -> Self:
        """A granted vote is read, own time ``at``; ``left_s`` is what it says of its voter's
        promise. Counted from now and not from when it was asked for: the voter may have promised
        in between."""
        if not self.standing or term != self.term:
            return self
        if not (0 <= left_s <= PROMISE_S_MAX):
            raise InvalidValue(f"a vote cannot owe {left_s} s")
        if self.inherits:
            return self
        return replace(self, waits_until=max(self.waits_until, at + left_s))

    def lead(self) -> Self:
        """Elected, by votes that were all shown to `vote` before."""
        if not self.standing:
            raise InvalidValue(f"{self.member} cannot lead a term in which it does not stand")
        return replace(self, standing=False, leading=True)

    # ------------------------------------------------------------------------------- leader

    def begin_round(self, *, at: float) -> Self:
        """To be called before the first message of the round leaves; the round is
        `newest_round`. What is asked of others is promised by the leader too."""
        if not self.leading:
            raise InvalidValue(f"{self.member} does not lead")
        sent = Round(self.newest_round + 1, at, self.lease_s)
        kept = tuple(one for one in self.rounds if one.sent_at + one.lease_s > at)
        return replace(
            self.promise(at=at, lease_s=self.lease_s),
            newest_round=sent.number,
            rounds=(*kept[1 - ROUNDS_MAX :], sent),
        )

    def acknowledge(self, voter: str, *, term: int, number: int) -> Self:
        """``voter`` says that it heard round ``number`` of ``term``; counts for that term only."""
        if not self.leading or term != self.term or number > self.newest_round:
            return self
        newest = dict(self.acknowledged)
        if number <= newest.get(voter, 0):
            return self
        newest[voter] = number
        return replace(self, acknowledged=tuple(sorted(newest.items())))

    def confirmed_round(self, voters: Collection[str]) -> int:
        """The newest round that a majority of ``voters`` has acknowledged, 0 for none; voters of
        the newest configuration in the log, committed or not."""
        if not self.leading or not voters:
            return 0
        newest = dict(self.acknowledged)
        newest[self.member] = self.newest_round
        heard = sorted((newest.get(voter, 0) for voter in voters), reverse=True)
        return heard[len(voters) // 2]

    def span(self, voters: Collection[str]) -> Span | None:
        """The lease; None for who has none. It may begin later than now, or be over already."""
        if self.released:
            return None
        number = self.confirmed_round(voters)
        for one in self.rounds:
            if one.number == number:
                return Span(self.waits_until, one.sent_at + one.lease_s)
        return None

    def release(self, *, at: float) -> tuple[Self, Release]:
        """Gives the lease up for the rest of this term. To be called when no write is past the
        gate; only then may another be asked to stand with the `Release`."""
        if not self.leading:
            raise InvalidValue(f"{self.member} does not lead and has nothing to release")
        release = Release(self.term, max(0.0, self.waits_until - at))
        return replace(self, released=True), release

    def forget_rounds(self) -> Self:
        """After a jump of the wall clock against the boot clock: the boot clock may have stood
        still, so the lease rests on nothing until a round that begins from now on is heard."""
        return replace(self, rounds=())


def _lease_s(value: float) -> float:
    if not (0 < value <= LEASE_S_MAX):
        raise InvalidValue(f"a lease lasts more than 0 and at most {LEASE_S_MAX:g} s, not {value}")
    return value
