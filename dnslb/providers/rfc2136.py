"""Zones of BIND, or of any primary that takes dynamic updates (RFC 2136), as a provider.

Not the bytes (`rfc2136_wire`), not the connections (`rfc2136_link`), not how a zone is read
(`rfc2136_reading`): here a plan becomes an update, and an answer becomes an outcome.

Law: every update carries as its prerequisites each old RRset, and the marker with the plan's
exact token, so that it changes the zone that was planned for or nothing. What `send` does was
rehearsed on the same connection before. Whatever is left open is `OutcomeUnknown`.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import NoReturn

import dns.rcode

from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
)
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.net.clock import Clock
from dnslb.ports.fence import Fence
from dnslb.providers import marker, rfc2136_errors as errors
from dnslb.providers.rfc2136_answer import found_at
from dnslb.providers.rfc2136_fence import Rfc2136Fence, marker_claim
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import UPDATE_S_MAX, Connect, ServerLink, Visit
from dnslb.providers.rfc2136_permission import check_permission
from dnslb.providers.rfc2136_reading import Observed, Rtypes, ZoneReader, unhurried
from dnslb.providers.rfc2136_transfer import TooLarge, transfer
from dnslb.providers.rfc2136_wire import (
    Claim,
    MessageTooLarge,
    Request,
    Update,
    address_rdata,
    query,
)

BATCH_MAX = 200
TRANSFER_NAMES_MIN = 16
TRANSFER_BYTES_A_NAME = 8_192
"""Stepping over so much costs what it costs to ask for one name: 0.8 ms."""
TRANSFER_AGAIN_S = 3_600.0
"""After a transfer that was refused, or was not worth it."""
log = logging.getLogger(__name__)
_ADDRESS_TYPES = ("A", "AAAA")


class Rfc2136Provider:
    """``server``: host and port of the primary. ``key``: None where it lets our address write.
    ``ownership``: keep the marker of each zone, and compare it with every write.

    Raises `InvalidValue` for an owner id that does not fit into a marker.
    """

    def __init__(
        self,
        server: tuple[str, int],
        key: TsigKey | None,
        owner_id: str,
        ownership: bool = True,
        *,
        clock: Clock | None = None,
        connect: Connect | None = None,
    ) -> None:
        if ownership:
            marker.to_text(FencingToken(owner_id, 10**17, 10**17, "0" * 32))
        self._clock = clock or Clock()
        self._link = ServerLink(errors.Server(*server, key), self._clock, connect)
        self._reader = ZoneReader(self._link)
        self._fence = Rfc2136Fence(self._link, self._reader) if ownership else None
        self._capabilities = Capabilities(
            fenced=ownership,
            marked=ownership,
            shared=True,
            batch_max=BATCH_MAX,
            write_s_max=0.0 if ownership else UPDATE_S_MAX,
            verifiable=True,
        )
        # Which names another zone has taken, and why, until they are read again.
        self._elsewhere: dict[str, dict[str, str]] = {}
        self._no_transfer: dict[str, float] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def fence(self) -> Fence | None:
        """None without ownership: no marker is kept then."""
        return self._fence

    async def find_zone(self, name: str) -> str | None:
        """The zone whose SOA the server names. Raises `ProviderRefusal` for a name that this
        zone delegates away, and where queries are refused for a zone that is here."""
        return await self._reader.find_zone(name)

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        """Few names by direct queries, many by one transfer where that is permitted. What costs
        the server least is also the fastest, so that ``scan`` makes no difference."""
        rtypes = dict.fromkeys(sorted(names), _ADDRESS_TYPES)
        observed = await self._transferred(zone, rtypes)
        if observed is None:
            observed = await self._reader.observe(zone, rtypes)
        else:
            await self._reader.confirm(zone, observed)
        rrsets, cnames, elsewhere = {}, {}, {}
        async for name in unhurried(names):
            if why := observed.elsewhere(name):
                elsewhere[name] = why
            elif alias := observed.alias(name):
                cnames[name] = alias.target
            for key in (RRsetKey(name, rtype) for rtype in _ADDRESS_TYPES):
                records = observed.records(*key)
                if records.rdatas:
                    values = (str(ipaddress.ip_address(rdata)) for rdata in records.rdatas)
                    rrsets[key] = RRset(key, records.ttl, tuple(sorted(values)))
        known = self._elsewhere.setdefault(zone, {})
        for name in names & known.keys():
            del known[name]
        known.update(elsewhere)
        return ZoneReading(zone, names, rrsets, cnames)

    async def _transferred(self, zone: str, rtypes: Rtypes) -> Observed | None:
        """None where a transfer gives nothing: the names are asked for one by one then."""
        now_mono, count = self._clock.now().mono, len(rtypes)
        if count < TRANSFER_NAMES_MIN or now_mono < self._no_transfer.get(zone, now_mono):
            return None
        try:
            observed = await transfer(self._link, zone, rtypes, count * TRANSFER_BYTES_A_NAME)
        except TooLarge:
            self._no_transfer[zone] = now_mono + TRANSFER_AGAIN_S
            return None
        except ProviderRefusal as refusal:
            if zone not in self._no_transfer:
                log.warning("%s Until then its names are asked for one by one.", refusal)
            self._no_transfer[zone] = now_mono + TRANSFER_AGAIN_S
            return None
        except ProviderError as error:
            log.info("%s Its names are asked for one by one.", error)
            return None
        self._no_transfer.pop(zone, None)
        return observed

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedUpdate:
        """Connects, signs, waits for one of the places of updates under way, and has the server
        compare. Whoever prepares calls `PreparedUpdate.aclose`."""
        plan.check({change.key.name for change in plan.changes})
        if len(plan.changes) > BATCH_MAX:
            raise ProviderRefusal(
                f"A write to {plan.zone} has {len(plan.changes)} changes; at most {BATCH_MAX} go "
                "into one update."
            )
        elsewhere = self._elsewhere.get(plan.zone, {})
        for change in plan.changes:
            if why := elsewhere.get(change.key.name):
                # BIND would take it, and then answer from elsewhere.
                raise ProviderRefusal(why)
        write = PreparedUpdate(self._link, self._fence, plan, token)
        await write.prepare()
        return write

    async def rehearse(self, zone: str, names: Collection[str]) -> str:
        """Has the server judge updates of ``names`` that change nothing; a sentence. Raises
        `ProviderError` where it would refuse."""
        marked = self._fence is not None
        await check_permission(self._link, zone, sorted(names), marked=marked)
        what = "the A and AAAA records of all names" + (" and the marker" if marked else "")
        return f"the server lets {self._link.server.key_words} change {what}"

    @property
    def clock_skew_s(self) -> float | None:
        """How far the server's clock was ahead of ours at its last signed answer."""
        return self._link.clock_skew_s

    async def aclose(self) -> None:
        """Closes the connections that are kept."""
        await self._link.aclose()


