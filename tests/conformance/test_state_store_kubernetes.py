"""The ConfigMap beside the Lease keeps what every state store keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dnslb.election.kubernetes_claim import STATE
from dnslb.errors import KubernetesTemporary
from dnslb.ports.state_store import StateStore
from tests.conformance.state_store import Published, StateStoreSuite, running
from tests.doubles.kubernetes_api.direct import Mishap
from tests.doubles.kubernetes_api.kinds import CONFIG_MAPS
from tests.election.kubernetes_ground import NAME, NAMESPACE, Ground


class KubernetesBench:
    """Each store that is opened holds the Lease for a term of its own."""

    def __init__(self) -> None:
        self.ground = Ground()
        self.clock = self.ground.clock

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[StateStore, Published]]:
        holder = self.ground.holder(f"h{len(self.ground.holders)}")
        async with running(holder.store) as published:
            await holder.take()
            yield holder.store, published
        holder.lose()

    async def start(self, published: Published) -> None:
        await self.ground.holder("another").store.run(published)

    def pass_time(self, seconds: float) -> None:
        self.clock.jump_wall(seconds)

    async def break_ground(self) -> None:
        gone = KubernetesTemporary("nothing listens there.")
        self.ground.holders[-1].door.mishaps.append(Mishap("update", gone))

    async def mend_ground(self) -> None:
        self.ground.holders[-1].door.mishaps.clear()

    async def damage(self) -> None:
        stored = self.ground.objects.get(CONFIG_MAPS, NAMESPACE, NAME)
        stored["data"][STATE] = stored["data"][STATE].replace("192.0.2.1", "192.0.2.9", 1)
        self.ground.objects.replace(CONFIG_MAPS, NAMESPACE, NAME, stored, 0)


class TestKubernetesStateStore(StateStoreSuite):
    @pytest.fixture
    def bench(self) -> KubernetesBench:
        return KubernetesBench()
