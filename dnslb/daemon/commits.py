"""Carries decisions to the state store, in order, one commit at a time.

Beside the event loop: a slow disk delays what depends on the commit and nothing else.

Law: each commit is answered exactly once, as durable or as failed, in the order of asking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from dnslb.decide.events import CommitFailed, Committed, Event
from dnslb.decide.intents import Commit
from dnslb.errors import StoreError, StoreUncertain
from dnslb.ports.state_store import StateStore


class CommitQueue:
    def __init__(self, store: StateStore, tell: Callable[[Event], None]) -> None:
        self._store = store
        self._tell = tell
        self._waiting: deque[Commit] = deque()
        self._wanted = trio.Event()
        self._idle = trio.Event()
        self._under_way = False

    def propose_nowait(self, commit: Commit) -> None:
        self._waiting.append(commit)
        self._wanted.set()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            while not self._waiting:
                self._wanted = trio.Event()
                await self._wanted.wait()
            commit = self._waiting.popleft()
            self._under_way = True
            try:
                state = await self._store.propose(commit.changes)
            except StoreError as error:
                uncertain = isinstance(error, StoreUncertain)
                self._tell(CommitFailed(commit.ticket, str(error), uncertain))
            else:
                self._tell(Committed(commit.ticket, state))
            self._under_way = False
            if not self._waiting:
                idle, self._idle = self._idle, trio.Event()
                idle.set()

    @property
    def is_busy(self) -> bool:
        """Whether a commit waits or is under way."""
        return bool(self._waiting) or self._under_way

    async def wait_idle(self) -> None:
        """Returns when nothing waits and nothing is under way."""
        await trio.lowlevel.checkpoint()
        while self.is_busy:
            await self._idle.wait()
