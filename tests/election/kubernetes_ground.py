"""Holders of a Lease and their state stores, on one set of objects, without an elector."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import trio

from dnslb.election.kubernetes_state import KubernetesStateStore
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.status import Severity
from dnslb.net.clock import FakeClock
from tests.doubles.kubernetes_api.direct import DirectObjects
from tests.doubles.kubernetes_api.objects import Objects

NAME, NAMESPACE = "dnslb", "dns"


@dataclass
class Notices:
    rows: dict[str, tuple[Severity, str]] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)

    def put(
        self, severity: Severity, kind: str, subject: str, sentence: str, next_step: str
    ) -> None:
        self.rows[kind] = (severity, sentence)
        self.steps[kind] = next_step

    def clear(self, kind: str, subject: str | None = None) -> None:
        self.rows.pop(kind, None)


class Holder:
    """One instance: holds the Lease from `take` to `lose`."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground = ground
        self.name = name
        self.notices = Notices()
        self.door = DirectObjects(ground.objects)
        self.lease: Lease | None = None
        self.store = KubernetesStateStore(
            self.door,
            NAMESPACE,
            NAME,
            ground.clock,
            self.notices,
            lambda: self.lease,
            self.newest_epoch,
        )
        self.epoch = self.surveys = 0

    async def take(self, *, uid: str | None = None, for_s: float = math.inf) -> None:
        ground = self.ground
        ground.term += 1
        term = ground.term
        self.epoch = await self.store.begin_term(uid or ground.uid, term, self.name)
        token = FencingToken("ours", self.epoch, term, self.name)
        self.lease = Lease(self.name, token, ground.clock.now().boot + for_s)

    async def newest_epoch(self) -> int:
        self.surveys += 1
        return self.ground.newest_epoch

    def lose(self) -> None:
        self.lease = None
        self.store.end_term()


class Ground:
    def __init__(self) -> None:
        self.objects = Objects()
        self.clock = FakeClock()
        self.uid = "uid-1"
        self.term = self.newest_epoch = 0
        self.holders: list[Holder] = []

    def holder(self, name: str) -> Holder:
        self.holders.append(Holder(self, name))
        return self.holders[-1]


async def settle() -> None:
    """On a mock clock: until everybody waits for something."""
    await trio.testing.wait_all_tasks_blocked()
