"""The marker of a zone at AutoDNS: a TXT record, taken by read, write, read.

Not atomic by documentation. In fact the old marker is named in what is removed, so of two that
follow the same marker the second is refused; of two that find none both write, and the reading
afterwards shows each the other.

Law: two markers that do not tell who is newer belong to nobody: both writers stop.
"""

from __future__ import annotations

from dnslb.errors import (
    FenceLost,
    InvalidValue,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
)
from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from dnslb.providers.autodns_budget import Urgency
from dnslb.providers.autodns_codec import ZoneContent, marker_body
from dnslb.providers.autodns_zones import AutoDnsZones

MARKER_TTL_S = 300


def held_token(content: ZoneContent) -> FencingToken | None:
    """The newest marker in the zone; None when there is none. Raises `ProviderRefusal` when what
    stands there is no token, or does not tell whose the zone is."""
    return marker.newest(content.zone, (_unquoted(record.value) for record in content.markers))


class AutoDnsFence:
    """Implements `dnslb.ports.fence.Fence`. ``owner_id``: this installation's."""

    def __init__(self, zones: AutoDnsZones, owner_id: str) -> None:
        self._zones = zones
        self._owner_id = owner_id

    async def read(self, zone: str) -> FencingToken | None:
        return held_token(await self._zones.read_anew(zone, ()))

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        if token.owner_id != self._owner_id:
            raise ProviderRefusal(
                f"The marker of {zone} is not taken for the owner id {token.owner_id!r}: this "
                f"installation's is {self._owner_id!r}."
            )
        try:
            text = marker.to_text(token)
        except InvalidValue as error:
            raise ProviderRefusal(f"The marker of {zone} cannot be written: {error}.") from error
        await self._replace(zone, token, text, over)

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await self._replace(zone, None, None, None, only)

    async def _replace(
        self,
        zone: str,
        token: FencingToken | None,
        text: str | None,
        over: str | None,
        only: FencingToken | None = None,
    ) -> None:
        """Read, write, read; ``token`` None takes all markers away, whatever they say, or only
        if they say ``only``."""
        what = f"fence-{token.epoch}-{token.term}" if token else "fence-reset"
        async with self._zones.http.line(what) as line:
            content = await self._zones.read(line, zone, (), Urgency.CHANGE)
            if token is None:
                if not content.markers:
                    return
                if only is not None:
                    marker.check_reset(zone, held_token(content), only)
            else:
                held = held_token(content)
                marker.check_take(zone, held, token, over)
                if held == token and len(content.markers) == 1:
                    return
            body = marker_body(content, text, MARKER_TTL_S)
            with await self._zones.http.budget.take(Urgency.FINISH) as permit:
                try:
                    await self._zones.patch(line, permit, content, body, what)
                except ProviderConflict as error:
                    raise FenceLost(
                        f"The marker of {zone} was changed by somebody else while it was being "
                        f"taken: {error}"
                    ) from error
            try:
                after = await self._zones.read(line, zone, (), Urgency.FINISH)
            except ProviderError as error:
                raise OutcomeUnknown(
                    f"AutoDNS took the marker of {zone}, and it could not be read back: {error}"
                ) from error
            if token is not None:
                marker.check_write(zone, held_token(after), token)
            elif after.markers:
                raise ProviderConflict(f"A marker of {zone} came back while it was being removed.")


def _unquoted(value: str) -> str:
    """Values come without quotes; with them they mean the same."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value
