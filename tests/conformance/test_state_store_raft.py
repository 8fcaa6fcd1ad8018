"""What a cluster agrees on is kept as every state store keeps it; here by one member, or two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dnslb.election.raft.timings import LAN
from dnslb.net.clock import FakeClock
from dnslb.ports.state_store import StateStore
from tests.conformance.state_store import Published, StateStoreSuite, running
from tests.election.raft.house import House, Street

NAME, OTHER = "a", "b"


class RaftBench:
    """``other``: a second voter, once something had to be broken: without it nobody can lead."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.is_founded = False
        self.house = House(NAME, directory / NAME, self.clock)
        self.other: House | None = None
        self.street: Street | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[StateStore, Published]]:
        async with trio.open_nursery() as nursery:
            houses = [self.house] if self.other is None else [self.house, self.other]
            self.street = Street(self.directory, nursery, {one.name: one for one in houses})
            founds, self.is_founded = not self.is_founded, True
            await self.street.open(NAME, bootstrap=founds, publish=False)
            store = self.house.member.store
            async with running(store) as published, trio.open_nursery() as elector:
                elector.start_soon(self.house.member.elector.run, self.house.leases.append)
                if self.other is not None:
                    await self.street.open(OTHER)
                await self.lead()
                yield store, published
                elector.cancel_scope.cancel()
            nursery.cancel_scope.cancel()

    async def lead(self) -> None:
        assert self.street is not None
        while (leader := await self.street.wait_lease()) is not self.house:
            await leader.member.elector.hand_over(NAME)

    async def start(self, published: Published) -> None:
        async with trio.open_nursery() as nursery:
            await Street(self.directory, nursery, {NAME: self.house}).open(NAME, publish=False)
            nursery.start_soon(self.house.member.store.run, published)

    def pass_time(self, seconds: float) -> None:
        self.clock.suspend(seconds)

    async def break_ground(self) -> None:
        assert self.street is not None
        self.other = await self.street.open(OTHER)
        await self.house.raft("add_voter", OTHER, self.other.address, "0")
        await self.street.shut(self.other)
        await trio.sleep(LAN.lease_s * 10)
        assert self.house.member.node.member.role != "leader"

    async def mend_ground(self) -> None:
        assert self.street is not None
        await self.street.open(OTHER)
        await self.lead()

    async def damage(self) -> None:
        path = trio.Path(self.directory / NAME / "raft.sqlite")
        data = await path.read_bytes()
        await path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


class TestRaftStateStore(StateStoreSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path, autojump_clock: MockClock) -> RaftBench:
        return RaftBench(tmp_path)
