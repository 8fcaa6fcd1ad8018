"""A provider on a real BIND, and what the tests beside do with both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.update
import trio

from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.net.clock import Clock
from dnslb.ports.fence import Fence
from dnslb.providers.rfc2136 import Rfc2136Provider
from dnslb.providers.rfc2136_key import TsigKey
from tests.system.named import KEY, Named

ZONE, WWW, API = "example.org", "www.example.org", "api.example.org"
TOKEN = FencingToken("tests", 1, 1, "nonce")
NEXT = TOKEN._replace(term=2, nonce="next")
Edit = Callable[[dns.update.UpdateMessage], object]


def a(name: str, *values: str, ttl: int = 60) -> RRset:
    rtype = "AAAA" if ":" in values[0] else "A"
    return RRset(RRsetKey(name, rtype), ttl, tuple(sorted(values)))


def plan(reading: ZoneReading, *wanted: RRset, gone: tuple[RRsetKey, ...] = ()) -> Plan:
    after: dict[RRsetKey, RRset | None] = {r.key: r for r in wanted} | dict.fromkeys(gone)
    changes = tuple(
        Change(key, reading.rrsets.get(key), rrset, "a test", "health", "a test")
        for key, rrset in after.items()
    )
    return Plan(reading.zone, changes, TOKEN.term)


async def write(provider: Rfc2136Provider, *wanted: RRset, token: FencingToken = TOKEN) -> Receipt:
    """Reads, plans, prepares and sends, as the daemon does."""
    reading = await provider.read(ZONE, frozenset(rrset.key.name for rrset in wanted))
    prepared = await provider.prepare(plan(reading, *wanted), token)
    try:
        return await prepared.send()
    finally:
        await prepared.aclose()


async def change(server: Named, edit: Edit, zone: str = ZONE) -> None:
    """Somebody else changes the zone."""
    await trio.to_thread.run_sync(server.change, zone, edit)


async def records(server: Named, zone: str = ZONE) -> list[str]:
    return await trio.to_thread.run_sync(server.records, zone)


class ShiftedClock(Clock):
    """The real clocks, ``mono`` and ``wall`` set forward by seconds."""

    def __init__(self, *, mono: float = 0.0, wall: float = 0.0) -> None:
        self.mono, self.wall = mono, wall

    def now(self) -> Now:
        now = super().now()
        return now._replace(mono=now.mono + self.mono, wall=now.wall + self.wall)


@asynccontextmanager
async def provider_on(
    server: Named,
    key: TsigKey | None = KEY,
    *,
    owner_id: str = TOKEN.owner_id,
    ownership: bool = True,
    takes: FencingToken | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Rfc2136Provider]:
    """``takes``: what it writes into the marker of the zone first."""
    provider = Rfc2136Provider(server.address, key, owner_id, ownership, clock=clock)
    try:
        if takes is not None:
            await fence_of(provider).take(ZONE, takes)
        yield provider
    finally:
        await provider.aclose()


def fence_of(provider: Rfc2136Provider) -> Fence:
    assert provider.fence is not None
    return provider.fence
