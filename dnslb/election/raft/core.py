"""One member of the cluster, without a network and without a clock: events in, effects out.

Not a part that runs: whoever drives it hands in messages, ticks and the time, and carries the
effects out. Consensus is pysyncobj's (`engine`), where that is sound; the log is `journal`'s, the
right to write `lease`'s.

Law (`safety.md` 5.1): every event ends with the journal made durable, and only then gives its
effects away. An event that raises gives nothing away, and the member is of no use any more: it is
made anew from its store, which counts as a start.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from dnslb.election.raft.elections import Elections
from dnslb.election.raft.engine import CANDIDATE, LEADER, Engine
from dnslb.election.raft.following import Following
from dnslb.election.raft.ground import Effects, Ground, Machine, Settings
from dnslb.election.raft.handover import Handover
from dnslb.election.raft.journal import BrokenLog, Journal
from dnslb.election.raft.leading import Leading
from dnslb.election.raft.lease import LeaseBook, Span
from dnslb.election.raft.log import (
    MEMBERSHIP,
    STATE_BYTES_MAX,
    Entry,
    Snapshot,
    change_command,
    regular,
)
from dnslb.election.raft.membership import Change, Configuration, why_not
from dnslb.election.raft.messages import (
    Append,
    Ask,
    Chunk,
    Echo,
    Heard,
    Message,
    Outdated,
    Sound,
    StandNow,
    Vote,
)
from dnslb.election.raft.proposals import Proposals
from dnslb.errors import CommandRefused, StoreError
from dnslb.model.cluster import Role
from dnslb.model.instant import Now

TURNS_MAX = 8


class RaftMember:
    """``luck`` draws how long to wait for a leader. Raises `StoreError` when the store holds what
    the machine does not know."""

    def __init__(
        self,
        member_id: str,
        journal: Journal,
        machine: Machine,
        settings: Settings,
        luck: random.Random,
        now: Now,
    ) -> None:
        timings = settings.timings
        self.id = member_id
        self.settings = settings
        self._broken: BaseException | None = None
        book = LeaseBook.started(
            member_id,
            at=now.boot,
            lease_s=timings.lease_s,
            largest_s=journal.facts.largest_lease_s,
        )
        journal.note_lease(timings.lease_s)
        self._ground = Ground(
            member_id, timings, journal, machine, settings.command_version, book, now
        )
        self._proposals = Proposals(self._ground)
        self._elections = Elections(self._ground, luck)
        self._engine = Engine(member_id, journal, timings, self, mono=now.mono)
        self._elections.engine = self._engine
        self._handover = Handover(self._ground, self._engine)
        self._leading = Leading(self._ground, self._engine)
        self._following = Following(self._ground, self._engine)
        if journal.snapshot is not None:
            machine.load(journal.snapshot.state)
            self._engine.restored(journal.snapshot.index)
        self._engine.use(journal.configuration)
        journal.sync()

    # ------------------------------------------------------------------------ what it knows

    @property
    def role(self) -> Role:
        """`waiting`: it belongs to no configuration that it knows."""
        if self._ground.journal.configuration.find(self.id) is None:
            return "waiting"
        names: dict[int, Role] = {LEADER: "leader", CANDIDATE: "candidate"}
        return names.get(self._engine.role, "follower")

    @property
    def term(self) -> int:
        return self._engine.term

    @property
    def leader(self) -> str | None:
        return self._engine.leader

    @property
    def journal(self) -> Journal:
        """To be read only."""
        return self._ground.journal

    @property
    def configuration(self) -> Configuration:
        return self._ground.journal.configuration

    @property
    def commit(self) -> int:
        return self._engine.commit

    @property
    def applied(self) -> int:
        return self._engine.applied

    @property
    def ready(self) -> bool:
        """It leads, and an entry of its own term is applied: it knows all that was decided."""
        return self._engine.leading and self.applied >= self._engine.first_own_entry > 0

    @property
    def last_contact_at(self) -> float | None:
        """When the leader was last heard, on trio's clock."""
        return self._elections.leader_heard_at

    def heard_at(self, peer: str) -> float | None:
        """When a member last answered this leader, on trio's clock."""
        return self._leading.heard_at(peer)

    def match_of(self, peer: str) -> int:
        """Up to where a member is known to have this leader's log."""
        return self._engine.match_of(peer)

    def lease(self) -> Span | None:
        """The right to write, on the boot clock; None without. Not before it is `ready`."""
        return self._ground.book.span(self.configuration.voters) if self.ready else None

    def deadline(self) -> float:
        """When `tick` is due, on trio's clock, if nothing happens before."""
        if self._engine.leading:
            return self._engine.heartbeat_due_at
        return self._elections.due_at()

    # -------------------------------------------------------------------------------- events

    def tick(self, now: Now) -> Effects:
        """Time passed. Early or late does no harm."""
        return self._event(now, lambda: None)

    def connected(self, peer: str, now: Now) -> Effects:
        """A stream to a member begins; the one before, if any, is over."""

        def begin() -> None:
            self._engine.connect(peer)
            self._leading.connected(peer)
            if self._engine.leading and self._engine.knows(peer):
                self._engine.heartbeat_due_at = now.mono - 1

        return self._event(now, begin)

    def disconnected(self, peer: str, now: Now) -> Effects:
        """The stream to a member is over."""

        def end() -> None:
            self._engine.disconnect(peer)
            self._elections.lost(peer)

        return self._event(now, end)

    def receive(self, peer: str, message: Message, now: Now) -> Effects:
        """A message of a member whose hello was accepted."""
        return self._event(now, lambda: self._receive(peer, message))

    def propose(self, data: bytes, now: Now, *, version: int = 1) -> tuple[int, Effects]:
        """A command for the machine; the ticket comes back in `Finished`. `CommandRefused`."""
        [ticket], effects = self.propose_all((regular(data, version),), now)
        return ticket, effects

    def propose_all(self, commands: Sequence[bytes], now: Now) -> tuple[list[int], Effects]:
        """Commands as `regular` and `opaque` make them, in one event: one sync and one round for
        all. `CommandRefused`: none of them was taken."""
        self._refuse_unless_leading()
        self._proposals.refuse_unless_open(commands)
        journal, engine = self._ground.journal, self._engine
        tickets = [self._proposals.issue() for _ in commands]

        def append() -> None:
            for ticket, command in zip(tickets, commands, strict=True):
                entry = Entry(command, journal.last + 1, engine.term)
                journal.append(entry)
                self._proposals.wait(ticket, entry)
                if command[:1] == MEMBERSHIP:
                    engine.use(journal.configuration)

        return tickets, self._event(now, append)

    @property
    def pending(self) -> int:
        """Proposals that have no outcome yet."""
        return self._proposals.pending

    def change(self, new: Configuration, now: Now) -> tuple[int, Effects]:
        """Another configuration; see `why_not` for what may follow what."""
        self._refuse_unless_leading()
        journal = self._ground.journal
        if self._engine.commit < self._engine.first_own_entry:
            raise CommandRefused("This leader is new; wait until its first entry is committed.")
        if journal.configuration_index > self._engine.commit:
            raise CommandRefused(
                f"The change of members at index {journal.configuration_index} is not committed "
                "yet; wait for it."
            )
        change = Change(journal.configuration, new)
        if (refusal := why_not(change, leader=self.id)) is not None:
            raise CommandRefused(refusal)
        [ticket], effects = self.propose_all((change_command(change),), now)
        return ticket, effects

    def begin_round(self, now: Now) -> tuple[tuple[int, int], Effects]:
        """Asks all members whether this is still their leader; `confirmed` tells."""
        self._refuse_unless_leading()
        effects = self._event(now, self._leading.speak)
        return (self._engine.term, self._ground.book.newest_round), effects

    def confirmed(self, round_: tuple[int, int]) -> bool | None:
        """Whether a majority acknowledged that round; False when it cannot any more."""
        term, number = round_
        if not self._engine.leading or self._engine.term != term:
            return False
        heard = self._ground.book.confirmed_round(self.configuration.voters)
        return True if heard >= number else None

    def freeze(self, reason: str | None) -> None:
        """No proposals until called with None, or a new role: a transfer needs a still log."""
        self._proposals.frozen = reason

    def transfer(self, target: str | None, now: Now) -> tuple[str, Effects]:
        """Gives the lease up for the rest of this term and asks ``target``, or whoever has most
        of the log, to stand. Only when no write is past the gate. Raises `CommandRefused`."""
        self._refuse_unless_leading()
        heir = self._handover.heir(target)
        return heir, self._event(now, lambda: self._handover.begin(heir))

    def snapshot(self, now: Now) -> Effects:
        """Takes one now, if anything was applied since the last."""
        return self._event(now, self._compact)

    def drop_lease(self) -> None:
        """After a jump of the wall clock (`safety.md` 1.1): holds again from the next round on."""
        self._ground.book = self._ground.book.forget_rounds()

    def step_down(self, now: Now) -> Effects:
        """Leads no more; whoever is elected next waits out what was promised."""
        return self._event(now, lambda: self._engine.step_down(self._engine.term))

    # ----------------------------------------------------------------------- inside an event

    def _event(self, now: Now, act: Callable[[], None]) -> Effects:
        if self._broken is not None:
            raise StoreError(f"This member stopped: {self._broken}") from self._broken
        ground = self._ground
        ground.now = now
        ground.frames, ground.finished = [], []
        try:
            self._engine.at(now.mono)
            act()
            self._settle()
            ground.journal.sync()
        except BaseException as e:
            self._broken = e
            raise
        return Effects(tuple(ground.frames), tuple(ground.finished))

    def _settle(self) -> None:
        """All that follows at once: elections, commits, what is to be told to whom."""
        engine, leading, ground = self._engine, self._leading, self._ground
        for _ in range(TURNS_MAX):
            engine.turn()
            told = leading.told_last >= ground.journal.last and leading.told_commit == engine.commit
            if engine.leading and not told:
                leading.speak()
            elif engine.commit == engine.applied:
                break
        if self._handover.overdue():
            engine.step_down(engine.term)
        since = ground.journal.snapshot.index if ground.journal.snapshot else 1
        if engine.applied - since >= self.settings.compact_every:
            self._compact()

    def _receive(self, peer: str, message: Message) -> None:
        engine = self._engine
        match message:
            case Append() | Chunk():
                self._hear_leader(peer, message)
            case Heard():
                if message.term > engine.term:
                    engine.step_down(message.term)
                elif message.term == engine.term and engine.leading and engine.knows(peer):
                    self._leading.hear(peer, message)
            case Outdated():
                if message.term > engine.term:
                    engine.step_down(message.term)
            case Ask():
                engine.hear_ask(peer, message.term, message.last, message.last_term)
            case Vote() | Sound() | Echo():
                self._elections.hear(peer, message)
            case StandNow():
                if message.term == engine.term and peer == engine.leader and not engine.leading:
                    self._elections.stand_for(message)

    def _hear_leader(self, peer: str, call: Append | Chunk) -> None:
        engine, ground = self._engine, self._ground
        if call.term < engine.term:
            ground.send(peer, Outdated(engine.term))
            return
        if call.term == engine.term and engine.leader not in (None, peer):
            raise BrokenLog(f"{peer} and {engine.leader} both lead term {call.term}")
        engine.hear_leader(peer, call.term)
        self._elections.heard_leader()
        ground.promise(call.lease_s)
        if isinstance(call, Append):
            self._following.append(peer, call)
        else:
            self._following.chunk(peer, call)
            self._proposals.superseded(engine.applied)

    def _refuse_unless_leading(self) -> None:
        if not self._engine.leading:
            leader = self.leader
            where = f"; {leader} does" if leader else " and knows of nobody who does"
            raise CommandRefused(f"{self.id} does not lead{where}.")

    def _compact(self) -> None:
        journal, index = self._ground.journal, self._engine.applied
        if journal.snapshot is not None and journal.snapshot.index >= index:
            return
        state = self._ground.machine.save()
        if len(state) > STATE_BYTES_MAX:
            raise StoreError(
                f"The replicated state has {len(state)} bytes, at most {STATE_BYTES_MAX} can be "
                "handed to other members."
            )
        term = journal.term_at(index)
        assert term is not None
        place, configuration = journal.configuration_at(index)
        journal.compact(Snapshot(index, term, configuration, place, state), keep=self.settings.keep)

    # -------------------------------------------------------------- what the engine calls for

    def may_stand(self) -> bool:
        return self._elections.may_stand()

    def election_s(self) -> float:
        return self._elections.election_s()

    def stood(self, term: int) -> None:
        self._elections.stood(term)

    def ask(self, peer: str, term: int, last: int, last_term: int) -> None:
        self._ground.send(peer, Ask(term, last, last_term))

    def grant(self, peer: str, term: int) -> None:
        left_s = self._ground.book.promise_left_s(self._ground.now.boot)
        self._ground.send(peer, Vote(term, left_s))

    def led(self) -> None:
        self._ground.book = self._ground.book.lead()
        self._proposals.frozen = None
        self._handover.end()
        self._leading.begin()

    def followed(self) -> None:
        self._ground.book = self._ground.book.follow()
        self._proposals.frozen = None
        self._handover.end()

    def replicate(self) -> None:
        self._leading.speak()

    def apply(self, entry: Entry) -> None:
        self._proposals.apply(entry)