class PreparedUpdate:
    """An update that was accepted once without its changes, and is signed. Several messages only
    where one cannot hold it."""

    def __init__(
        self, link: ServerLink, fence: Rfc2136Fence | None, plan: Plan, token: FencingToken
    ) -> None:
        self._link = link
        self._fence = fence
        self._plan = plan
        self._token = token
        self._visit: Visit | None = None
        self._requests: list[Request] = []
        self._has_place = False

    async def prepare(self) -> None:
        """For the provider alone."""
        updates = self._updates(self._plan.changes)
        await self._link.updates.acquire_on_behalf_of(self)
        self._has_place = True
        try:
            self._visit = await self._link.enter()
            for update in updates:
                answer = await self._visit.ask(update.to_rehearsal)
                await self._raise_unless_done(answer.rcode(), rehearsed=False)
            self._requests = [self._link.sign(update.to_wire) for update in updates]
        except BaseException:
            await self.aclose()
            raise

    async def send(self) -> Receipt:
        requests, self._requests = self._requests, []
        if self._visit is None or not requests:
            raise RuntimeError("a prepared update is sent once, before it is closed")
        for done, request in enumerate(requests):
            try:
                answer = await self._visit.send(request)
                await self._raise_unless_done(answer.rcode(), rehearsed=True)
            except FenceLost:
                raise
            except ProviderError as e:
                if not done:
                    raise
                raise OutcomeUnknown(
                    f"Of {len(requests)} messages for {self._plan.zone} {done} took effect, then: "
                    f"{e}"
                ) from e
        after = (change.after for change in self._plan.changes)
        rrsets = tuple(replace(rrset, basis=None) for rrset in after if rrset is not None)
        return Receipt(rrsets, notices=await self._ttl_notices(self._visit))

    async def _ttl_notices(self, visit: Visit) -> tuple[str, ...]:
        """BIND reduces a TTL beyond the zone's limit without a word. The highest new one is looked
        at; one that is as it was may come from a signed copy that lags behind."""
        changes = [c for c in self._plan.changes if c.after and _ttl_before(c) != c.after.ttl]
        if not changes:
            return ()
        highest = max(changes, key=lambda change: change.after.ttl if change.after else 0)
        (name, rtype), wanted = highest.key, highest.after
        assert wanted is not None
        try:
            answer = await visit.ask(partial(query, name, rtype))
            found = found_at(self._link.server, self._plan.zone, name, rtype, answer).records
        except ProviderError as e:
            return (f"The TTL of {highest.key} was written and could not be read back: {e}",)
        if not found.rdatas or found.ttl in (wanted.ttl, _ttl_before(highest)):
            return ()
        notice = (
            f"{highest.key} was written with a TTL of {wanted.ttl} s and has {found.ttl} s: set "
            f"the ttl of the load balancer to that, or raise 'max-zone-ttl' of {self._plan.zone}."
        )
        return (notice,)

    async def aclose(self) -> None:
        """Gives place and connection back; safe to repeat."""
        if self._has_place:
            self._has_place = False
            self._link.updates.release_on_behalf_of(self)
        visit, self._visit = self._visit, None
        if visit is not None:
            await visit.aclose()

    def _updates(self, changes: tuple[Change, ...]) -> list[Update]:
        """One, or, where that would be too large, as many as it takes."""
        update = Update(self._plan.zone)
        if self._fence is not None:
            update.claim(marker_claim(self._plan.zone, self._token))
        for change in changes:
            update.claim(*_claims(change))
            name, rtype = change.key
            if change.after is None:
                update.delete(name, rtype)
            else:
                update.replace(name, rtype, change.after.ttl, _rdatas(change.after))
        try:
            update.to_wire(0)
            return [update]
        except MessageTooLarge as e:
            if len(changes) == 1:
                raise ProviderRefusal(
                    f"{changes[0].key} has too many addresses for one DNS message: use fewer."
                ) from e
            half = len(changes) // 2
            return self._updates(changes[:half]) + self._updates(changes[half:])

    async def _raise_unless_done(self, rcode: dns.rcode.Rcode, *, rehearsed: bool) -> None:
        if rcode == dns.rcode.NOERROR:
            return
        server, zone = self._link.server, self._plan.zone
        if rcode in errors.UNMET:
            await self._raise_conflict(rcode)
        marked = self._fence is not None
        raise errors.update_error(server, zone, rcode, marked=marked, rehearsed=rehearsed)

    async def _raise_conflict(self, rcode: dns.rcode.Rcode) -> NoReturn:
        """Which of the two is not as it was: the marker, and then we resign, or an RRset."""
        zone, changes = self._plan.zone, self._plan.changes
        if self._fence is not None:
            await self._fence.check(zone, self._token)
        which = str(changes[0].key) if len(changes) == 1 else f"One of {len(changes)} RRsets"
        raise ProviderConflict(
            f"{which} in {zone} is not as it was read ({dns.rcode.to_text(rcode)}): somebody "
            "else changed it, and nothing was written."
        )


def _ttl_before(change: Change) -> int | None:
    return change.before.ttl if change.before else None


def _claims(change: Change) -> list[Claim]:
    """What the zone holds if the change was planned for it. BIND accepts addresses beside a
    CNAME without a word, and drops them: so that none is there is claimed as well."""
    name, rtype = change.key
    if change.before is None:
        return [Claim(name, rtype), Claim(name, "CNAME")]
    return [Claim(name, rtype, _rdatas(change.before))]


def _rdatas(rrset: RRset) -> tuple[bytes, ...]:
    return tuple(address_rdata(value) for value in rrset.values)
