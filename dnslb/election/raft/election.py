"""Everything that one member of a cluster consists of, put together on its directory.

The parts know only what they need of each other; here is the order in which they learn of an
event: the state first, then the right to write, which rests on it (`safety.md` 1.2), then all that
is only told.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from dnslb.election.raft import asides
from dnslb.election.raft.admin import Administration
from dnslb.election.raft.asides import (
    Answered,
    AskCommand,
    AskRaft,
    AskRead,
    Departed,
    Facts,
    Handed,
    Monitors,
    Needs,
    Standings,
)
from dnslb.election.raft.carry import Carrier
from dnslb.election.raft.commands import LOOKS, Commands, Parts
from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.elector import RaftElector
from dnslb.election.raft.founding import found_cluster
from dnslb.election.raft.frames import Rebuff
from dnslb.election.raft.ground import Settings
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.machine import VERSION, DecisionMachine, TakeMarkers
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.node import RaftNode
from dnslb.election.raft.outlook import Outlook, Self
from dnslb.election.raft.parting import Parting
from dnslb.election.raft.relay import Relay
from dnslb.election.raft.replica import Replica
from dnslb.election.raft.store import SqliteStore
from dnslb.election.raft.timings import PROFILES
from dnslb.election.raft.undertakings import Undertakings
from dnslb.election.raft.wire import Dial, Prove
from dnslb.election.statedir import StateDirectory
from dnslb.election.surroundings import Surroundings
from dnslb.errors import CommandRefused, InvalidValue, NoLeader, StoreError
from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView
from dnslb.model.command import Command, CommandReply
from dnslb.model.lease import EPOCH_MAX
from dnslb.model.report import Report
from dnslb.model.status import Attention
from dnslb.net.clock import Clock


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as what this member stands. ``directory`` is its own; ``bootstrap``: it founds a
    cluster there if it never belonged to one. ``dry_run``: only what it holds is looked at; it is
    never run, so it votes for nobody, leads nobody and hears nobody."""

    me: Self
    owner_id: str
    directory: Path
    profile: str
    bootstrap: bool
    dry_run: bool = False


