"""Which zones the account has, and on which name servers: the search, page by page, remembered.

Law: only a listing that was read to its end and agrees with itself says that a zone is not
there. A failed, short or shifting one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from dnslb.errors import ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.model.names import longest_zone
from dnslb.net.clock import mono_s
from dnslb.providers.autodns_budget import Urgency
from dnslb.providers.autodns_codec import ListedZone, search_body, to_listing
from dnslb.providers.autodns_http import AutoDnsHttp, Call

HIT_S_MAX = 300.0
"""How old a listing may be that says where a name lives: a zone below may have come since."""
MISS_S_MAX = 20.0
"""How old one may be that says that there is none."""
PAGES_MAX = 100


class Directory:
    """``name_server``: the one to use for zones that stand on several sets of them."""

    def __init__(self, http: AutoDnsHttp, name_server: str | None = None) -> None:
        self._http = http
        self._preferred = name_server.lower().rstrip(".") if name_server else None
        self._zones: Mapping[str, tuple[str, ...]] = {}
        self._read_mono = float("-inf")
        self._failure: str | None = None
        self._ended = 0
        self._one_at_a_time = trio.Lock()

    async def find(self, name: str) -> str | None:
        """The zone that serves ``name``; None when the account positively has none."""
        await self._refresh(HIT_S_MAX)
        zone = longest_zone(name, self._zones)
        if zone is None:
            await self._refresh(MISS_S_MAX)
            zone = longest_zone(name, self._zones)
        return zone

    async def name_server_of(self, zone: str, *, age_s_max: float = float("inf")) -> str:
        """The name server that, with its name, makes out ``zone``. Raises `ProviderRefusal` for
        a zone that the account does not have, or has more than once."""
        await self._refresh(age_s_max)
        if zone not in self._zones:
            await self._refresh(MISS_S_MAX)
        found = self._zones.get(zone, ())
        if len(found) > 1:
            found = tuple(s for s in found if s.lower().rstrip(".") == self._preferred) or found
        if len(found) == 1:
            return found[0]
        if not found:
            raise ProviderRefusal(
                f"AutoDNS has no zone {zone} in this account (context {self._http.context}): it "
                "was deleted, moved to another account, or the user may not see it."
            )
        raise ProviderRefusal(
            f"AutoDNS has {zone} on several sets of name servers ({', '.join(found)}), and "
            "which of them to write is not known: delete the one that is not delegated."
        )

    async def _refresh(self, age_s_max: float) -> None:
        """One search at a time; who waited for one takes its result."""
        await trio.lowlevel.checkpoint()
        if mono_s() - self._read_mono <= age_s_max:
            return
        asked_mono, ended = mono_s(), self._ended
        async with self._one_at_a_time:
            if asked_mono - self._read_mono <= age_s_max:
                return
            if self._ended != ended and self._failure is not None:
                # Who waited for a search that failed does not ask the same at once again.
                raise ProviderTemporary(self._failure)
            began_mono = mono_s()
            self._failure = None
            try:
                self._zones = await self._list()
                self._read_mono = began_mono
            except ProviderError as error:
                self._failure = str(error)
                raise
            finally:
                self._ended += 1

    async def _list(self) -> Mapping[str, tuple[str, ...]]:
        async with self._http.line() as line:
            listed: dict[ListedZone, None] = {}
            total = count = 0
            for page in range(PAGES_MAX):
                call = Call("POST", "/zone/_search", "listing the zones", search_body(count))
                answer = await line.ask(call, Urgency.ROUTINE)
                zones = to_listing(answer)
                if page == 0:
                    total = len(zones) if answer.summary is None else answer.summary
                    # Without a total only an empty page is an end.
                    endless = answer.summary is None
                elif answer.summary is not None and answer.summary != total:
                    raise _shifted()
                count += len(zones)
                listed.update(dict.fromkeys(zones))
                if not zones or (not endless and count >= total):
                    break
            else:
                raise ProviderRefusal(
                    f"AutoDNS lists more than {count} zones; use an account that sees fewer."
                )
        if len(listed) != count or (not endless and count != total):
            raise _shifted()
        if not listed:
            raise ProviderRefusal(
                f"AutoDNS shows no zone at all to this user in context {self._http.context}: "
                "check -autodns-context and what the user may see; nothing is concluded from it."
            )
        zones_by_name: dict[str, tuple[str, ...]] = {}
        for one in listed:
            zones_by_name[one.zone] = (*zones_by_name.get(one.zone, ()), one.name_server)
        return zones_by_name


def _shifted() -> ProviderTemporary:
    return ProviderTemporary(
        "AutoDNS listed zones that do not add up, so some may be missing; it is asked again."
    )
