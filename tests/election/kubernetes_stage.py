"""Electors over one Lease in memory, with all that an elector asks of a daemon recorded."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from dnslb.election.kubernetes_elector import KubernetesElector, Parts, Place
from dnslb.election.kubernetes_lease import LeaseContest, Timing
from dnslb.election.kubernetes_objects import Kind, KubernetesObjects
from dnslb.errors import StoreError
from dnslb.model.lease import FencingToken, Lease
from dnslb.net.clock import Clock, FakeClock
from tests.election.kubernetes_twin import Door, MemoryServer

TIMING = Timing(15, 10.0, 2.0)
EPOCH = 1_767_225_600


class Ground:
    def __init__(self) -> None:
        self.claims: list[tuple[str, int, str]] = []
        self.ended = 0
        self.broken = False
        self.slow_s = 0.001

    async def begin_term(self, lease_uid: str, term: int, nonce: str) -> int:
        await trio.sleep(self.slow_s)
        if self.broken:
            raise StoreError("the ConfigMap dns/dnslb cannot be read")
        self.claims.append((lease_uid, term, nonce))
        number = lease_uid.removeprefix("uid-")
        return EPOCH + (int(number) if number.isdigit() else 0)

    def end_term(self) -> None:
        self.ended += 1


class Workers:
    def __init__(self) -> None:
        self.rested: list[FencingToken] = []
        self.busy_s = 0.0

    async def rest(self, token: FencingToken) -> None:
        await trio.sleep(self.busy_s)
        self.rested.append(token)

    def resume(self, token: FencingToken) -> None:
        raise AssertionError("nobody takes it back")


class Board:
    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str]] = {}
        self.steps: dict[str, str] = {}
        self.ever: list[str] = []

    def put(self, severity: str, kind: str, subject: str, sentence: str, next_step: str) -> None:
        self.rows[kind] = (severity, sentence)
        self.steps[kind] = next_step
        self.ever.append(kind)

    def clear(self, kind: str, subject: str | None = None) -> None:
        self.rows.pop(kind, None)


class Member:
    """One instance. ``lease``: what it has made public."""

    def __init__(
        self,
        server: MemoryServer,
        name: str,
        seed: int = 0,
        *,
        timing: Timing = TIMING,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.door = Door(server)
        self.ground, self.workers, self.board = Ground(), Workers(), Board()
        self.fake = FakeClock()
        self.clock = clock or self.fake
        self.notes: list[str] = []
        self.errors = 0
        self.lease: Lease | None = None
        self.lost, self.told = trio.Event(), trio.Event()
        self.published: list[Lease | None] = []
        self.place = Place("dns", "dnslb", name, "example", f"n{seed}")
        luck = random.Random(f"{name} {seed}")
        self.contest = LeaseContest(self.place.identity, timing, luck.random)
        self.use(self.door)
        self.life = trio.CancelScope()

    def use(self, objects: KubernetesObjects) -> None:
        """These instead of the door to the server in memory; before `run`."""
        parts = Parts(objects, self.ground, self.workers, self._note, self.board, self._count_error)
        self.elector = KubernetesElector(self.place, self.contest, parts, self.clock)

    def _note(self, kind: str, message: str, **fields: object) -> None:
        self.notes.append(f"{kind}: {message}")

    def _count_error(self) -> None:
        self.errors += 1

    def publish(self, lease: Lease | None) -> None:
        self.lease = lease
        if lease is None:
            self.lost.set()
            self.lost = trio.Event()
        self.told.set()
        self.told = trio.Event()
        self.published.append(lease)

    async def run(self) -> None:
        with self.life:
            await self.elector.run(self.publish)

    def kill(self) -> None:
        self.life.cancel()
        self.lease = None

    async def wait_publication(self) -> None:
        """Until a lease is gained, prolonged or lost."""
        await self.told.wait()

    async def wait_loss(self) -> None:
        await self.lost.wait()

    def holds(self) -> bool:
        return self.lease is not None and self.lease.holds(self.clock.now().boot)


def spec(server: MemoryServer) -> dict[str, object]:
    return dict(server.stored[Kind.LEASE, "dnslb"].payload)


async def wait_holder(*members: Member, within_s: float) -> Member:
    """Whoever may write first, of these; and never two of them do."""
    with trio.fail_after(within_s):
        while True:
            holders = [member for member in members if member.holds()]
            assert len(holders) < 2, "two may write at once"
            if holders:
                return holders[0]
            await trio.sleep(0.01)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(member.run)
        yield
        nursery.cancel_scope.cancel()
