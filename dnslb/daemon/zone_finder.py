"""Asks the provider which zone serves a name, a few names at a time.

Law: every name that was asked for is answered exactly once, a failure included, and a failure is
never "no zone".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio

from dnslb.daemon.zone_worker import Hands
from dnslb.decide.events import ZoneFound
from dnslb.errors import ProviderError
from dnslb.model.outcome import Failure

FIND_S_MAX = 30.0
AT_ONCE_MAX = 8


class ZoneFinder:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._names: deque[str] = deque()
        self._wanted = trio.Event()

    def find_nowait(self, names: Iterable[str]) -> None:
        self._names.extend(names)
        self._wanted.set()

    async def run(self) -> None:
        """Works until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE_MAX):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            while not self._names:
                if self._wanted.is_set():
                    self._wanted = trio.Event()
                await self._wanted.wait()
            name = self._names.popleft()
            self._hands.tell(ZoneFound(name, await self._find(name)))
            # A provider that knows by heart does not wait, and there can be thousands of names.
            await trio.lowlevel.checkpoint()

    async def _find(self, name: str) -> str | Failure | None:
        with trio.move_on_after(FIND_S_MAX):
            try:
                return await self._hands.provider.find_zone(name)
            except ProviderError as error:
                return self._hands.failure(error)
        sentence = f"finding the zone of {name} took longer than {FIND_S_MAX:g} s"
        return Failure("temporary", sentence, jitter=self._hands.luck())
