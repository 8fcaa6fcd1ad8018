"""Who asks the authoritative servers what they answer; nothing here ever writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from dnslb.model.publication import Expected, Sighting
from dnslb.model.rrset import RRsetKey


class Verifier(Protocol):
    """Works beside everything else: whoever waits for it waits in vain."""

    def expect_nowait(self, zone: str, expected: Mapping[RRsetKey, Expected]) -> None:
        """All that is still to be seen in ``zone``; replaces what was said before. Empty: no
        more is asked there."""

    async def run(self, tell: Callable[[Sighting], None]) -> None:
        """Asks until cancelled, and tells whatever is new, never twice the same."""
