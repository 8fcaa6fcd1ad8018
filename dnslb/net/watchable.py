"""A value that changes and can be waited for; not a queue: only its newest state counts.

Law: a waiter sees the newest value when it runs, however many were set before it did. Nothing
is kept for it meanwhile, so slow waiters cost nothing. Satisfies `dnslb.ports.watched.Watched`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Watchable(Generic[T]):
    """One value with a revision, set by one side and watched by many; for a single trio run."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._revision = 0
        self._changed = trio.Event()

    @property
    def value(self) -> T:
        """The newest value."""
        return self._value

    @property
    def revision(self) -> int:
        """How often the value was set; 0 at first."""
        return self._revision

    def set(self, value: T) -> None:
        """Replaces the value and wakes all waiters; an equal value counts as a change too."""
        self._value = value
        self._revision += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_changed(self, revision: int) -> T:
        """Waits until the revision differs from ``revision``; returns the newest value.

        `revision` read right after the return, before the next await, belongs to that value.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._revision == revision:
            while self._revision == revision:
                await self._changed.wait()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return self._value

    async def wait_value(self, predicate: Callable[[T], bool]) -> T:
        """Waits for a value that ``predicate`` accepts, and returns it.

        A value that was accepted for a moment and replaced before this waiter ran is not seen.
        """
        await trio.lowlevel.checkpoint()
        while not predicate(self._value):
            await self._changed.wait()
        return self._value


async def wait_first(*events: trio.Event) -> None:
    """Returns when one of them is set."""

    async def wait(event: trio.Event) -> None:
        await event.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for event in events:
            nursery.start_soon(wait, event)
