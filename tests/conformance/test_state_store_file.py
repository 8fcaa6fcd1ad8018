"""The state file keeps what every state store keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dnslb.election.statefile import STATE_NAME, StateFileStore
from dnslb.net.clock import FakeClock
from dnslb.ports.state_store import StateStore
from tests.conformance.state_store import Published, StateStoreSuite, running


class FileBench:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "state" / STATE_NAME
        self.path.parent.mkdir()
        self.clock = FakeClock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[StateStore, Published]]:
        store = StateFileStore(self.path, self.clock)
        async with running(store) as published:
            yield store, published

    async def start(self, published: Published) -> None:
        await StateFileStore(self.path, self.clock).run(published)

    def pass_time(self, seconds: float) -> None:
        self.clock.jump_wall(seconds)

    async def break_ground(self) -> None:
        await trio.Path(self.path.parent).rename(self.path.parent.with_name("away"))

    async def mend_ground(self) -> None:
        await trio.Path(self.path.parent.with_name("away")).rename(self.path.parent)

    async def damage(self) -> None:
        data = await trio.Path(self.path).read_bytes()
        damaged = data.replace(b"192.0.2.1", b"192.0.2.9")
        assert damaged != data
        await trio.Path(self.path).write_bytes(damaged)


class TestStateFileStore(StateStoreSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> FileBench:
        return FileBench(tmp_path)
