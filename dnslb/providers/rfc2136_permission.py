"""Whether a server would take our updates of a zone, found out without changing anything.

What is asked for is void twice: the prerequisite that the zone has no SOA never holds, and what
would be removed is not there. BIND looks at the policy of each record first (since 9.18.11), so it
says REFUSED, or that the prerequisite does not hold; an older one, or another server, may say the
latter alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import dns.rcode

from dnslb.errors import ProviderError, ProviderTemporary
from dnslb.model.names import marker_name
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_wire import Claim, Update, address_rdata, text_rdata

NAMES_MAX = 200
# Of the ranges for documentation, and of no marker that could ever be written.
_NOWHERE = {"A": address_rdata("192.0.2.255"), "AAAA": address_rdata("2001:db8::ffff")}
_NO_MARKER = text_rdata("dnslb asks whether it may write here")


async def check_permission(
    link: ServerLink, zone: str, names: Sequence[str], *, marked: bool
) -> None:
    """Raises `ProviderError` for the first name that may not be written, or for the marker."""
    if marked:
        update = Update(zone)
        update.discard(marker_name(zone), "TXT", _NO_MARKER)
        if (error := await _ask(link, zone, update, marked=True)) is not None:
            raise error
    for at in range(0, len(names), NAMES_MAX):
        await _check(link, zone, names[at : at + NAMES_MAX], marked=marked)


async def _check(link: ServerLink, zone: str, names: Sequence[str], *, marked: bool) -> None:
    update = Update(zone)
    for name in names:
        for rtype, rdata in _NOWHERE.items():
            update.discard(name, rtype, rdata)
    error = await _ask(link, zone, update, marked=marked)
    if error is None:
        return
    if len(names) == 1:
        raise type(error)(f"{names[0]}: {error}") from error
    half = len(names) // 2
    await _check(link, zone, names[:half], marked=marked)
    await _check(link, zone, names[half:], marked=marked)


async def _ask(
    link: ServerLink, zone: str, update: Update, *, marked: bool
) -> ProviderError | None:
    update.claim(Claim(zone, "SOA"))
    answer = await link.ask(update.to_wire)
    rcode = answer.rcode()
    if rcode in errors.UNMET:
        return None
    if rcode == dns.rcode.NOERROR:
        return ProviderTemporary(
            f"The server {link.server} took an update of {zone} whose prerequisite does not hold: "
            "it does not keep RFC 2136, and nothing should be written by it."
        )
    return errors.update_error(link.server, zone, rcode, marked=marked)
