"""A fence that a cluster takes only where it knows that the marker is its own (`safety.md` 5.3).

A cluster that was founded by mistake, out of the emptied directory of a member, has a newer epoch
than the true one, and could take every zone from it. So the first time that a marker is met it has
to be absent, or of our own epoch, or of another owner; else a person has to say that it is right.

Where a person said so, and the marker is not older than ours (the clock of whoever wrote it was
ahead of ours when this cluster was founded), the cluster gets an epoch above it first.
"""

from __future__ import annotations

from typing import Protocol

from dnslb.errors import ProviderRefusal, ProviderTemporary, StoreError
from dnslb.model.lease import NOBODYS_EPOCH, FencingToken
from dnslb.ports.fence import Fence


class MarkerMemory(Protocol):
    """What the cluster remembers of markers."""

    def knows_marker(self, zone: str) -> bool: ...

    async def note_marker(self, zone: str) -> None:
        """Raises `StoreError`."""

    async def outbid(self, zone: str, epoch: int) -> None:
        """The marker of the zone is known from now on, and the epoch of the cluster is above this
        one with the next term, which begins. Raises `StoreError`."""


class KnownMarkers:
    """Implements `dnslb.ports.fence.Fence` before another one. ``new_epoch``: a person said that
    zones of another epoch are to be taken over (-raft-new-epoch): once each while this process
    lives, so that two clusters that were both told so do not outbid each other for ever."""

    def __init__(self, fence: Fence, memory: MarkerMemory, *, new_epoch: bool) -> None:
        self._fence = fence
        self._memory = memory
        self._new_epoch = new_epoch
        self._met: set[str] = set()

    async def read(self, zone: str) -> FencingToken | None:
        return await self._fence.read(zone)

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        if self._new_epoch and zone not in self._met:
            await self._be_newer(zone, await self._fence.read(zone), token)
        elif not self._memory.knows_marker(zone):
            self._check(zone, await self._fence.read(zone), token)
        await self._fence.take(zone, token, over=over)
        self._met.add(zone)
        try:
            await self._memory.note_marker(zone)
        except StoreError as error:
            raise ProviderTemporary(
                f"The marker of {zone} is taken, but the cluster does not remember it yet: {error}"
            ) from error

    async def _be_newer(self, zone: str, held: FencingToken | None, token: FencingToken) -> None:
        if held is None or held.owner_id != token.owner_id or held == token:
            return
        if (held.epoch, held.term) < (token.epoch, token.term):
            return
        why = ""
        try:
            await self._memory.outbid(zone, held.epoch)
        except StoreError as error:
            why = f"; but it has none yet: {error}"
        raise ProviderTemporary(
            f"The marker of {zone} is of epoch {held.epoch}, this cluster's is {token.epoch}: as "
            f"-raft-new-epoch asks for, it is taken under a newer one{why}"
        )

    def _check(self, zone: str, held: FencingToken | None, token: FencingToken) -> None:
        if held is None or held.owner_id != token.owner_id:
            return
        if held.epoch in (token.epoch, NOBODYS_EPOCH):
            return
        raise ProviderRefusal(
            f"The marker of {zone} is of epoch {held.epoch} of {held.owner_id!r}, which this "
            f"cluster (epoch {token.epoch}) knows nothing of: nothing is written. This looks like "
            "a lost member: remove_server for it at the others, move its directory away, start it "
            "without -raft-bootstrap, then add_voter. If this cluster is meant to replace the "
            "other one, stop that, and start this with -raft-new-epoch."
        )

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await self._fence.reset(zone, only=only)
