"""AutoDNS (InterNetX JSON API v1) as a provider: one reading, one PATCH, one reading a change set.

Not the calls (`autodns_http`), the budget (`autodns_budget`) or the zone's text (`autodns_codec`).
AutoDNS cannot compare before it writes, so this does: zone and marker are read right before, and
again right after. What another writes in the some 0.4 s between is noticed, not prevented; that
window is the reason for ``fenced=False`` (`safety.md` 2.4).

Law: nothing is written but single records of the plan's own RRsets; what is removed is named as
it was read, so that a zone that changed meanwhile refuses the whole; what AutoDNS accepted is
called done only when it reads as wanted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from dnslb.errors import OutcomeUnknown, ProviderConflict, ProviderError, ProviderRefusal
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Plan
from dnslb.model.rrset import RRset, ZoneReading
from dnslb.net.clock import Clock
from dnslb.net.tls import TlsFiles
from dnslb.ports.noticeboard import Noticeboard
from dnslb.providers import marker
from dnslb.providers.autodns_account import AccountWatch
from dnslb.providers.autodns_budget import CallBudget, Permit, Urgency
from dnslb.providers.autodns_codec import ZoneContent, patch_body
from dnslb.providers.autodns_directory import Directory
from dnslb.providers.autodns_dump import Dump
from dnslb.providers.autodns_fence import AutoDnsFence, held_token
from dnslb.providers.autodns_http import WRITE_S_MAX, AutoDnsHttp, Line
from dnslb.providers.autodns_password import PasswordExpiry, look_at_password
from dnslb.providers.autodns_zones import DOMAINSAFE_ADVICE, AutoDnsZones


class AutoDnsProvider:
    """``password`` gives the password whenever one is needed. ``name_server``: which one is meant
    where a zone stands on several sets. ``budget``: to be shared by all that call AutoDNS from
    this process. ``dump`` gets each call as text, without secrets. Raises `ConfigError`."""

    def __init__(
        self,
        url: str,
        username: str,
        password: Callable[[], str],
        context: int,
        owner_id: str,
        *,
        name_server: str | None = None,
        budget: CallBudget | None = None,
        dump: Dump | None = None,
        tls: TlsFiles | None = None,
        clock: Clock | None = None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        budget = budget or CallBudget()
        self._clock = clock or Clock()
        self._http = AutoDnsHttp(
            url,
            username,
            password,
            context,
            budget=budget,
            dump=dump,
            tls=tls,
            clock=self._clock,
            luck=luck,
        )
        self._directory = Directory(self._http, name_server)
        self._zones = AutoDnsZones(self._http, self._directory)
        self._capabilities = Capabilities(
            marked=True,
            shared=True,
            calls_per_s=budget.calls_per_s,
            write_s_max=WRITE_S_MAX,
            verifiable=True,
        )
        self.fence = AutoDnsFence(self._zones, owner_id)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def rejection(self) -> str | None:
        """Why no call is made any more: a sentence for an attention row; None while calls are."""
        rejected = self._http.rejected.value
        return None if rejected is None else str(rejected)

    def reload(self, password: Callable[[], str] | None = None) -> None:
        """A person changed the password, or says that the credentials are right: calls are made
        again."""
        self._http.reload(password)

    async def run(self, notices: Noticeboard) -> None:
        """Tells of rejected credentials and of the password's last days, until cancelled."""
        await AccountWatch(self._http, notices, self._clock).run()

    async def rehearse(self, zone: str, names: Collection[str]) -> str:
        """What a reading shows of whether ``names`` can be written; a sentence. Raises
        `ProviderError` where they cannot."""
        content = await self._zones.read_anew(zone, names)
        for why in content.refused.values():
            raise ProviderRefusal(f"{why}.")
        if content.domainsafe:
            raise ProviderRefusal(f"{zone} is under DomainSafe: {DOMAINSAFE_ADVICE}")
        return (
            "nothing that can be read stands in the way; whether the user may write, AutoDNS tells "
            "only when something is written (--canary NAME)"
        )

    @property
    def clock_skew_s(self) -> float | None:
        """How far AutoDNS's clock was ahead of ours at its last answer, give or take a second."""
        return self._http.clock_skew_s

    async def name_servers(self, zone: str) -> tuple[str, ...]:
        """Host names of the zone's name servers, as last read."""
        return await self._zones.name_servers(zone)

    async def look_at_password(self) -> PasswordExpiry:
        """When the password expires; for once a day. Two calls. Raises `ProviderError`."""
        return await look_at_password(self._http)

    async def find_zone(self, name: str) -> str | None:
        return await self._directory.find(name)

    async def read(self, zone: str, names: frozenset[str], *, scan: bool = False) -> ZoneReading:
        content = await self._zones.read_anew(zone, names)
        return ZoneReading(
            zone=zone,
            names=names,
            rrsets=content.rrsets,
            cnames=content.cnames,
        )

    async def prepare(self, plan: Plan, token: FencingToken) -> PreparedAutoDnsWrite:
        """Reads the zone, compares it and the marker with what the plan believes, and waits for
        the permit to write."""
        names = {change.key.name for change in plan.changes}
        plan.check(names)
        line = self._http.line(plan.id)
        try:
            content = await self._zones.read(line, plan.zone, names, Urgency.CHANGE)
            marker.check_write(plan.zone, held_token(content), token)
            _compare(content, plan)
            permit = await self._http.budget.take(Urgency.FINISH)
        except BaseException:
            await line.aclose()
            raise
        return PreparedAutoDnsWrite(self._zones, line, permit, content, plan, token)


