"""A provider and the AutoDNS stand-in that it talks to, on one mock clock.

The sockets are real; time is not. The clock jumps only when nothing has happened on the loopback
for a moment of real time, so waiting for the call budget costs a test some hundredths of a
second, and every verdict repeats.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.testing import MockClock

from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Receipt
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers import marker
from dnslb.providers.autodns import AutoDnsProvider
from tests.doubles.autodns.server import CONTEXT, USER, AutoDns
from tests.doubles.autodns.zones import record

JUMP_AFTER_S = 0.01
ZONE, WWW, API = "example.org", "www.example.org", "api.example.org"
TOKEN = FencingToken("tests", 1, 1, "nonce")


def run_on_mock_clock(test: Any, *, clock: trio.abc.Clock | None = None, **options: Any) -> object:
    """For ``pytest.mark.trio(run=...)``: `trio.run` by a clock that the test need not name."""
    return trio.run(test, clock=clock or MockClock(autojump_threshold=JUMP_AFTER_S), **options)


def marker_record(token: FencingToken) -> dict[str, Any]:
    return record("_dnslb", "TXT", marker.to_text(token), ttl=300)


def a(name: str, *values: str, ttl: int = 60) -> RRset:
    rtype = "AAAA" if ":" in values[0] else "A"
    return RRset(RRsetKey(name, rtype), ttl, tuple(sorted(values)))


def foreign(count: int) -> list[dict[str, Any]]:
    """Records that are nobody's business here, of every awkward kind."""
    return [
        record("", "MX", "mail", pref=10),
        record("", "TXT", "v=spf1 -all", ttl=3600),
        record("ftp", "CNAME", "www"),
        record("ns", "A", "198.51.100.53", ttl=0),
        {"type": "CAA", "value": '0 issue "ca.example.net"'},
        *(record(f"host{n}", "A", f"198.51.100.{n % 250}", ttl=300) for n in range(count)),
    ]


@dataclass
class Stage:
    """``lines``: what the dump got."""

    api: AutoDns
    lines: list[str] = field(default_factory=list)
    provider: AutoDnsProvider = field(init=False)

    def __post_init__(self) -> None:
        self.provider = self.make()

    def make(self, **options: Any) -> AutoDnsProvider:
        """Another provider: another process, as far as AutoDNS can tell."""
        given: dict[str, Any] = {
            "url": self.api.url,
            "username": USER,
            "password": lambda: self.api.password,
            "context": CONTEXT,
            "owner_id": TOKEN.owner_id,
            "dump": self.lines.append,
            "luck": lambda: 0.5,
        }
        return AutoDnsProvider(**{**given, **options})

    async def write(
        self, *wanted: RRset, gone: Iterable[RRsetKey] = (), token: FencingToken = TOKEN
    ) -> Receipt:
        """Reads, plans, prepares and sends, as the daemon does."""
        prepared = await self.provider.prepare(await self.plan(*wanted, gone=gone), token)
        try:
            return await prepared.send()
        finally:
            await prepared.aclose()

    async def plan(self, *wanted: RRset, gone: Iterable[RRsetKey] = ()) -> Plan:
        after: dict[RRsetKey, RRset | None] = {r.key: r for r in wanted} | dict.fromkeys(gone)
        reading = await self.provider.read(ZONE, frozenset(key.name for key in after))
        return Plan(
            ZONE,
            tuple(
                Change(key, reading.rrsets.get(key), rrset, "a test", "health", "a test")
                for key, rrset in after.items()
            ),
            TOKEN.term,
        )

    async def refused(self, *names: str) -> dict[str, str]:
        """Names that could not be written, and why: as `prepare` will say when asked to."""
        return dict((await self.provider._zones.read_anew(ZONE, names)).refused)

    def values(self, name: str, rtype: str = "A") -> list[str]:
        """What stands there, by the stand-in's own book."""
        return sorted(
            r["value"]
            for r in self.api.zones.records(ZONE)
            if r.get("name") == name and r["type"] == rtype
        )
