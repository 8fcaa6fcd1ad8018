"""A monitor list in memory, with a writer beside the one under test."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import trio

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from dnslb.net.watchable import Watchable


@dataclass
class MemoryListStore:
    """``errors``: what the next calls raise. ``prepare_s``, ``send_s``: how long they take.
    ``sent``: every list that was put there; ``begun``: how many it was begun to send."""

    stands: Watchable[MonitorList | None] = field(default_factory=lambda: Watchable(None))
    sent: list[MonitorList] = field(default_factory=list)
    prepare_errors: deque[SourceError] = field(default_factory=deque)
    send_errors: deque[SourceError] = field(default_factory=deque)
    prepare_s: float = 0.0
    send_s: float = 0.0
    prepared: int = 0
    begun: int = 0

    async def wait_differs(self, monitors: MonitorList) -> None:
        await self.stands.wait_value(lambda stands: stands != monitors)

    async def prepare(self, monitors: MonitorList) -> _Prepared | None:
        await trio.sleep(self.prepare_s)
        self.prepared += 1
        if self.prepare_errors:
            raise self.prepare_errors.popleft()
        return None if self.stands.value == monitors else _Prepared(self, monitors)


@dataclass(frozen=True)
class _Prepared:
    store: MemoryListStore
    monitors: MonitorList

    async def send(self) -> None:
        self.store.begun += 1
        await trio.sleep(self.store.send_s)
        if self.store.send_errors:
            raise self.store.send_errors.popleft()
        self.store.sent.append(self.monitors)
        self.store.stands.set(self.monitors)
