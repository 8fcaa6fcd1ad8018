"""Reading a zone from its primary, and having the primary confirm what was read.

Not a resolver: one server is asked, without recursion.

Answers are not yet the zone: a wildcard answers for names that do not exist, and an inline-signed
zone answers from a copy that lags behind the one that updates are compared with. So everything
that was read, by queries or by a transfer (`rfc2136_transfer`), is put to the primary as the
prerequisites of an update that changes nothing; where they do not hold, the name is looked at
again.

Law: what is called absent was confirmed to be absent, or the server said so and cannot confirm
anything to us, and then it will not let us write either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

import dns.rcode
import trio

from dnslb.errors import ProviderError, ProviderTemporary
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136_answer import (
    Alias,
    Elsewhere,
    Found,
    Records,
    Zone,
    found_at,
    moved,
    zone_in,
)
from dnslb.providers.rfc2136_link import QUERIES_MAX, ServerLink
from dnslb.providers.rfc2136_wire import Claim, MessageTooLarge, Update, query

NAMES_AT_ONCE = 150
"""Whose claims go into one message: more would hold the event loop, and named, for too long."""
ITEMS_A_TURN = 500
"""Of what takes some microseconds each."""
PAUSES_S = (0.0, 0.02, 0.1, 0.5, 1.0)
"""Before each new look at what was not confirmed. An inline-signed zone lags by milliseconds."""
T = TypeVar("T")
_SILENT = (dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.NOTAUTH)


Rtypes = Mapping[str, tuple[str, ...]]
"""The types that are asked for at each name."""


@dataclass(slots=True)
class Observed:
    """What stands at the names asked for; types without records are absent."""

    rtypes: Rtypes
    found: dict[tuple[str, str], Found] = field(default_factory=dict)

    def elsewhere(self, name: str) -> str:
        """Why nothing counts that stands at ``name`` in this zone; empty when it does."""
        for rtype in self.rtypes[name]:
            if why := self.found[name, rtype].elsewhere:
                return why
        return ""

    def records(self, name: str, rtype: str) -> Records:
        hidden = self.alias(name) or self.elsewhere(name)
        return Records() if hidden else self.found[name, rtype].records

    def alias(self, name: str) -> Found | None:
        """The CNAME that stands at ``name``, if one does."""
        if self.elsewhere(name):
            return None
        for rtype in self.rtypes[name]:
            if (found := self.found[name, rtype]).alias.rdatas:
                return found
        return None

    def claims(self, names: Iterable[str]) -> list[Claim]:
        """What the zone holds if all this is true."""
        return [c for name in names if not self.elsewhere(name) for c in self._claims_of(name)]

    def _claims_of(self, name: str) -> Iterator[Claim]:
        alias = self.alias(name)
        if alias is None:
            all_rdatas = {rtype: self.records(name, rtype).rdatas for rtype in self.rtypes[name]}
            for rtype, rdatas in all_rdatas.items():
                yield Claim(name, rtype, rdatas)
            if not any(all_rdatas.values()):  # beside records there can be no CNAME
                yield Claim(name, "CNAME")
        elif not alias.renamed:
            yield Claim(name, "CNAME", alias.alias.rdatas)

    def put(self, name: str, rtype: str, found: Found) -> None:
        """Corrects what was answered, for all types where it was about a CNAME."""
        for key in [(name, t) for t in self.rtypes[name] if rtype in (t, "CNAME")]:
            self.found[key] = found


class ZoneReader:
    def __init__(self, link: ServerLink) -> None:
        self._link = link

    async def find_zone(self, name: str) -> str | None:
        """The zone that ``name`` lies in, by asking for its SOA; None when none is here."""
        server, at = self._link.server, name
        while at:
            answer = await self._link.ask(partial(query, at, "SOA"))
            if answer.rcode() == dns.rcode.REFUSED:
                await self._refuse_if_served(at)
                return None
            match zone_in(server, at, answer):
                case Alias():
                    at = _parent(at)
                case Elsewhere(cut):
                    await self._refuse_if_cut(name, cut)
                    return None
                case Zone(zone):
                    return zone
        return None

    async def observe(self, zone: str, rtypes: Rtypes) -> Observed:
        """What stands at each name, of the types asked for, and CNAMEs."""
        observed = Observed(rtypes)
        await self._ask_all(zone, observed, rtypes)
        await self.confirm(zone, observed)
        return observed

    async def confirm(self, zone: str, observed: Observed) -> None:
        """Corrects what the zone that updates go to does not confirm. Raises `ProviderTemporary`
        when that does not come to an end."""
        suspects: Collection[str] = observed.rtypes
        for pause_s in PAUSES_S:
            false = await self._all_false_claims(zone, observed, suspects)
            if not false:
                return
            again = [c.name for c in false if not await self._drop_if_made_up(zone, c, observed)]
            if again:
                await trio.sleep(pause_s)
                await self._ask_all(zone, observed, again)
            suspects = dict.fromkeys(claim.name for claim in false)
        raise ProviderTemporary(
            f"What the server {self._link.server} answers for {', '.join(list(suspects)[:3])} and "
            f"what stands in {zone} keep differing: somebody changes it all the time, or the "
            "signed version of the zone lags behind."
        )

    async def holds(self, zone: str, claims: list[Claim]) -> bool | None:
        """Whether all claims are true of the zone that updates go to; None when the server will
        not tell. Changes nothing. Raises `MessageTooLarge` too."""
        update = Update(zone)
        update.claim(*claims)
        answer = await self._link.ask(update.to_rehearsal)
        rcode = answer.rcode()
        if rcode in errors.UNMET:
            return False
        if rcode in _SILENT:
            return None
        if rcode != dns.rcode.NOERROR:
            raise errors.update_error(self._link.server, zone, rcode, marked=False)
        return True

    async def _ask_all(self, zone: str, observed: Observed, names: Iterable[str]) -> None:
        keys = [(name, rtype) for name in names for rtype in observed.rtypes[name]]
        waiting, failed = iter(keys), list[ProviderError]()

        async def work(nursery: trio.Nursery) -> None:
            for name, rtype in waiting:
                try:
                    observed.found[name, rtype] = await self._ask(zone, name, rtype)
                except ProviderError as e:
                    failed.append(e)
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(min(QUERIES_MAX, len(keys))):
                nursery.start_soon(work, nursery)
        if failed:
            raise failed[0]

    async def _ask(self, zone: str, name: str, rtype: str) -> Found:
        answer = await self._link.ask(partial(query, name, rtype))
        return found_at(self._link.server, zone, name, rtype, answer)

    async def _all_false_claims(
        self, zone: str, observed: Observed, names: Iterable[str]
    ) -> list[Claim]:
        waiting, false = iter(names), list[Claim]()
        while part := list(islice(waiting, NAMES_AT_ONCE)):
            false += await self._false_claims(zone, observed.claims(part))
        return false

    async def _false_claims(self, zone: str, claims: list[Claim]) -> list[Claim]:
        """Those that the server does not confirm, found by halving."""
        try:
            if not claims or await self.holds(zone, claims) is not False:
                return []
        except MessageTooLarge:
            pass
        if len(claims) == 1:
            return claims
        half = len(claims) // 2
        first = await self._false_claims(zone, claims[:half])
        return first + await self._false_claims(zone, claims[half:])

    async def _drop_if_made_up(self, zone: str, claim: Claim, observed: Observed) -> bool:
        """Whether what was answered stands nowhere in the zone: a wildcard's or another zone's
        doing. Then it is dropped."""
        if not claim.rdatas or not await self.holds(zone, [Claim(claim.name, claim.rtype)]):
            return False
        actual = await self.find_zone(claim.name)
        found = Found() if actual == zone else Found(elsewhere=moved(claim.name, zone, actual))
        observed.put(claim.name, claim.rtype, found)
        return True

    async def _refuse_if_served(self, name: str) -> None:
        """A refused query says "no such zone here" and "not for you" alike; an update tells the
        two apart, even one that is refused in its turn."""
        zone = name
        while zone:
            answer = await self._link.ask(Update(zone).to_rehearsal)
            if answer.rcode() != dns.rcode.NOTAUTH:
                raise errors.query_error(self._link.server, zone, dns.rcode.REFUSED)
            zone = _parent(zone)

    async def _refuse_if_cut(self, name: str, cut: str | None) -> None:
        """A name that a zone here delegates away is no name without a zone."""
        above = _parent(cut) if cut else ""
        if cut and above and (zone := await self.find_zone(above)) is not None:
            raise errors.delegated(self._link.server, name, cut, zone)


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """``items``, with a turn of the event loop now and then."""
    for count, item in enumerate(items):
        if count % ITEMS_A_TURN == 0:
            await trio.lowlevel.checkpoint()
        yield item


def _parent(name: str) -> str:
    return name.partition(".")[2]
