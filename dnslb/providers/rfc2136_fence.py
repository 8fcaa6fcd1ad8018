"""The marker of each zone on a server that takes dynamic updates; compared and set at once.

Law: the marker is replaced only while it is exactly what was read, and a conflict on it is never
answered by taking it again (`safety.md` 2.2).
"""

from __future__ import annotations

import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from dnslb.errors import FenceLost, InvalidValue, ProviderConflict, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.model.names import marker_name
from dnslb.providers import marker, rfc2136_errors as errors
from dnslb.providers.rfc2136_answer import Records
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_reading import ZoneReader
from dnslb.providers.rfc2136_wire import Claim, Update, text_rdata

MARKER_TTL_S = 60


class Rfc2136Fence:
    """`Fence` by RFC 2136 prerequisites."""

    def __init__(self, link: ServerLink, reader: ZoneReader) -> None:
        self._link = link
        self._reader = reader

    async def read(self, zone: str) -> FencingToken | None:
        return _token(zone, await self._records(zone))

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        standing = await self._records(zone)
        held = _token(zone, standing)
        marker.check_take(zone, held, token, over)
        if held == token:
            return
        update = Update(zone)
        update.claim(_claim(zone, standing))
        update.replace(marker_name(zone), "TXT", MARKER_TTL_S, [marker_rdata(token)])
        if not await self._carry_out(zone, update):
            raise FenceLost(
                f"Another instance took the fence of {zone} at the same moment, so this one "
                "resigns."
            )

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        """Removes the marker, also one that is no token."""
        standing = await self._records(zone)
        if not standing.rdatas:
            return
        if only is not None:
            marker.check_reset(zone, _token(zone, standing), only)
        update = Update(zone)
        update.claim(_claim(zone, standing))
        update.delete(marker_name(zone), "TXT")
        if not await self._carry_out(zone, update):
            raise ProviderConflict(
                f"The marker of {zone} changed at the same moment: an instance is at work there, "
                "so it was left as it is."
            )

    async def check(self, zone: str, token: FencingToken) -> None:
        """Raises what `marker.check_write` raises when ``token`` is not in the marker."""
        if not await self._reader.holds(zone, [marker_claim(zone, token)]):
            marker.check_write(zone, await self.read(zone), token)

    async def _records(self, zone: str) -> Records:
        name = marker_name(zone)
        observed = await self._reader.observe(zone, {name: ("TXT",)})
        if why := observed.elsewhere(name):
            raise ProviderRefusal(f"No marker can be kept in {zone}: {why}")
        if alias := observed.alias(name):
            raise ProviderRefusal(
                f"{name} is an alias of {alias.target}, so no marker can be kept in {zone}: "
                "remove the CNAME record."
            )
        return observed.records(name, "TXT")

    async def _carry_out(self, zone: str, update: Update) -> bool:
        """Whether it was done; False when a prerequisite did not hold."""
        link = self._link
        async with link.updates, link.visit() as visit:
            # The rehearsal finds out, while that is harmless, whether the connection is alive.
            answer = await visit.ask(update.to_rehearsal)
            rehearsed = answer.rcode() == dns.rcode.NOERROR
            if rehearsed:
                answer = await visit.send(link.sign(update.to_wire))
        rcode = answer.rcode()
        if rcode == dns.rcode.NOERROR or rcode in errors.UNMET:
            return rcode == dns.rcode.NOERROR
        raise errors.update_error(link.server, zone, rcode, marked=True, rehearsed=rehearsed)


def marker_claim(zone: str, token: FencingToken) -> Claim:
    """That the marker of ``zone`` holds exactly ``token``."""
    return Claim(marker_name(zone), "TXT", (marker_rdata(token),))


def marker_rdata(token: FencingToken) -> bytes:
    try:
        return text_rdata(marker.to_text(token))
    except InvalidValue as e:
        raise ProviderRefusal(f"No marker can be written: {e}.") from e


def _claim(zone: str, standing: Records) -> Claim:
    return Claim(marker_name(zone), "TXT", standing.rdatas)


def _token(zone: str, standing: Records) -> FencingToken | None:
    if not standing.rdatas:
        return None
    try:
        return marker.from_text(" + ".join(_strings(wire) for wire in standing.rdatas))
    except InvalidValue as e:
        raise ProviderRefusal(
            f"The TXT record at {marker_name(zone)} was not written by dnslb ({e}); if nobody "
            f"else needs it, 'dnslb fence reset {zone}' removes it."
        ) from e


def _strings(wire: bytes) -> str:
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.TXT, wire, 0, len(wire))
    assert isinstance(rdata, TXT)
    return " + ".join(string.decode("ascii", "backslashreplace") for string in rdata.strings)
