"""A member at work: its core between the wire and the clock, in one trio task tree.

Not consensus (`core`), not administration, and not an elector: those who decide what to propose,
and whether to write, ask this. What members tell each other beside consensus passes through.

Law: one event at a time, and its frames leave in the order in which they were decided. A member
whose core stopped (a full disk, a broken log) ends this task tree; nothing of it goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.frames import Hello, Identity, Rebuff
from dnslb.election.raft.ground import Effects, Finished
from dnslb.election.raft.log import COMMAND_BYTES_MAX, opaque, regular
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.messages import Beside, Message
from dnslb.election.raft.proposals import FULL, PENDING_MAX, TOO_LONG
from dnslb.election.raft.wire import Dial, Prove, Wire, dial_tcp, prove_nothing
from dnslb.errors import CommandRefused, StoreError
from dnslb.model.instant import Now
from dnslb.net.clock import Clock, wall_jump_s

LATE_S = 0.001
"""pysyncobj acts after its deadlines, not at them."""

WALL_JUMP_S = 1.0
"""By how much the wall clock may be set before the lease is dropped; slewing stays far below."""

FAREWELL_S = 0.5

IDLE_S_MAX = 1.0
"""The longest sleep of the ticker, so that a jump of the wall clock is noticed."""

Changed = Callable[[], None]


@dataclass(eq=False)
class _Asked:
    """A proposal of somebody who waits; ``ticket`` 0: not yet made."""

    command: bytes
    ticket: int = 0
    outcome: Finished | CommandRefused | StoreError | None = None
    over: trio.Event = field(default_factory=trio.Event)

    def end(self, outcome: Finished | CommandRefused | StoreError) -> None:
        self.outcome = outcome
        self.over.set()


class RaftNode:
    """``departed``: what is known of who was taken out, told to whom is refused for it.
    ``on_change`` is called after every event, in the same turn of the loop: whoever publishes
    the lease looks at it then. Nothing in it may wait or begin another event."""

    def __init__(
        self,
        member: RaftMember,
        clock: Clock,
        *,
        on_change: Changed,
        on_refusal: Callable[[str, Rebuff], None],
        on_aside: Callable[[str, bytes], None] = lambda peer, data: None,
        luck: random.Random,
        dial: Dial = dial_tcp,
        prove: Prove = prove_nothing,
    ) -> None:
        self.member = member
        self.wire = Wire(self, dial=dial, prove=prove, luck=luck)
        self._clock = clock
        self._on_change = on_change
        self._on_refusal = on_refusal
        self._on_aside = on_aside
        self._asked: list[_Asked] = []
        self._asking = trio.Event()
        self._waiting: dict[int, _Asked] = {}
        self._versions: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._farewells: dict[str, float] = {}
        self.departed: dict[str, str] = {}
        self._dialled: Configuration | None = None
        self._awaited: trio.Event | None = None
        self._nap = trio.CancelScope()
        self._last = clock.now()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Raises `StoreError` or `BrokenLog` when the member stopped."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.wire.run)
            self._dial_members()
            self._set_nap()
            nursery.start_soon(self._propose_together)
            task_status.started()
            await self._tick()

    async def _tick(self) -> None:
        """Ticks when the member says so; each event moves that."""
        while True:
            with self._nap:
                await trio.sleep_forever()
            due, self._nap = self._nap.deadline, trio.CancelScope()
            if self._clock.now().mono >= due:
                self._carry_out(self.member.tick(self._now()))
            self._set_nap()

    def _set_nap(self) -> None:
        due, latest = self.member.deadline() + LATE_S, self._last.mono + IDLE_S_MAX
        self._nap.deadline = min(due, latest)

    def _now(self) -> Now:
        """This instant; a wall clock that was set in between drops the lease (`safety.md` 1.1)."""
        now = self._clock.now()
        if abs(wall_jump_s(self._last, now)) > WALL_JUMP_S:
            self.member.drop_lease()
        self._last = now
        return now

    def _carry_out(self, effects: Effects) -> None:
        for peer, message in effects.frames:
            self.wire.send(peer, message)
        for finished in effects.finished:
            asked = self._waiting.pop(finished.ticket, None)
            if asked is not None:
                asked.end(finished)
        if self._dialled is not None:
            if self._dialled is not self.member.configuration:
                self._dial_members()
            self._part_from_strangers()
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None
        self._set_nap()
        self._on_change()

    def _dial_members(self) -> None:
        """A stream to each other member."""
        self._dialled = self.member.configuration
        members = self._dialled.members
        self.wire.set_peers({one.id: one.address for one in members if one.id != self.member.id})

    def _part_from_strangers(self) -> None:
        """A leader knows who belongs: it ends all other streams, but not before it may have told
        who was removed what it asked."""
        leads = self.member.role == "leader"
        strangers = self.wire.peers.difference(self._others()) if leads else frozenset()
        if not strangers and not self._farewells:
            return
        now = self._last.mono
        self._farewells = {peer: self._farewells.get(peer, now) for peer in strangers}
        for peer, since in self._farewells.items():
            if now >= since + FAREWELL_S:
                self.wire.hang_up(peer)

    # -------------------------------------------------------------------------------- asking

    async def propose(self, data: bytes, *, version: int = 1, spoken: int = 1) -> Finished:
        """Waits until it is known what became of it. Raises `CommandRefused`; a caller that is
        cancelled does not know. A version that some member has not announced is refused, unless
        it is ``spoken`` in this cluster already."""
        behind = [one for one in self._others() if self._versions.get(one, 1) < version]
        if version > spoken and behind:
            raise CommandRefused(
                f"{', '.join(behind)} did not say that it would understand it (version "
                f"{version}): start the newer dnslb everywhere first."
            )
        return await self._propose(regular(data, version))

    async def propose_opaque(self, data: bytes) -> Finished:
        """As `propose`, for bytes that are applied as nothing; empty for a barrier."""
        return await self._propose(opaque(data))

    async def _propose(self, command: bytes) -> Finished:
        if self.member.pending + len(self._asked) >= PENDING_MAX:
            raise CommandRefused(FULL)
        if len(command) > COMMAND_BYTES_MAX:
            raise CommandRefused(TOO_LONG)
        asked = _Asked(command)
        self._asked.append(asked)
        self._asking.set()
        return await self._outcome(asked)

    async def _propose_together(self) -> None:
        """All that was asked for in one turn of the loop goes into one event."""
        while True:
            await self._asking.wait()
            self._asking = trio.Event()
            asked, self._asked = self._asked, []
            commands = [one.command for one in asked]
            try:
                tickets, effects = self.member.propose_all(commands, self._now())
            except (CommandRefused, StoreError) as error:
                for one in asked:
                    one.end(error)
                if isinstance(error, StoreError):
                    raise
                continue
            for one, ticket in zip(asked, tickets, strict=True):
                one.ticket = ticket
                self._waiting[ticket] = one
            self._carry_out(effects)

    async def change(self, new: Configuration) -> Finished:
        """As `propose`, for another configuration."""
        asked = _Asked(b"")
        asked.ticket, effects = self.member.change(new, self._now())
        self._waiting[asked.ticket] = asked
        self._carry_out(effects)
        return await self._outcome(asked)

    async def _outcome(self, asked: _Asked) -> Finished:
        try:
            await asked.over.wait()
        finally:
            self._waiting.pop(asked.ticket, None)
        outcome = asked.outcome
        assert outcome is not None
        if isinstance(outcome, CommandRefused | StoreError):
            # Each of those who wait raises one of its own.
            raise type(outcome)(str(outcome)) from outcome
        return outcome

    async def verify(self, timeout_s: float) -> bool:
        """Whether a majority still takes this for its leader, asked from now on."""
        asked, effects = self.member.begin_round(self._now())
        self._carry_out(effects)
        with trio.move_on_after(timeout_s):
            while (confirmed := self.member.confirmed(asked)) is None:
                await self.wait_event()
            return confirmed
        return False

    async def wait_event(self) -> None:
        """Returns soon after the next event; now and then without one."""
        if self._awaited is None:
            self._awaited = trio.Event()
        await self._awaited.wait()

    def transfer(self, target: str | None) -> str:
        """Gives the lease up and asks ``target``, or the best heir, to stand; returns whom. Only
        when no write is past the gate. Raises `CommandRefused`."""
        heir, effects = self.member.transfer(target, self._now())
        self._carry_out(effects)
        return heir

    def step_down(self) -> None:
        """Leads no more."""
        self._carry_out(self.member.step_down(self._now()))

    def snapshot(self) -> None:
        """Takes one now."""
        self._carry_out(self.member.snapshot(self._now()))

    def _others(self) -> list[str]:
        ids = (one.id for one in self.member.configuration.members)
        return [one for one in ids if one != self.member.id]

    def heard_at(self, peer: str) -> float | None:
        """When the last frame of any kind came over the stream that there is (monotonic)."""
        return self._heard.get(peer)

    # ------------------------------------------------------------------- what the wire tells

    def identity(self) -> Identity:
        journal = self.member.journal
        return Identity(
            self.member.id,
            journal.incarnation,
            journal.facts.cluster_id,
            self.member.settings.command_version,
            journal.configuration,
            leads=self.member.role == "leader",
            departed=self.departed,
        )

    def connected(self, peer: str, hello: Hello) -> None:
        self._versions[peer] = hello.command_version
        self._carry_out(self.member.connected(peer, self._now()))

    def disconnected(self, peer: str) -> None:
        self._heard.pop(peer, None)
        self._carry_out(self.member.disconnected(peer, self._now()))

    def receive(self, peer: str, message: Message) -> None:
        self._heard[peer] = self._clock.now().mono
        if isinstance(message, Beside):
            self._on_aside(peer, message.data)
            return
        self._carry_out(self.member.receive(peer, message, self._now()))

    def refused(self, peer: str, rebuff: Rebuff) -> None:
        self._on_refusal(peer, rebuff)
