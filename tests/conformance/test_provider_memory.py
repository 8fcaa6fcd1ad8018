"""The in-memory provider keeps what every provider keeps."""

from __future__ import annotations

import pytest

from dnslb.errors import ProviderTemporary
from dnslb.model.capabilities import Capabilities
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.memory import MemoryProvider
from tests.conformance.fence import FenceSuite
from tests.conformance.provider import (
    ALIAS,
    ALIAS_TARGET,
    INNER_ZONE,
    RECORDS,
    TOKEN,
    ZONE,
    ProviderSuite,
    rrset,
)

OTHER = rrset("other.example.org", "198.51.100.1")


class MemoryBench:
    def __init__(self, capabilities: Capabilities | None = None) -> None:
        self.provider = MemoryProvider(
            {ZONE: [*RECORDS, OTHER], INNER_ZONE: []},
            cnames={ALIAS: ALIAS_TARGET},
            capabilities=capabilities,
        )

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None:
        self.provider.edit(key, rrset)

    async def set_cname(self, name: str, target: str) -> None:
        self.provider.set_cname(name, target)

    async def break_zone(self) -> None:
        error = ProviderTemporary("The memory is broken.")
        self.provider.fail_next("read", error, times=100)
        self.provider.fail_next("prepare", error, times=100)

    async def foreign(self) -> object:
        return self.provider.rrset("other.example.org", "A")


class TestMemoryProvider(ProviderSuite):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


class TestFencedMemoryProvider(ProviderSuite, FenceSuite):
    @pytest.fixture
    async def bench(self) -> MemoryBench:
        bench = MemoryBench(Capabilities(fenced=True, marked=True, shared=True))
        await bench.provider.fence.take(ZONE, TOKEN)
        return bench
