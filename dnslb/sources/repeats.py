"""What was said lately, so that it is not said again with each request; and how much of a list.

Law: bounded, however many things there are to be said.
"""

from __future__ import annotations

from collections.abc import Sequence

SAID_AGAIN_S = 3600.0
SAID_MAX = 1000
NAMED_MAX = 5


class Repeats:
    """Which warnings were given lately: the same one again only after `SAID_AGAIN_S`."""

    def __init__(self) -> None:
        self._given: dict[tuple[object, ...], float] = {}

    def is_news(self, key: tuple[object, ...], at_mono: float) -> bool:
        given_at = self._given.pop(key, None)
        if len(self._given) >= SAID_MAX:
            del self._given[next(iter(self._given))]
        if given_at is not None and at_mono - given_at < SAID_AGAIN_S:
            self._given[key] = given_at
            return False
        self._given[key] = at_mono
        return True


def few(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
