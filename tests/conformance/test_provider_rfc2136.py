"""A real BIND, updated by RFC 2136, keeps what every provider keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import dns.update
import pytest
import trio

from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.rfc2136 import Rfc2136Provider
from tests.conformance.fence import FencedProvider, FenceSuite
from tests.conformance.provider import (
    ALIAS_TARGET,
    API,
    INNER_ZONE,
    NEW,
    TOKEN,
    WWW,
    ZONE,
    ProviderSuite,
)
from tests.system.named import KEY, POLICY, Named, NamedZone, StartNamed

RECORDS = f"""\
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www 60 AAAA 2001:db8::1
www TXT "one ; two"
api 300 A 192.0.2.9
alias CNAME {ALIAS_TARGET}.
other A 198.51.100.2
* MX 10 other
sub NS ns1.sub
ns1.sub A 127.0.0.1
"""
SIGNED = POLICY + " dnssec-policy default;"
INLINE = POLICY + " dnssec-policy default; inline-signing yes;"


class BindBench:
    def __init__(self, named: Named, provider: FencedProvider) -> None:
        self.named = named
        self.provider = provider

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        def edit(update: dns.update.UpdateMessage) -> None:
            update.delete(f"{key.name}.", key.rtype)
            if rrset is not None:
                update.add(f"{key.name}.", rrset.ttl, key.rtype, *rrset.values)

        await trio.to_thread.run_sync(self.named.change, ZONE, edit)

    async def set_cname(self, name: str, target: str) -> None:
        def edit(update: dns.update.UpdateMessage) -> None:
            update.delete(f"{name}.")
            update.add(f"{name}.", 60, "CNAME", f"{target}.")

        await trio.to_thread.run_sync(self.named.change, ZONE, edit)

    async def break_zone(self) -> None:
        self.named.stop()

    async def foreign(self) -> object:
        lines = await trio.to_thread.run_sync(self.named.records, ZONE)
        made = ("RRSIG", "NSEC", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534")
        return [
            line
            for line in lines
            if not line.startswith(tuple(f"{name}. " for name in (WWW, API, NEW)))
            or line.split()[3] not in ("A", "AAAA")
            if line.split()[3] not in made
        ]


class BindSuite(ProviderSuite):
    options = POLICY
    ownership = True

    @pytest.fixture
    async def bench(self, named: StartNamed) -> AsyncIterator[BindBench]:
        server = named(NamedZone(ZONE, RECORDS, self.options), NamedZone(INNER_ZONE))
        provider = Rfc2136Provider(server.address, KEY, TOKEN.owner_id, self.ownership)
        if provider.fence is not None:
            await provider.fence.take(ZONE, TOKEN)
        yield BindBench(server, provider)
        await provider.aclose()


class TestRfc2136Provider(BindSuite, FenceSuite):
    """With the marker, as is usual."""


class TestRfc2136ProviderWithoutOwnership(BindSuite):
    options = (
        'update-policy { grant "admin-key." zonesub ANY; grant "dnslb-key." zonesub A AAAA; };'
    )
    ownership = False


class TestRfc2136ProviderOfSignedZone(BindSuite):
    options = SIGNED


class TestRfc2136ProviderOfInlineSignedZone(BindSuite, FenceSuite):
    options = INLINE
