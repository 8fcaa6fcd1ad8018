"""The AutoDNS provider keeps what every provider keeps, over real sockets, by a mock clock."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import trio

from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRset, RRsetKey
from tests.conformance.fence import FenceBench, FenceSuite
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
from tests.doubles.autodns.server import AutoDns
from tests.doubles.autodns.zones import record
from tests.providers.autodns_stage import Stage, foreign, marker_record, run_on_mock_clock

OURS = {WWW, API, NEW}


def owner(found: dict[str, Any]) -> str:
    name = (found.get("name") or "").lower()
    return name[:-1] if name.endswith(".") else f"{name}.{ZONE}".lstrip(".")


class AutoDnsBench:
    def __init__(self, api: AutoDns) -> None:
        self.api = api
        self.provider = Stage(api).provider

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        records = self.api.zones.records(ZONE)
        kept = [r for r in records if (owner(r), r["type"]) != tuple(key)]
        if rrset is not None:
            name = key.name.removesuffix(f".{ZONE}")
            kept += [record(name, key.rtype, value, ttl=rrset.ttl) for value in rrset.values]
        records[:] = kept

    async def set_cname(self, name: str, target: str) -> None:
        short = name.removesuffix(f".{ZONE}")
        self.api.zones.records(ZONE).append(record(short, "CNAME", f"{target}."))

    async def break_zone(self) -> None:
        self.api.fail(100, status=200, body=b'{"stid":"1","status":{"type":"SUCCESS"},"data":[{}]}')

    async def foreign(self) -> object:
        zone = copy.deepcopy(self.api.zones.by_key[ZONE, "a.ns14.net"])
        del zone["updated"]
        zone["resourceRecords"] = [
            r
            for r in zone["resourceRecords"]
            if owner(r) not in OURS or r["type"] not in ("A", "AAAA")
        ]
        return zone


class TestAutoDnsProvider(ProviderSuite, FenceSuite):
    async def mark(self, bench: FenceBench, token: FencingToken) -> None:
        assert isinstance(bench, AutoDnsBench)
        bench.api.zones.records(ZONE).append(marker_record(token))

    @pytest.fixture(autouse=True)
    def mock_time(self, request: pytest.FixtureRequest) -> None:
        """The suite's tests name no clock; this mark precedes the one of the trio mode."""
        request.node.add_marker(pytest.mark.trio(run=run_on_mock_clock), append=False)

    @pytest.fixture
    async def bench(self, nursery: trio.Nursery) -> AutoDnsBench:
        api = AutoDns()
        await nursery.start(api.serve)
        records = [
            *foreign(20),
            record("www", "A", "192.0.2.1", ttl=60),
            record("WWW", "A", "192.0.2.2", ttl=60),
            record(f"www.{ZONE}.", "AAAA", "2001:DB8:0::1", ttl=60),
            record("www", "TXT", "at our name, yet not ours"),
            record("api", "A", "192.0.2.9", ttl=300),
            record("alias", "CNAME", f"{ALIAS_TARGET}."),
            marker_record(TOKEN),
        ]
        api.zones.add(ZONE, records)
        api.zones.add(INNER_ZONE, [record("", "A", "198.51.100.1")])
        return AutoDnsBench(api)