class PreparedAutoDnsWrite:
    """A compared plan with an open connection and a permit; `send` writes it and reads again."""

    def __init__(
        self,
        zones: AutoDnsZones,
        line: Line,
        permit: Permit,
        content: ZoneContent,
        plan: Plan,
        token: FencingToken,
    ) -> None:
        self._zones = zones
        self._line = line
        self._permit = permit
        self._content = content
        self._plan = plan
        self._token = token
        self._body = patch_body(content, plan.changes)

    async def send(self) -> Receipt:
        plan = self._plan
        await self._zones.patch(self._line, self._permit, self._content, self._body, plan.id)
        names = {change.key.name for change in plan.changes}
        try:
            after = await self._zones.read(self._line, plan.zone, names, Urgency.FINISH)
        except ProviderError as error:
            raise OutcomeUnknown(
                f"AutoDNS took the change of {plan.zone}, and it could not be read back: {error}"
            ) from error
        rrsets = _outcome(after, plan)
        marker.check_write(plan.zone, held_token(after), self._token)
        return Receipt(rrsets=rrsets)

    async def aclose(self) -> None:
        self._permit.give_back()
        await self._line.aclose()


def _compare(content: ZoneContent, plan: Plan) -> None:
    """Raises `ProviderRefusal` for what cannot be written here, `ProviderConflict` for what is
    not as the plan believes."""
    for change in plan.changes:
        name = change.key.name
        if (why := content.refused.get(name)) is not None:
            raise ProviderRefusal(f"Nothing was written to {plan.zone}: {why}.")
        if content.rrsets.get(change.key) != change.before:
            raise ProviderConflict(f"{change.key} in {plan.zone} is not as it was read.")
        if change.after is not None and name in content.cnames:
            raise ProviderConflict(f"{name} in {plan.zone} has become a CNAME.")


def _outcome(after: ZoneContent, plan: Plan) -> tuple[RRset, ...]:
    """What stands now, if that is what was wanted."""
    stand = [after.rrsets.get(change.key) for change in plan.changes]
    if stand == [change.after for change in plan.changes]:
        return tuple(rrset for rrset in stand if rrset is not None)
    if stand == [change.before for change in plan.changes]:
        raise OutcomeUnknown(
            f"AutoDNS took the change of {plan.zone} and does not show it yet; it is read again."
        )
    differs = next(
        change.key
        for change, rrset in zip(plan.changes, stand, strict=True)
        if rrset != change.after
    )
    raise ProviderConflict(
        f"{differs} in {plan.zone} is not as it was just written: somebody else writes it, too."
    )
