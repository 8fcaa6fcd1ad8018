"""The marker of a shared zone: who wrote last, compared with every write (`safety.md` 2)."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.lease import FencingToken


class Fence(Protocol):
    """Stands behind providers that other instances can write to as well."""

    async def read(self, zone: str) -> FencingToken | None:
        """The token in the marker of ``zone``; None when there is positively no marker. Raises
        `ProviderError`, also when what stands there is no token."""

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        """Writes ``token`` into the marker, by compare-and-set where the provider can, only from
        a lower (epoch, term) of our own owner id, or, for the same (epoch, term), as `safety.md`
        2.2 allows; ``over``: a foreign owner id that a person named, to adopt the zone from.
        Raises `FenceLost` when another writer of ours is newer, `ProviderRefusal` when the owner
        is foreign, and any other `ProviderError`."""

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        """Removes the marker: for a person whose tokens were lost. ``only``: that very one; raises
        `ProviderConflict` where another stands."""
