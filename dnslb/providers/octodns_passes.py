"""Passes of the octoDNS bridge: one task, one worker process, a few at a time.

What provider and fence have in common. Law: never more processes than PROCESSES_MAX, however many
zones there are, and none outlives its pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from dnslb.providers.octodns_process import Worker
from dnslb.providers.octodns_scrub import Scrub
from dnslb.providers.octodns_wire import ProviderClass, Request, Task

PROCESSES_MAX = 4
A = TypeVar("A")


class Passes:
    def __init__(self, provider: ProviderClass, scrub: Scrub) -> None:
        self._provider = provider
        self._scrub = scrub
        self._places = trio.CapacityLimiter(PROCESSES_MAX)

    def request(self, task: Task) -> Request:
        return Request(self._provider, task)

    @asynccontextmanager
    async def worker(self, doing: str) -> AsyncIterator[Worker]:
        """``doing``: what it is for, as a subject of sentences."""
        place = object()
        await self._places.acquire_on_behalf_of(place)
        try:
            worker = await Worker.start(self._scrub, doing)
            try:
                yield worker
            finally:
                await worker.aclose()
        finally:
            self._places.release_on_behalf_of(place)

    async def run(
        self, task: Task, expected: type[A], doing: str, deadline_s: float, *, writes: bool = False
    ) -> A:
        """A whole pass. Raises `ProviderError`."""
        async with self.worker(doing) as worker:
            return await worker.ask(self.request(task), expected, deadline_s, writes=writes)
