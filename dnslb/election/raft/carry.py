"""Commands that reach a member which does not lead, carried to the one that does.

Not what they do, nor who may ask: the member that was asked has seen to that, and says who it was.

Law: a command is handed over once. If the stream ends before the answer, nobody says that it was
not done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import trio

from dnslb.election.raft import asides
from dnslb.election.raft.asides import Answered, Aside, AskCommand, AskRaft, AskRead, Question
from dnslb.election.raft.messages import BESIDE_BYTES_MAX, Beside
from dnslb.election.raft.node import RaftNode
from dnslb.election.surroundings import Note
from dnslb.errors import CommandRefused, NoLeader, NotLeader
from dnslb.model.cluster import ClusterCommand, ClusterReply
from dnslb.model.command import Command, CommandReply
from dnslb.net.clock import mono_s

UNDER_WAY_MAX = 100
RAFT_S_MAX = 60.0
READ_S_MAX = 5.0
READ_BYTES_MAX = BESIDE_BYTES_MAX - 1024
LEADER_S_MAX = 3.0
"""How long a command waits for a leader to be found: some elections long."""
SPARE_S = 5.0
LATE_S = 2.0
"""How long a leader that another one succeeded may still answer: it may have handed over for it."""


class Leader(Protocol):
    """What a leader does for the others."""

    async def lead(self, command: ClusterCommand) -> ClusterReply: ...

    async def perform_here(self, command: Command, timeout_s: float) -> CommandReply: ...

    async def read_here(self, path: str, parameters: Mapping[str, str]) -> bytes: ...


@dataclass(eq=False)
class _Asked:
    """``reads``: it changes nothing, so that no answer is no harm."""

    leader: str
    reads: bool
    event: trio.Event = field(default_factory=trio.Event)
    answer: Answered | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Carrier:
    """``leader``: who carries out here, while this member leads."""

    def __init__(self, node: RaftNode, leader: Leader, note: Note) -> None:
        self._node = node
        self._leader = leader
        self._note = note
        self._too_long: set[type[Aside]] = set()
        self._tickets = count(1)
        self._waiting: dict[int, _Asked] = {}
        self._under_way = 0
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Serves other members' commands until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    # ------------------------------------------------------------------------------- who leads

    async def find_leader(self) -> str:
        """The id of the member that leads, which may be this one. Raises `NoLeader`."""
        member = self._node.member
        with trio.move_on_after(LEADER_S_MAX):
            while True:
                await trio.lowlevel.checkpoint()
                if member.role == "waiting":
                    raise NoLeader(
                        f"{member.id} waits to be added to a cluster; nobody here leads it"
                    )
                if member.role == "leader" and member.ready:
                    return member.id
                if member.leader not in (None, member.id):
                    assert member.leader is not None
                    return member.leader
                await self._node.wait_event()
        if (words := self._node.departed.get(member.id)) is not None:
            raise NoLeader(f"{member.id} was taken out of its cluster {words}; ask a member of it")
        raise NoLeader(
            f"no leader is known to {member.id} (term {member.term}); nothing was changed"
        )

    # -------------------------------------------------------------------------------- asking

    async def ask_raft(self, leader: str, command: ClusterCommand) -> ClusterReply:
        """Raises `CommandRefused`, of which `NotLeader` names an address to go to."""
        answer = await self._ask(leader, lambda t: AskRaft(t, command), RAFT_S_MAX)
        if answer.raft is None:
            raise CommandRefused(f"{leader} gave no answer that fits.")
        return answer.raft

    async def ask_command(self, leader: str, command: Command, timeout_s: float) -> CommandReply:
        """As `ask_raft`."""
        answer = await self._ask(
            leader, lambda t: AskCommand(t, command, timeout_s), timeout_s + SPARE_S
        )
        if answer.command is None:
            raise CommandRefused(f"{leader} gave no answer that fits.")
        return answer.command

    async def ask_read(self, leader: str, path: str, parameters: Mapping[str, str]) -> bytes:
        """As `ask_raft`: what the leader answers there, as bytes."""
        answer = await self._ask(leader, lambda t: AskRead(t, path, {**parameters}), READ_S_MAX)
        if answer.read is None:
            raise CommandRefused(f"{leader} gave no answer that fits.")
        return answer.read

    async def _ask(self, leader: str, ask: Callable[[int], Question], timeout_s: float) -> Answered:
        if leader not in self._node.wire.peers:
            known = self._node.member.configuration.find(leader)
            if known is None:
                raise NoLeader(f"{leader} leads, and this member does not know its address yet")
            raise NotLeader(leader, known.address)
        ticket = next(self._tickets)
        question = ask(ticket)
        asked = self._waiting[ticket] = _Asked(leader, isinstance(question, AskRead))
        asked.scope.deadline = mono_s() + timeout_s
        try:
            self.send(leader, question)
            with asked.scope:
                await asked.event.wait()
        finally:
            del self._waiting[ticket]
        answer = asked.answer
        if answer is None and asked.reads:
            raise CommandRefused(f"{leader}, which leads or led, gives no answer")
        if answer is None:
            raise CommandRefused(
                f"{leader}, which led then, gave no answer: it may or may not have been done; "
                "look before you try again"
            )
        if answer.refusal is not None:
            raise (NoLeader if answer.leaderless else CommandRefused)(answer.refusal)
        return answer

    def send(self, peer: str, aside: Aside) -> None:
        """At once or never. What is too long, which nothing within its own bounds is, is noted
        once."""
        data = asides.to_bytes(aside)
        if len(data) <= BESIDE_BYTES_MAX:
            self._node.wire.send(peer, Beside(data))
        elif type(aside) not in self._too_long:
            self._too_long.add(type(aside))
            text = (
                f"what members tell each other as {type(aside).__name__} has {len(data)} bytes; "
                f"more than {BESIDE_BYTES_MAX} are not handed on"
            )
            self._note("notice", text)

    # ------------------------------------------------------------------------------ answering

    def hear(self, peer: str, aside: Question | Answered) -> None:
        match aside:
            case Answered():
                asked = self._waiting.get(aside.ticket)
                if asked is not None and asked.leader == peer:
                    asked.answer = asked.answer or aside
                    asked.event.set()
            case AskRaft() | AskCommand() | AskRead():
                if self._nursery is None or self._under_way >= UNDER_WAY_MAX:
                    busy = f"{UNDER_WAY_MAX} commands are under way already; try again"
                    self.send(peer, Answered(aside.ticket, refusal=busy))
                    return
                self._under_way += 1
                self._nursery.start_soon(self._serve, peer, aside)

    async def _serve(self, peer: str, ask: Question) -> None:
        try:
            self.send(peer, await self._answer(ask))
        finally:
            self._under_way -= 1

    async def _answer(self, ask: Question) -> Answered:
        member = self._node.member
        if member.role != "leader":
            sentence = f"{member.id} does not lead any more; nothing was changed"
            return Answered(ask.ticket, refusal=sentence, leaderless=True)
        try:
            if isinstance(ask, AskRaft):
                return Answered(ask.ticket, raft=await self._leader.lead(ask.command))
            if isinstance(ask, AskRead):
                data = await self._leader.read_here(ask.path, ask.parameters)
                if len(data) > READ_BYTES_MAX:
                    raise CommandRefused(f"that is too much to hand on: ask {member.id} itself")
                return Answered(ask.ticket, read=data)
            reply = await self._leader.perform_here(ask.command, ask.timeout_s)
            return Answered(ask.ticket, command=reply)
        except CommandRefused as refused:
            lost = isinstance(refused, NoLeader | NotLeader)
            return Answered(ask.ticket, refusal=str(refused), leaderless=lost)

    def disconnected(self, peer: str) -> None:
        """Whoever waits for its answer waits in vain."""
        for asked in self._waiting.values():
            if asked.leader == peer:
                asked.event.set()

    def look(self) -> None:
        """After every event: nobody waits long for one that leads no more, be it that it stands
        still or cannot be reached."""
        leader, now = self._node.member.leader, mono_s()
        for asked in self._waiting.values():
            if asked.leader == leader:
                continue
            if asked.reads:
                asked.event.set()
            elif leader is not None:
                asked.scope.deadline = min(asked.scope.deadline, now + LATE_S)
