"""An idealised raft around real lease books, with an adversary: the rules of `safety.md` 1.

Not the engine: logs are tuples, storage is perfect, messages may come at any later time, twice or
never, members pause for as long as they like, and clocks differ by as much as is assumed.

Law of the oracle: "nobody does anything any more" is a legal schedule, so two leases that would
overlap from now on are a violation now. Each rule that can be left out is a method of its own,
which an ablation overrides (`lease_ablations`).
"""

from __future__ import annotations

import math
import random

from dnslb.election.raft.lease import LeaseBook, Release
from dnslb.election.raft.timings import DRIFT
from tests.election.raft.lease_members import Config, Member, Message, Overlap

MESSAGES_MAX = 40


class LeaseModel:
    """``leases_s``: what members are configured with, one drawn at each start."""

    leases_s: tuple[float, ...] = (1.0,)
    members_change = True
    logs_compared = True

    def __init__(self, seed: int, nodes: int = 3) -> None:
        self.luck = luck = random.Random(seed)
        self.true_s = 0.0
        self.messages: list[Message] = []
        self.trail: list[str] = []
        self.leases = 0
        ids = [chr(ord("a") + i) for i in range(nodes)]
        voters = luck.choice([1, 2, nodes, nodes, nodes]) if self.members_change else nodes
        first = frozenset(ids[:voters])
        self.members: dict[str, Member] = {}
        for one in ids:
            rate = luck.choice([1.0, 1 + DRIFT, 1 + DRIFT, 1 + luck.random() * DRIFT])
            lease_s = luck.choice(self.leases_s)
            # All have been running for long: what a start owes is tried by restarts.
            book = LeaseBook(one, lease_s, promised_until=-math.inf)
            offset = luck.uniform(-50, 50)
            self.members[one] = Member(one, rate, offset, book, ((0, first),), largest_s=lease_s)

        if luck.random() < 0.7:
            self.begin_led()

    def begin_led(self) -> None:
        """Half of the art is a lease to break: somebody is elected, and heard by a majority."""
        one = self.members[min(self.members)]
        self.stand(one)
        for kind in ("ask", "vote", "append", "answer"):
            wave, self.messages = self.messages, []
            for message in wave:
                fits = message.kind == kind
                if fits and self.luck.random() < 0.8:
                    self.deliver(message)
                else:
                    self.messages.append(message)
        self.true_s += self.luck.random() * 0.5

    # --------------------------------------------------------- what an ablation may leave out

    def started(self, one: Member, lease_s: float) -> LeaseBook:
        at = one.clock(self.true_s)
        one.largest_s = max(one.largest_s, lease_s)
        return LeaseBook.started(one.id, at=at, lease_s=lease_s, largest_s=one.largest_s)

    def promise(self, one: Member, lease_s: float, *, entries_only: bool) -> None:
        one.largest_s = max(one.largest_s, lease_s)
        one.book = one.book.promise(at=one.clock(self.true_s), lease_s=lease_s)

    def stand_book(self, one: Member, release: Release | None) -> LeaseBook:
        return one.book.stand(one.term, at=one.clock(self.true_s), release=release)

    def read_vote(self, one: Member, message: Message) -> None:
        at = one.clock(self.true_s)
        one.book = one.book.vote(message.term, left_s=message.value_s, at=at)

    def begin_round(self, one: Member) -> None:
        one.book = one.book.begin_round(at=one.clock(self.true_s))

    def read_acknowledgement(self, one: Member, message: Message) -> None:
        one.book = one.book.acknowledge(message.source, term=message.term, number=message.number)

    def lease_voters(self, one: Member) -> Config:
        return one.config()

    def follow(self, one: Member) -> None:
        one.book = one.book.follow()

    def release(self, one: Member) -> Release:
        one.book, release = one.book.release(at=one.clock(self.true_s))
        return release

    def may_change(self, one: Member) -> bool:
        newest = max(i for i, (_, config) in enumerate(one.log) if config is not None)
        return newest <= one.commit and one.log[one.commit][0] == one.term

    def late_release(self, one: Member, message: Message) -> bool:
        """Whether a released leader's word may still serve."""
        return message.term >= one.term

    def lose_contact(self, one: Member) -> None:
        """A stream closed. For calm only: no promise changes."""

    # -------------------------------------------------------------------------------- oracle

    def interval(self, one: Member) -> tuple[float, float] | None:
        span = one.book.span(self.lease_voters(one))
        if span is None:
            return None
        return max(one.true_s(span.begins_at), self.true_s), one.true_s(span.ends_at)

    def check(self) -> None:
        found = [
            (one.id, *span)
            for one in self.members.values()
            if (span := self.interval(one)) is not None and span[0] < span[1]
        ]
        self.leases += len(found)
        for i, (a, begins, ends) in enumerate(found):
            for b, other_begins, other_ends in found[:i]:
                if min(ends, other_ends) - max(begins, other_begins) > 1e-7:
                    raise Overlap(
                        f"{a} may write {begins:.3f} to {ends:.3f} and {b} {other_begins:.3f} to "
                        f"{other_ends:.3f}, at {self.true_s:.3f}"
                    )

    # ------------------------------------------------------------------------------- actions

    def note(self, what: str) -> None:
        self.trail.append(f"{self.true_s:.3f} {what}")

    def send(self, message: Message) -> None:
        self.messages.append(message)

    def step_down(self, one: Member, term: int) -> None:
        if term > one.term:
            one.term, one.voted = term, None
        self.follow(one)
        one.votes, one.match = set(), {}

    def stand(self, one: Member, release: Release | None = None) -> None:
        if one.id not in one.config():
            return
        self.step_down(one, one.term + 1)
        one.voted, one.votes = one.id, {one.id}
        one.asked_at = one.clock(self.true_s)
        one.book = self.stand_book(one, release)
        self.note(f"{one.id} stands in {one.term}{' by release' if release else ''}")
        index, last_term = len(one.log), one.log[-1][0]
        for voter in sorted(one.config() - {one.id}):
            self.send(
                Message(
                    "ask",
                    one.id,
                    voter,
                    self.true_s,
                    one.term,
                    length=index,
                    last_term=last_term,
                )
            )
        self.count_votes(one)

    def count_votes(self, one: Member) -> None:
        config = one.config()
        if one.book.standing and len(one.votes & config) > len(config) // 2:
            one.book = one.book.lead()
            one.match = {one.id: len(one.log) + 1}
            one.commit = 0
            one.log = (*one.log, (one.term, None))
            self.note(f"{one.id} leads {one.term} by {sorted(one.votes)}")
            self.append(one, heartbeat=True)

    def append(self, one: Member, *, heartbeat: bool) -> None:
        if not one.book.leading:
            return
        if heartbeat:
            self.begin_round(one)
        one.match[one.id] = len(one.log)
        number = one.book.newest_round if heartbeat else 0
        for other in self.members:
            if other != one.id:
                self.send(
                    Message(
                        "append",
                        one.id,
                        other,
                        self.true_s,
                        one.term,
                        number,
                        value_s=one.book.lease_s,
                        log=one.log,
                    )
                )
        self.commit(one)

    def commit(self, one: Member) -> None:
        config = one.config()
        held = sorted((one.match.get(voter, 0) for voter in config), reverse=True)
        index = held[len(config) // 2] - 1
        if index > one.commit and one.log[index][0] == one.term:
            one.commit = index

    def change(self, one: Member) -> None:
        if not one.book.leading or not self.may_change(one):
            return
        other = self.luck.choice(sorted(self.members))
        config = one.config() ^ {other}
        if config:
            one.log = (*one.log, (one.term, frozenset(config)))
            self.note(f"{one.id} changes to {sorted(config)}")
            self.append(one, heartbeat=self.luck.random() < 0.5)

    def transfer(self, one: Member) -> None:
        if not one.book.leading or one.book.released:
            return
        target = self.luck.choice(sorted(one.config() | {one.id}))
        if target != one.id:
            release = self.release(one)
            self.note(f"{one.id} releases {release.term} to {target}, owes {release.wait_s:.3f}")
            message = Message("release", one.id, target, self.true_s, one.term)
            self.send(message._replace(value_s=release.wait_s))

    def crash(self, one: Member) -> None:
        self.note(f"{one.id} restarts")
        self.step_down(one, one.term)
        one.commit = 0
        one.book = self.started(one, self.luck.choice(self.leases_s))

    def deliver(self, message: Message) -> None:
        one = self.members[message.target]
        if message.kind == "release":
            if one.book.leading or not self.late_release(one, message):
                return
            self.step_down(one, max(one.term, message.term))
            self.stand(one, Release(message.term, message.value_s))
            return
        if message.term > one.term:
            self.step_down(one, message.term)
        match message.kind:
            case "ask":
                self.vote(one, message)
            case "vote":
                if one.book.standing and message.term == one.term:
                    one.votes.add(message.source)
                    self.read_vote(one, message)
                    self.count_votes(one)
            case "append":
                self.accept(one, message)
            case "answer":
                if message.accepted:
                    self.read_acknowledgement(one, message)
                    if one.book.leading and message.term == one.term:
                        held = max(one.match.get(message.source, 0), message.length)
                        one.match[message.source] = held
                        self.commit(one)

    def vote(self, one: Member, message: Message) -> None:
        fresh = (message.last_term, message.length) >= (one.log[-1][0], len(one.log))
        free = one.voted in (None, message.source) and not one.book.leading
        if message.term == one.term and free and (fresh or not self.logs_compared):
            if one.book.standing:
                return
            one.voted = message.source
            left_s = one.book.promise_left_s(one.clock(self.true_s))
            answer = Message("vote", one.id, message.source, self.true_s, one.term)
            self.send(answer._replace(value_s=left_s))

    def accept(self, one: Member, message: Message) -> None:
        answer = Message("answer", one.id, message.source, self.true_s, one.term)
        if message.term < one.term:
            self.send(answer._replace(accepted=False))
            return
        if one.book.standing or one.book.leading:
            self.step_down(one, message.term)
        if one.log[: len(message.log)] != message.log:
            one.log = message.log
        self.promise(one, message.value_s, entries_only=not message.number)
        self.send(answer._replace(number=message.number, length=len(message.log)))

    # ------------------------------------------------------------------------------ adversary

    def pass_time(self) -> None:
        luck, draw = self.luck, self.luck.random()
        if draw < 0.82:
            return
        if draw < 0.92:
            self.true_s += luck.random() * 0.2
        elif draw < 0.94:
            self.true_s += luck.random() * 1.2
        else:
            marks: list[float] = []
            for one in self.members.values():
                marks += self.interval(one) or ()
                marks.append(one.true_s(one.book.promised_until))
            later = [mark for mark in marks if self.true_s < mark < math.inf]
            if later:
                mark = luck.choice(later) + luck.choice([-0.05, -0.01, 0.0001])
                self.true_s = max(self.true_s, mark)

    def flush(self, since: int, share: float) -> None:
        """Delivers at once a part of what was just sent, and of the answers to it."""
        for _ in range(2):
            new = self.messages[since:]
            del self.messages[since:]
            held = []
            for message in new:
                if self.luck.random() < share:
                    if self.luck.random() < 0.1:
                        self.true_s += self.luck.random() * 0.1
                    self.deliver(message)
                else:
                    held.append(message)
            self.messages[since:since] = held
            since += len(held)

    def step(self) -> None:
        luck = self.luck
        draw, one, since = (
            luck.random(),
            luck.choice(list(self.members.values())),
            len(self.messages),
        )
        share = luck.choice([0, 0.5, 0.5, 0.8, 1, 1])
        self.pass_time()
        leaders = [member for member in self.members.values() if member.book.leading]
        if draw < 0.36 and self.messages:
            back = min(int(luck.expovariate(0.35)), len(self.messages) - 1)
            place = len(self.messages) - 1 - back
            if luck.random() < 0.4:
                place = luck.randrange(len(self.messages))
            message = self.messages[place]
            if luck.random() < 0.9:
                del self.messages[place]
            self.deliver(message)
        elif draw < 0.49:
            self.stand(one)
        elif draw < 0.76 and leaders:
            self.append(luck.choice(leaders), heartbeat=luck.random() < 0.8)
        elif draw < 0.84 and leaders and self.members_change:
            self.change(luck.choice(leaders))
        elif draw < 0.9 and leaders:
            self.transfer(luck.choice(leaders))
        elif draw < 0.95:
            self.crash(one)
        elif draw < 0.98:
            self.lose_contact(one)
        if draw >= 0.36:
            self.flush(since, share)
        del self.messages[:-MESSAGES_MAX]
        self.check()

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
