"""A zone worker at work, on a bench where everything that it touches can be steered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from dnslb.daemon.write_gate import WriteGate
from dnslb.daemon.zone_worker import Hands, ZoneWorker
from dnslb.decide.events import Event, WriteEnded
from dnslb.model.operator import Pause
from dnslb.model.outcome import Failure, Receipt
from dnslb.net.clock import FakeClock
from tests.daemon.pieces import ZONE, lease
from tests.doubles.zone_provider import ScriptedFence, ScriptedProvider


@dataclass
class Bench:
    """One worker at work, and everything it told."""

    provider: ScriptedProvider
    gate: WriteGate
    clock: FakeClock
    worker: ZoneWorker
    pauses: dict[str, Pause]
    fence: ScriptedFence
    told: list[Event] = field(default_factory=list)

    @property
    def results(self) -> list[Receipt | Failure]:
        return [e.outcome.result for e in self.told if isinstance(e, WriteEnded)]

    @property
    def failure(self) -> Failure:
        (result,) = self.results
        assert isinstance(result, Failure)
        return result


@asynccontextmanager
async def bench(provider: ScriptedProvider | None = None) -> AsyncIterator[Bench]:
    provider = provider or ScriptedProvider()
    clock, pauses, told = FakeClock(), dict[str, Pause](), list[Event]()
    gate = WriteGate(clock, lambda: pauses)
    gate.set_lease(lease())
    fence = ScriptedFence()
    hands = Hands(provider, gate, clock, told.append, lambda: 0.25, fence)
    worker = ZoneWorker(ZONE, hands)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run)
        yield Bench(provider, gate, clock, worker, pauses, fence, told)
        nursery.cancel_scope.cancel()
