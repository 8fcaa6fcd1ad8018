"""Whole members in memory: all parts of an election, real stores on disk, streams in memory.

What the daemon would do for each (its workers, commands, events) is remembered for the test.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio.testing

from dnslb.election.raft.election import Place, RaftElection
from dnslb.election.raft.outlook import Self
from dnslb.election.raft.wire import Dial, prove_nothing
from dnslb.election.surroundings import Surroundings
from dnslb.errors import CommandRefused
from dnslb.model.checkpoint import StoredState
from dnslb.model.cluster import ClusterCommand, ClusterReply
from dnslb.model.command import Command, CommandReply
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import Report
from dnslb.net.clock import FakeClock
from dnslb.net.watchable import Watchable


@dataclass(eq=False)
class House:
    """One member and its daemon. ``works``: seconds that the write under way still takes."""

    name: str
    directory: Path
    clock: FakeClock = field(default_factory=FakeClock)
    profile: str = "lan"
    version: str = "0.1.0"
    works: float = 0.0
    member_: RaftElection | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    serving: list[trio.CancelScope] = field(default_factory=list)
    leases: list[Lease | None] = field(default_factory=list)
    states: list[tuple[StoredState, float]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[tuple[str, str], str] = field(default_factory=dict)
    severities: dict[tuple[str, str], str] = field(default_factory=dict)
    voters: list[tuple[str, ...]] = field(default_factory=list)
    agreed: list[str] = field(default_factory=list)
    rested: list[str] = field(default_factory=list)
    performed: list[Command] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    monitors: Watchable[MonitorList] = field(default_factory=lambda: Watchable(MonitorList()))
    stopped: bool = False

    @property
    def address(self) -> str:
        return f"{self.name}:1"

    @property
    def member(self) -> RaftElection:
        assert self.member_ is not None
        return self.member_

    @property
    def lease(self) -> Lease | None:
        return self.leases[-1] if self.leases else None

    # ------------------------------------------------------------------- what a daemon does

    async def rest(self, token: FencingToken) -> None:
        await trio.sleep(self.works)
        self.rested.append(f"rest {token.term}")

    def resume(self, token: FencingToken) -> None:
        self.rested.append(f"resume {token.term}")

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        await trio.lowlevel.checkpoint()
        await trio.sleep(self.works)
        if command.kind == "drop":
            raise CommandRefused("not this one")
        self.performed.append(command)
        return CommandReply(True, (f"done by {self.name}",))

    async def read(self, path: str, parameters: Mapping[str, str]) -> bytes:
        await trio.lowlevel.checkpoint()
        if path == "huge":
            return bytes(4_000_000)
        return f"{self.name} {path} {dict(parameters)}".encode()

    def note(self, kind: str, message: str, **fields: object) -> None:
        self.events.append((kind, message))

    def put(self, severity: str, kind: str, subject: str, sentence: str, next_step: str) -> None:
        self.rows[kind, subject] = sentence
        self.severities[kind, subject] = severity

    def clear(self, kind: str, subject: str | None = None) -> None:
        self.rows = {
            key: text
            for key, text in self.rows.items()
            if key[0] != kind or subject not in (None, key[1])
        }

    def stop(self) -> None:
        self.stopped = True

    async def deliver(self, report: Report) -> None:
        await trio.lowlevel.checkpoint()
        self.reports.append(report)

    async def raft(self, *words: str, by: str = "eve", background: bool = False) -> ClusterReply:
        name, *arguments = words
        return await self.member.execute(ClusterCommand(name, tuple(arguments), by, background))


@dataclass(eq=False)
class Street:
    """Houses that reach each other by their addresses, but for those in ``cut``."""

    directory: Path
    nursery: trio.Nursery
    houses: dict[str, House] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)

    async def open(self, name: str, *, bootstrap: bool = False, publish: bool = True) -> House:
        house = self.houses.setdefault(name, House(name, self.directory / name))
        house.scope, house.serving = trio.CancelScope(), []
        await self.nursery.start(self._run, house, bootstrap, publish)
        return house

    async def _run(
        self,
        house: House,
        bootstrap: bool,
        publish: bool,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        place = Place(
            Self(house.name, house.address, house.version),
            "owner",
            house.directory,
            house.profile,
            bootstrap,
        )
        around = Surroundings(
            house,
            house.perform,
            house.read,
            house.stop,
            house.note,
            house,
            house.voters.append,
            house.agreed.append,
        )
        member = RaftElection(
            place,
            around,
            house.clock,
            random.Random(house.name),
            dial=self._dial(house),
            prove=prove_nothing,
        )
        house.member_ = member
        try:
            with house.scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(member.run)
                    if publish:
                        nursery.start_soon(
                            member.store.run, lambda state, age: house.states.append((state, age))
                        )
                        nursery.start_soon(member.elector.run, house.leases.append)
                    nursery.start_soon(member.source.run, house.deliver, house.monitors)
                    task_status.started()
        finally:
            house.member_ = None
            for scope in house.serving:
                scope.cancel()
            member.close()

    def _dial(self, caller: House) -> Dial:
        async def dial(address: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            house = self.houses.get(address.removesuffix(":1"))
            if house is None or house.member_ is None or {caller.name, house.name} & self.cut:
                raise ConnectionRefusedError(111, "Connection refused")
            ours, theirs = trio.testing.memory_stream_pair()
            self.nursery.start_soon(self._serve, house, theirs)
            self.nursery.start_soon(self._serve_scope, caller, ours)
            return ours

        return dial

    async def _serve_scope(self, caller: House, stream: trio.abc.Stream) -> None:
        """A process that dies closes its streams."""
        with trio.CancelScope() as scope:
            caller.serving.append(scope)
            await trio.sleep_forever()
        await stream.aclose()

    async def _serve(self, house: House, stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            house.serving.append(scope)
            await house.member.accept(stream, b"")

    async def shut(self, house: House) -> None:
        """As kill -9: nothing is said any more."""
        house.scope.cancel()
        await trio.sleep(0.01)

    def isolate(self, house: House) -> None:
        """Its streams end, and no new one comes about."""
        self.cut.add(house.name)
        for other in self.houses.values():
            if other.member_ is not None:
                for peer in other.member.node.wire.peers:
                    if house.name in (other.name, peer):
                        other.member.node.wire.hang_up(peer)

    async def wait_lease(self, *, but: str = "") -> House:
        """The member that may write."""
        with trio.fail_after(30):
            while True:
                for house in self.houses.values():
                    lease = house.lease
                    if house.member_ is None or lease is None or house.name in (but, *self.cut):
                        continue
                    if lease.holds(house.clock.now().boot):
                        return house
                await trio.sleep(0.01)


@asynccontextmanager
async def street(directory: Path, *others: str) -> AsyncIterator[tuple[Street, House]]:
    """A cluster founded by ``a``, which leads it; the others were added as voters."""
    async with trio.open_nursery() as nursery:
        made = Street(directory, nursery)
        first = await made.open("a", bootstrap=True)
        await made.wait_lease()
        for name in others:
            house = await made.open(name)
            await first.raft("add_voter", name, house.address, "0")
        yield made, first
        nursery.cancel_scope.cancel()
