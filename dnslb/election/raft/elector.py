"""Who may write, in a cluster: the leader's lease made public, given up, and handed over.

Not the lease itself (`lease`), nor the gate that asks for it. Looks at the member after every
event, in the same turn of the loop, so that whoever lost the right knows before anything else.

Law (`safety.md` 1.5): before another member is asked to lead, no write is past the gate, and none
begins any more in this term. What was given up for a reason stays given up in its term.
"""

from __future__ import annotations

import math

import trio

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.node import RaftNode
from dnslb.election.surroundings import Note, Workers
from dnslb.errors import CommandRefused, NoLeader
from dnslb.model.lease import FencingToken, Lease
from dnslb.net.clock import Clock
from dnslb.ports.elector import PublishLease

CATCH_UP_S = 2.0
AGAIN_S_MIN, AGAIN_S_MAX = 10.0, 300.0
"""How long a leader that gave its lease up leads on without one, so that a zone that nobody here
may write is not asked for again and again; doubled each time, forgotten after as long a calm."""
LEAVE_S_MAX = 1.2
LEASE_WAIT_S_MAX = 3.0
"""How long a command waits for a new leader's lease, which begins after its predecessor's."""


class RaftElector:
    """Implements `dnslb.ports.elector.Elector`. ``nonce``: of this process. Call `look` after
    every event of the node."""

    def __init__(
        self,
        node: RaftNode,
        clock: Clock,
        workers: Workers,
        *,
        owner_id: str,
        nonce: str,
        note: Note,
    ) -> None:
        self._node = node
        self._clock = clock
        self._workers = workers
        self._owner_id = owner_id
        self._nonce = nonce
        self._note = note
        self._publish: PublishLease | None = None
        self._published: Lease | None = None
        self._token_: FencingToken | None = None
        self._given_up = -1
        self._again_at = math.inf
        self._again_s = AGAIN_S_MIN
        self._resigned_at = -math.inf
        self._nap = trio.CancelScope()
        self._transfer = trio.Lock()

    @property
    def _member(self) -> RaftMember:
        return self._node.member

    def look(self) -> None:
        """Publishes what became of the right to write."""
        lease = self._lease()
        if self._publish is not None and lease != self._published:
            self._published = lease
            self._publish(lease)
        if self._given_up >= 0 and self._member.term != self._given_up:
            self._given_up, self._again_at = -1, math.inf

    def _lease(self) -> Lease | None:
        """The lease of this instant; notes when that changes by itself."""
        member, now = self._member, self._clock.now()
        span = member.lease()
        due_boot = math.inf
        lease = None
        if span is not None and member.term != self._given_up:
            if span.holds(now.boot):
                token = self._token(member)
                lease = Lease(member.id, token, span.ends_at)
                due_boot = span.ends_at
            elif now.boot < span.begins_at:
                due_boot = span.begins_at
        self._nap.deadline = min(now.mono + (due_boot - now.boot), self._again_at)
        return lease

    def _token(self, member: RaftMember) -> FencingToken:
        """One a term: an epoch that is raised meanwhile, or only logged yet, is the next one's."""
        if self._token_ is None or self._token_.term != member.term:
            _, configuration = member.journal.configuration_at(member.commit)
            epoch = configuration.epoch
            self._token_ = FencingToken(self._owner_id, epoch, member.term, self._nonce)
        return self._token_

    async def run(self, publish_lease: PublishLease) -> None:
        self._publish = publish_lease
        while True:
            self._nap = trio.CancelScope()
            self.look()
            with self._nap:
                await trio.sleep_forever()
            if self._clock.now().mono >= self._again_at:
                self._again_at = math.inf
                self._node.step_down()

    async def wait_lease(self) -> None:
        """Returns once this leader may write, or it is not to be expected any more: it leads no
        more, gave the lease up, or reaches no majority."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(LEASE_WAIT_S_MAX):
            while self._published is None and self._leads(self._member.term):
                if self._member.term == self._given_up:
                    return
                await self._node.wait_event()

    async def resign(self, reason: str) -> None:
        """Gives the lease up for the rest of this term; a while later also the leadership, so
        that this or another member may try again under a new one."""
        await trio.lowlevel.checkpoint()
        member, now = self._member, self._clock.now()
        if member.role != "leader" or self._given_up == member.term:
            return
        calm_s = now.mono - self._resigned_at
        doubled_s = min(self._again_s * 2, AGAIN_S_MAX)
        self._again_s = AGAIN_S_MIN if calm_s > 2 * AGAIN_S_MAX else doubled_s
        self._resigned_at = now.mono
        self._given_up = member.term
        self._again_at = now.mono + self._again_s
        text = f"the right to write is given up until {self._again_s:.0f} s from now: {reason}"
        self._note("resigned", text, term=member.term)
        self.look()

    async def confirm(self) -> str | None:
        """Asks a majority, by a round that begins now (`safety.md` 1.8); None when it agrees."""
        member = self._member
        try:
            if await self._node.verify(member.settings.timings.lease_s):
                return None
        except CommandRefused as refused:
            return f"not sent: {refused}"
        return f"not sent: no majority takes {member.id} for its leader now"

    # ------------------------------------------------------------------------------ handing over

    async def hand_over(self, target: str | None) -> tuple[str, int]:
        """Transfers the leadership, to ``target`` or whoever has most of the log; returns who
        leads now, and in which term. Raises `CommandRefused`; then this member leads on, or
        somebody else does."""
        async with self._transfer:
            return await self._hand_over(target)

    async def _hand_over(self, target: str | None) -> tuple[str, int]:
        member, timings = self._member, self._member.settings.timings
        if member.role != "leader":
            raise CommandRefused(f"{member.id} does not lead any more.")
        if member.configuration.voters == {member.id}:
            raise CommandRefused(f"{member.id} is the only voter: there is nobody to take over.")
        term, lease = member.term, self._published
        if lease is not None:
            await self._workers.rest(lease.token)
        try:
            heir = await self._ask_heir(target, term)
        except BaseException:
            if self._leads(term):
                member.freeze(None)
            if lease is not None:
                self._workers.resume(lease.token)
            raise
        with trio.move_on_after(2 * timings.election_s_max):
            while member.leader in (None, member.id) or member.term == term:
                await self._node.wait_event()
            leader = member.leader
            assert leader is not None
            return leader, member.term
        raise NoLeader(f"{heir} was asked to lead, and nobody has taken over yet; ask again.")

    async def _ask_heir(self, target: str | None, term: int) -> str:
        """Once it has the whole log; proposals are frozen so that it can. The lease is gone in
        the same turn: `look` sees it before a byte of the request leaves."""
        member = self._member
        deadline = self._clock.now().mono + CATCH_UP_S
        while True:
            if not self._leads(term):
                raise CommandRefused("The leadership was lost in between.")
            member.freeze("The leadership is being handed over; try again.")
            try:
                return self._node.transfer(target)
            except CommandRefused:
                if self._clock.now().mono >= deadline:
                    raise
            with trio.move_on_at(deadline):
                await self._node.wait_event()

    def _leads(self, term: int) -> bool:
        return self._member.role == "leader" and self._member.term == term

    async def leave(self) -> None:
        """Before a stop: hands over if there is somebody, within a second or so."""
        member = self._member
        others = member.configuration.voters & self._node.wire.peers
        if member.role == "leader" and others:
            with trio.move_on_after(LEAVE_S_MAX):
                try:
                    heir, term = await self.hand_over(None)
                    self._note("transfer", f"{heir} leads now (term {term}): this one is stopping")
                    return
                except CommandRefused as refused:
                    self._note("transfer", f"stopping without handing over: {refused}")
        if member.role == "leader":
            self._node.step_down()
