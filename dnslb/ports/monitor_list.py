"""Where agents that do not ask us find the list of what to check."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.loadbalancer import MonitorList


class PreparedListing(Protocol):
    """A list that only has to be sent."""

    async def send(self) -> None:
        """Puts the list in the place of what was read when it was prepared, or nothing when
        something else stands there by now. Raises `SourceError`; when cancelled midway, what
        stands there is whole, old or new."""


class MonitorListStore(Protocol):
    """One list, which everybody may read and the lease holder alone writes."""

    async def wait_differs(self, monitors: MonitorList) -> None:
        """Returns once it is known that another list stands there, or positively none."""

    async def prepare(self, monitors: MonitorList) -> PreparedListing | None:
        """Reads again what stands there; None when that is right. Raises `SourceError`."""
