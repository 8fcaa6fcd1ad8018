"""A town of machines with nodes, in memory: what wires dial, and what outlives a process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.founding import found_cluster
from dnslb.election.raft.ground import Settings
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import Store
from dnslb.election.raft.membership import Member
from dnslb.election.raft.node import RaftNode
from dnslb.election.raft.timings import LAN
from dnslb.errors import StoreError
from dnslb.net.clock import FakeClock
from tests.election.raft.memory_store import MemoryStore
from tests.election.raft.stage import Lines


@dataclass(eq=False)
class Place:
    """One machine: its node, if it runs, and what outlives it."""

    id: str
    store: Store
    clock: FakeClock = field(default_factory=FakeClock)
    version: int = 1
    node: RaftNode | None = None
    machine: Lines = field(default_factory=Lines)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    refusals: list[str] = field(default_factory=list)
    serving: list[trio.CancelScope] = field(default_factory=list)
    lost_leases: int = 0
    error: BaseException | None = None

    def role(self) -> str:
        return self.member.role

    @property
    def member(self) -> RaftMember:
        assert self.node is not None
        return self.node.member


@dataclass(eq=False)
class Town:
    nursery: trio.Nursery
    places: dict[str, Place] = field(default_factory=dict)

    async def start(self, one: str, *, found: bool = False) -> Place:
        place = self.places.setdefault(one, Place(one, MemoryStore(f"{len(self.places):02x}")))
        journal = Journal(place.store)
        if found:
            assert found_cluster(
                journal, member_id=one, address=f"{one}:1", cluster_id="c1", epoch=7
            )
        place.machine = Lines()
        settings = Settings(LAN, command_version=place.version)
        luck = random.Random(one)
        member = RaftMember(one, journal, place.machine, settings, luck, place.clock.now())

        held = False

        def changed() -> None:
            nonlocal held
            before, held = held, member.lease() is not None
            place.lost_leases += before and not held

        place.node = RaftNode(
            member,
            place.clock,
            on_change=changed,
            on_refusal=lambda _, rebuff: place.refusals.append(rebuff.sentence),
            luck=luck,
            dial=self._dial,
        )
        place.scope = trio.CancelScope()
        await self.nursery.start(self._run, place)
        return place

    async def _run(
        self, place: Place, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        node = place.node
        assert node is not None
        try:
            with place.scope:
                await node.run(task_status)
        except* StoreError as group:
            place.error = group
        finally:
            place.node = None
            for scope in place.serving:
                scope.cancel()

    async def _dial(self, address: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        place = self.places.get(address.removesuffix(":1"))
        if place is None or place.node is None:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._serve, place, theirs)
        return ours

    async def _serve(self, place: Place, stream: trio.abc.Stream) -> None:
        node = place.node
        if node is None:
            await stream.aclose()
            return
        with trio.CancelScope() as scope:
            place.serving.append(scope)
            await node.wire.accept(stream)

    async def stop(self, one: str) -> None:
        place = self.places[one]
        place.scope.cancel()
        await trio.sleep(0.05)
        if isinstance(place.store, MemoryStore):
            place.store = place.store.reopened()

    def leader(self) -> Place | None:
        for place in self.places.values():
            if place.node is not None and place.member.ready and place.member.lease():
                return place
        return None

    async def wait_leader(self, *, but: str = "") -> Place:
        with trio.fail_after(20):
            while (found := self.leader()) is None or found.id == but:  # noqa: ASYNC110 (mock)
                await trio.sleep(0.01)
        return found

    async def join(self, leader: Place, one: str, *, voter: bool = True) -> Place:
        place = await self.start(one)
        assert leader.node is not None
        hello = await leader.node.wire.probe(one, f"{one}:1")
        suffrages = ("nonvoter", "voter") if voter else ("nonvoter",)
        for suffrage in suffrages:
            entry = Member(one, f"{one}:1", suffrage, hello.incarnation)  # type: ignore[arg-type]
            finished = await leader.node.change(leader.member.configuration.with_member(entry))
            assert finished.outcome == "applied"
        return place


@asynccontextmanager
async def town(*others: str) -> AsyncIterator[tuple[Town, Place]]:
    """A cluster founded by ``a``, which leads it; the others joined."""
    async with trio.open_nursery() as nursery:
        made = Town(nursery)
        await made.start("a", found=True)
        leader = await made.wait_leader()
        for other in others:
            await made.join(leader, other)
        yield made, leader
        nursery.cancel_scope.cancel()
