"""The marker of a zone through octoDNS: a TXT record, taken by read, write, read in one pass.

The worker compares and writes; here is what one asks it. Not atomic: of two that take it in the
same second each sees the other in its second reading, or the later one has it.
"""

from __future__ import annotations

from dnslb.errors import InvalidValue, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from dnslb.providers.octodns_passes import Passes
from dnslb.providers.octodns_wire import Marker, ReadMarker, TakeMarker

READ_S_MAX = 55.0
TAKE_S_MAX = 55.0


class OctodnsFence:
    """Implements `dnslb.ports.fence.Fence`. ``owner_id``: this installation's."""

    def __init__(self, passes: Passes, owner_id: str) -> None:
        self._passes = passes
        self._owner_id = owner_id

    async def read(self, zone: str) -> FencingToken | None:
        task, doing = ReadMarker(zone), f"Reading the marker of {zone}"
        return (await self._passes.run(task, Marker, doing, READ_S_MAX)).token

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        if token.owner_id != self._owner_id:
            raise ProviderRefusal(
                f"The marker of {zone} is not taken for the owner id {token.owner_id!r}: this "
                f"installation's is {self._owner_id!r}."
            )
        try:
            marker.to_text(token)
        except InvalidValue as error:
            raise ProviderRefusal(f"The marker of {zone} cannot be written: {error}.") from error
        await self._replace(TakeMarker(zone, token, over))

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await self._replace(TakeMarker(zone, None, only=only))

    async def _replace(self, task: TakeMarker) -> None:
        doing = f"Writing the marker of {task.zone}"
        await self._passes.run(task, Marker, doing, TAKE_S_MAX, writes=True)
