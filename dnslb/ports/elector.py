"""Who may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dnslb.model.lease import Lease

PublishLease = Callable[[Lease | None], None]


class Elector(Protocol):
    async def run(self, publish_lease: PublishLease) -> None:
        """Runs until cancelled; publishes each lease gained or prolonged, and None when lost."""

    async def resign(self, reason: str) -> None:
        """Gives the lease up, if held, and says why."""