class RaftElection:
    """Implements `dnslb.ports.cluster.Cluster`; ``store``, ``elector`` and ``source`` are the
    other ports. Raises `LocalError` when the directory or what is in it cannot be used."""

    def __init__(
        self,
        place: Place,
        around: Surroundings,
        clock: Clock,
        luck: random.Random,
        *,
        dial: Dial,
        prove: Prove,
    ) -> None:
        self._around = around
        self._clock = clock
        self._directory = StateDirectory(place.directory)
        try:
            self._journal = Journal(SqliteStore(place.directory))
        except BaseException:
            self._directory.close()
            raise
        try:
            self._found(place)
            self._assemble(place, luck, dial, prove)
        except BaseException:
            self.close()
            raise

    def _found(self, place: Place) -> None:
        if not place.bootstrap:
            return
        wall = self._clock.now().wall
        done = found_cluster(
            self._journal,
            member_id=place.me.id,
            address=place.me.address,
            cluster_id=secrets.token_hex(8),
            epoch=max(1, int(wall)),
        )
        if done:
            cluster = self._journal.configuration.cluster_id
            self._around.note("membership", f"{place.me.id} founded the cluster {cluster}")
        else:
            text = f"-raft-bootstrap is ignored: {place.directory} belongs to a cluster already"
            self._around.note("notice", text)

    def _assemble(self, place: Place, luck: random.Random, dial: Dial, prove: Prove) -> None:
        clock, around = self._clock, self._around
        nonce = secrets.token_hex(8)
        self.machine = DecisionMachine()
        settings = Settings(PROFILES[place.profile], command_version=VERSION)
        member = RaftMember(place.me.id, self._journal, self.machine, settings, luck, clock.now())
        self.node = RaftNode(
            member,
            clock,
            on_change=self._look,
            on_refusal=self._refused,
            on_aside=self._hear,
            luck=luck,
            dial=dial,
            prove=prove,
        )
        self.store = Replica(self.node, self.machine, clock, nonce)
        self.elector = RaftElector(
            self.node,
            clock,
            around.workers,
            owner_id=place.owner_id,
            nonce=nonce,
            note=around.note,
        )
        self._admin = admin = Administration(self.node, clock)
        self._undertakings = Undertakings()
        self._carrier = Carrier(self.node, self, around.note)
        send = self._carrier.send
        self._parting = Parting(self.node, clock, around.note, send)
        parts = Parts(
            self.node,
            clock,
            self.elector,
            admin,
            self._carrier,
            self._undertakings,
            self._parting,
        )
        self._commands = Commands(parts, around.note, around.stop)
        self.source = Relay(clock, send)
        self.outlook = Outlook(
            place.me,
            self.node,
            admin,
            clock,
            around.note,
            send,
            self._parting,
            dry_run=place.dry_run,
        )
        self._dry_run = place.dry_run
        if place.dry_run:
            # What was decided up to its last run; nothing is due yet, so it says nothing.
            member.tick(clock.now())
        self._version = place.me.version
        self._connected: frozenset[str] = frozenset()
        self._agreed = ""
        self._in_force = Configuration()
        self.voters: tuple[str, ...] = ()
        self._count_voters()

    def close(self) -> None:
        """Gives the directory back."""
        self._journal.close()
        self._directory.close()

    # ------------------------------------------------------------------------------ its life

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Raises `StoreError` or `BrokenLog` when the member stopped."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._undertakings.run)
            nursery.start_soon(self._carrier.run)
            nursery.start_soon(self.outlook.run, self._around.notices)
            await nursery.start(self.node.run)
            self._look()
            task_status.started()

    async def accept(self, stream: trio.abc.Stream, begun: bytes) -> None:
        """Serves a stream that another member dialled."""
        await self.node.wire.accept(stream, begun)

    def hang_up(self) -> None:
        """Ends the streams of all members, who then know at once that this one stops."""
        for peer in self.node.wire.peers:
            self.node.wire.hang_up(peer)

    def _look(self) -> None:
        """After every event, in the same turn of the loop."""
        self.store.look()
        self.elector.look()
        self.outlook.look()
        self._carrier.look()
        peers = self.node.wire.peers
        if peers != self._connected:
            self._greet(peers)
            self._compare()
        if self._count_voters():
            self._around.voters(self.voters)
            self._compare()

    def _compare(self) -> None:
        agreed = self.outlook.agreed(self.voters)
        if agreed != self._agreed:
            self._agreed = agreed
            self._around.agreed(agreed)

    def _greet(self, peers: frozenset[str]) -> None:
        before, self._connected = self._connected, peers
        for gone in before - peers:
            self.source.disconnected(gone)
            self._carrier.disconnected(gone)
        for new in sorted(peers - before):
            self.outlook.connected(new)
            self._carrier.send(new, Facts(self._version, self.outlook.digest))
            self.source.connected(new)

    def _count_voters(self) -> bool:
        """Whether those of the committed configuration are others than before."""
        member, before = self.node.member, self.voters
        _, configuration = member.journal.configuration_at(member.commit)
        if configuration is self._in_force:
            return False
        self._in_force = configuration
        self.voters = tuple(sorted(configuration.voters))
        return self.voters != before

    # ---------------------------------------------------------------------- what others say

    def _hear(self, peer: str, data: bytes) -> None:
        try:
            aside = asides.from_bytes(data)
        except InvalidValue as error:
            self._refused(peer, Rebuff(f"{peer}: {error}"))
            return
        match aside:
            case Facts():
                self.outlook.hear(peer, aside)
                self._compare()
            case Monitors() | Handed():
                self.source.hear(peer, aside)
            case Needs():
                self.outlook.hear_needs(peer, aside)
            case Departed():
                self._parting.hear(aside)
            case Standings():
                self.outlook.contacts.hear(peer, aside)
            case AskRaft() | AskCommand() | AskRead() | Answered():
                self._carrier.hear(peer, aside)

    def _refused(self, peer: str, rebuff: Rebuff) -> None:
        self.outlook.refused(peer, rebuff)
        if rebuff.removed:
            self._parting.refused(rebuff)

    def tell_digest(self, digest: str) -> None:
        """Of what this member decides by; the others compare."""
        if digest != self.outlook.digest:
            self.outlook.digest = digest
            for peer in self.node.wire.peers:
                self._carrier.send(peer, Facts(self._version, digest))
            self._compare()

    # ------------------------------------------------------------------------------- asking

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        if self._dry_run and command.name not in LOOKS:
            await trio.lowlevel.checkpoint()
            us = self.node.member.id
            raise CommandRefused(
                f"{us} is a dry run: it takes no part in its cluster; ask a member that does"
            )
        return await self._commands.execute(command)

    def view(self) -> ClusterView:
        return self.outlook.view()

    async def lead(self, command: ClusterCommand) -> ClusterReply:
        """As the leader, for another member."""
        return await self._commands.lead(command)

    async def perform_here(self, command: Command, timeout_s: float) -> CommandReply:
        """As the leader, for another member or somebody here; waits for the lease to begin."""
        await self.elector.wait_lease()
        return await self._around.perform(command, timeout_s)

    async def read_here(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """As the leader, for another member."""
        return await self._around.read(path, parameters)

    async def read(self, path: str, parameters: Mapping[str, str]) -> bytes | None:
        """What the leader answers; None where that is this member. Raises `CommandRefused` where
        nobody can be asked."""
        member = self.node.member
        if member.role == "leader":
            await trio.lowlevel.checkpoint()
            return None
        if member.leader is None:
            raise NoLeader(f"no leader is known to {member.id}")
        return await self._carrier.ask_read(member.leader, path, parameters)

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        """An operator's command, here or at the leader. Raises `CommandRefused`."""
        leader = await self._carrier.find_leader()
        if leader == self.node.member.id:
            return await self.perform_here(command, timeout_s)
        return await self._carrier.ask_command(leader, command, timeout_s)

    def report(self, report: Report) -> None:
        """What reached this member: handed on to the others."""
        self.source.hand_on(report)

    def tell_needs(self, rows: Sequence[Attention]) -> None:
        """The attention list of this member, which the others show, too, while it leads."""
        self.outlook.needs = rows

    # ------------------------------------------------------------------------------ markers

    def knows_marker(self, zone: str) -> bool:
        """Whether the marker of that zone ever held a token of this cluster."""
        return zone in self.machine.marked

    async def note_marker(self, zone: str) -> None:
        """It does now. Raises `StoreError`."""
        if not self.knows_marker(zone):
            await self.store.replicate((TakeMarkers((zone,)),))

    async def outbid(self, zone: str, epoch: int) -> None:
        """Of a marker whose owner a person said is to be followed: it is known, the cluster's epoch
        is above it and no less than the wall clock, and this member leads no more, since whatever
        was planned names the old one. Raises `StoreError`."""
        wanted = max(epoch + 1, int(self._clock.now().wall))
        if wanted > EPOCH_MAX:
            raise StoreError(f"an epoch above {epoch} cannot be written; see dnslb fence reset")
        try:
            await self._admin.raise_epoch(wanted)
            await self.note_marker(zone)
        except CommandRefused as refused:
            raise StoreError(str(refused)) from refused
        text = f"the epoch of this cluster is {wanted} from now on, above the marker of {zone}"
        self._around.note("fence", text, epoch=wanted)
        self.node.step_down()
