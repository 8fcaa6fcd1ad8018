"""Reading and changing one zone at AutoDNS: the calls that provider and fence both make.

Law: a zone is named by its name and its name server, so that of two zones with one name the
right one is meant; a change is one PATCH of single records, never the zone as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import quote

import trio

from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.providers.autodns_answer import ZoneMissing
from dnslb.providers.autodns_budget import Permit, Urgency
from dnslb.providers.autodns_codec import Body, ZoneContent, to_content
from dnslb.providers.autodns_directory import Directory
from dnslb.providers.autodns_http import AutoDnsHttp, Call, Line

log = logging.getLogger(__name__)
DOMAINSAFE_ADVICE = "it asks for a PIN with each change, so switch it off for this zone."


class AutoDnsZones:
    def __init__(self, http: AutoDnsHttp, directory: Directory) -> None:
        self.http = http
        self.directory = directory
        self._held_records: set[str] = set()
        self._name_servers: dict[str, tuple[str, ...]] = {}

    async def read(
        self, line: Line, zone: str, names: Iterable[str], urgency: Urgency
    ) -> ZoneContent:
        """One call, once it is known where the zone stands."""
        name_server = await self.directory.name_server_of(zone)
        call = Call("GET", _path(zone, name_server), f"reading {zone}")
        answer = await line.ask(call, urgency)
        content = to_content(answer, zone, name_server, names)
        self._check_emptiness(content)
        self._name_servers[zone] = content.name_servers
        return content

    async def name_servers(self, zone: str) -> tuple[str, ...]:
        """As the newest reading has them; a call only where there was none yet."""
        await trio.lowlevel.checkpoint()
        if zone not in self._name_servers:
            await self.read_anew(zone, ())
        return self._name_servers[zone]

    async def read_anew(self, zone: str, names: Iterable[str]) -> ZoneContent:
        """Like `read`, on a line of its own; looks where the zone went when it is not there."""
        async with self.http.line() as line:
            names = frozenset(names)
            before = await self.directory.name_server_of(zone)
            try:
                return await self.read(line, zone, names, Urgency.ROUTINE)
            except ZoneMissing as missing:
                now = await self.directory.name_server_of(zone, age_s_max=0.0)
                if now == before:
                    raise ProviderTemporary(
                        f"AutoDNS lists {zone} on {now} and does not find it there: {missing}"
                    ) from missing
            return await self.read(line, zone, names, Urgency.ROUTINE)

    async def patch(
        self, line: Line, permit: Permit, content: ZoneContent, body: Body, ctid: str
    ) -> None:
        """The write itself; whether it took place, the next reading says."""
        zone = content.zone
        call = Call("PATCH", _path(zone, content.name_server), f"the change of {zone}", body, ctid)
        try:
            answer = await line.send(call, permit)
        except ProviderRefusal as error:
            if content.domainsafe:
                raise ProviderRefusal(f"{error} DomainSafe: {DOMAINSAFE_ADVICE}") from error
            raise
        fields = {"zone": zone, "stid": answer.stid, "ctid": ctid}
        log.info("AutoDNS took the change of %s", zone, extra={"fields": fields})

    def _check_emptiness(self, content: ZoneContent) -> None:
        """A zone that held records and shows none is doubted for as long as this process lives:
        with our marker in it, it cannot have become empty by itself."""
        if content.total:
            self._held_records.add(content.zone)
        elif content.zone in self._held_records:
            raise ProviderTemporary(
                f"AutoDNS shows {content.zone} without any record, and it held some before: that "
                "is not believed. If everything was really removed, restart dnslb."
            )


def _path(zone: str, name_server: str) -> str:
    return f"/zone/{quote(zone, safe='')}/{quote(name_server, safe='')}"
