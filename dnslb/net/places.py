"""Places for connections of which nobody knows yet whose they are.

Not what they say, nor for how long they may be silent: whoever serves them sees to that.

Law: whoever comes is let in. Where places run out, the oldest of those who hold the most goes, so
that a flood costs its own sender, and who is new and quick gets through.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import trio


class Places:
    """``most`` of all accounts together, ``most_each`` of one."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        # Per account, in the order of arrival.
        self._held: dict[Hashable, dict[trio.CancelScope, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    @contextmanager
    def held(self, account: Hashable) -> Iterator[trio.CancelScope]:
        """A place within; the scope is cancelled when somebody else needs it."""
        self._make_room(account)
        scope = trio.CancelScope()
        self._held.setdefault(account, {})[scope] = None
        try:
            with scope:
                yield scope
        finally:
            del self._held[account][scope]
            if not self._held[account]:
                del self._held[account]

    def clear(self) -> None:
        """Sends everybody away."""
        for scopes in self._held.values():
            for scope in scopes:
                scope.cancel()

    def _make_room(self, account: Hashable) -> None:
        mine = self._held.get(account, {})
        if len(mine) >= self._most_each:
            _evict_oldest(mine)
        elif len(self) >= self._most:
            with_newest = {one: len(scopes) for one, scopes in self._held.items()}
            with_newest[account] = len(mine) + 1
            fullest = max(self._held, key=with_newest.__getitem__)
            _evict_oldest(self._held[fullest])


def _evict_oldest(scopes: dict[trio.CancelScope, None]) -> None:
    for scope in scopes:
        if not scope.cancel_called:
            scope.cancel()
            return
