"""What every provider keeps, whatever it writes to.

Not a test module: an implementation derives a class from `ProviderSuite` and gives it a fixture
``bench``. The zone example.org is to hold RECORDS and something foreign; sub.example.org a zone
of its own. Where a bench cannot do something at all, it does not belong behind this port.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pytest
import trio

from dnslb.errors import PlanRefused, ProviderConflict, ProviderError
from dnslb.model.lease import FencingToken
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.ports.provider import Provider

ZONE = "example.org"
INNER_ZONE = "sub.example.org"
WWW = "www.example.org"
API = "api.example.org"
NEW = "new.example.org"
ALIAS = "alias.example.org"
TOKEN = FencingToken("tests", 1, 1, "nonce")


def rrset(name: str, *values: str, ttl: int = 60) -> RRset:
    rtype = "AAAA" if ":" in values[0] else "A"
    return RRset(RRsetKey(name, rtype), ttl, tuple(sorted(values)))


RECORDS = (
    rrset(WWW, "192.0.2.1", "192.0.2.2"),
    rrset(WWW, "2001:db8::1"),
    rrset(API, "192.0.2.9", ttl=300),
)
ALIAS_TARGET = "elsewhere.example.net"


def plan_for(reading: ZoneReading, wanted: Mapping[RRsetKey, RRset | None]) -> Plan:
    changes = tuple(
        Change(key, reading.rrsets.get(key), after, "a test", "health", "a test empties it")
        for key, after in wanted.items()
    )
    return Plan(reading.zone, changes, TOKEN.term, reading.basis)


class ProviderBench(Protocol):
    """One provider, and what others may do to its zones behind its back."""

    @property
    def provider(self) -> Provider: ...

    async def edit(self, key: RRsetKey, rrset: RRset | None) -> None: ...

    async def set_cname(self, name: str, target: str) -> None: ...

    async def break_zone(self) -> None:
        """From now on example.org cannot be read or written in any sense."""

    async def foreign(self) -> object:
        """Everything in example.org but the addresses at WWW, API and NEW, and the serial."""


async def write(
    provider: Provider, wanted: Mapping[RRsetKey, RRset | None], names: frozenset[str]
) -> None:
    write = await provider.prepare(plan_for(await provider.read(ZONE, names), wanted), TOKEN)
    try:
        await write.send()
    finally:
        await write.aclose()


NAMES = frozenset({WWW, API, NEW})


class ProviderSuite:
    async def test_capabilities_are_within_reason(self, bench: ProviderBench) -> None:
        capabilities = bench.provider.capabilities
        assert capabilities.batch_max >= 1
        assert capabilities.ttl_min >= 0
        assert capabilities.write_s_max >= 0

    @pytest.mark.parametrize(
        ("name", "zone"),
        [
            (WWW, ZONE),
            (ZONE, ZONE),
            ("a.b.example.org", ZONE),
            ("www.sub.example.org", INNER_ZONE),
            (INNER_ZONE, INNER_ZONE),
            ("wwwsub.example.org", ZONE),
            ("notexample.org", None),
            ("example.net", None),
            ("org", None),
        ],
    )
    async def test_zone_is_the_longest_match_by_labels(
        self, bench: ProviderBench, name: str, zone: str | None
    ) -> None:
        assert await bench.provider.find_zone(name) == zone

    @pytest.mark.parametrize("scan", [False, True])
    async def test_reading_shows_what_stands_at_the_names_asked_for(
        self, bench: ProviderBench, scan: bool
    ) -> None:
        reading = await bench.provider.read(ZONE, NAMES, scan=scan)
        assert (reading.zone, reading.names) == (ZONE, NAMES)
        assert dict(reading.rrsets) == {r.key: r for r in RECORDS}
        assert dict(reading.cnames) == {}

    async def test_reading_is_silent_about_other_names(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, frozenset({API}))
        assert set(reading.rrsets) == {RRsetKey(API, "A")}

    async def test_cname_is_shown(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, frozenset({ALIAS}))
        assert dict(reading.cnames) == {ALIAS: ALIAS_TARGET}
        assert dict(reading.rrsets) == {}

    async def test_unknown_zone_is_an_error_and_not_empty(self, bench: ProviderBench) -> None:
        with pytest.raises(ProviderError, match=r"example\.net"):
            await bench.provider.read("example.net", frozenset({"www.example.net"}))

    async def test_broken_zone_is_an_error_and_not_empty(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, NAMES)
        await bench.break_zone()
        with pytest.raises(ProviderError):
            await bench.provider.read(ZONE, NAMES)
        new = rrset(NEW, "192.0.2.30")
        with pytest.raises(ProviderError):
            await bench.provider.prepare(plan_for(reading, {new.key: new}), TOKEN)

    @pytest.mark.parametrize(
        "wanted",
        [
            (rrset(WWW, "192.0.2.1"),),
            (rrset(WWW, "192.0.2.1", "192.0.2.2", "192.0.2.3"),),
            (rrset(WWW, "192.0.2.77"),),
            (rrset(WWW, "192.0.2.1", "192.0.2.2", ttl=61),),
            (rrset(WWW, "2001:db8::1", "2001:db8::ffff"),),
            (rrset(NEW, "192.0.2.30"),),
            (rrset(NEW, "192.0.2.30"), rrset(NEW, "2001:db8::30"), rrset(API, "192.0.2.8")),
        ],
        ids=["withdraw", "add", "exchange", "ttl", "ipv6", "create", "several"],
    )
    async def test_write_does_exactly_what_the_plan_says(
        self, bench: ProviderBench, wanted: tuple[RRset, ...]
    ) -> None:
        provider, foreign = bench.provider, await bench.foreign()
        reading = await provider.read(ZONE, NAMES)
        plan = plan_for(reading, {r.key: r for r in wanted})
        write = await provider.prepare(plan, TOKEN)
        receipt = await write.send()
        await write.aclose()
        assert set(receipt.rrsets) == set(wanted)
        assert receipt.notices == ()
        after = await provider.read(ZONE, NAMES)
        assert dict(after.rrsets) == {**reading.rrsets, **{r.key: r for r in wanted}}
        assert await bench.foreign() == foreign

    async def test_rrset_can_be_removed_and_return(self, bench: ProviderBench) -> None:
        provider, foreign = bench.provider, await bench.foreign()
        key = RRsetKey(API, "A")
        await write(provider, {key: None}, NAMES)
        assert key not in (await provider.read(ZONE, NAMES)).rrsets
        await write(provider, {key: rrset(API, "192.0.2.9")}, NAMES)
        assert (await provider.read(ZONE, NAMES)).rrsets[key] == rrset(API, "192.0.2.9")
        assert await bench.foreign() == foreign

    async def test_writes_follow_each_other_without_reading(self, bench: ProviderBench) -> None:
        provider = bench.provider
        key = RRsetKey(WWW, "A")
        before = (await provider.read(ZONE, NAMES)).rrsets[key]
        for host in range(10, 15):
            after = rrset(WWW, f"192.0.2.{host}", f"192.0.2.{host + 1}")
            change = Change(key, before, after, "a test", "health")
            write = await provider.prepare(Plan(ZONE, (change,), TOKEN.term), TOKEN)
            receipt = await write.send()
            await write.aclose()
            (before,) = receipt.rrsets
        assert (await provider.read(ZONE, NAMES)).rrsets[key] == after

    async def test_change_since_the_reading_is_a_conflict(self, bench: ProviderBench) -> None:
        provider = bench.provider
        reading = await provider.read(ZONE, NAMES)
        edited = rrset(WWW, "192.0.2.1", "192.0.2.200")
        await bench.edit(edited.key, edited)
        wanted = rrset(WWW, "192.0.2.1")
        with pytest.raises(ProviderConflict):
            await provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)
        assert (await provider.read(ZONE, NAMES)).rrsets[edited.key] == edited

    async def test_change_since_the_preparation_is_a_conflict(self, bench: ProviderBench) -> None:
        provider = bench.provider
        reading = await provider.read(ZONE, NAMES)
        wanted = rrset(WWW, "192.0.2.1")
        write = await provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)
        edited = rrset(WWW, "192.0.2.1", "192.0.2.200")
        await bench.edit(edited.key, edited)
        with pytest.raises(ProviderConflict):
            await write.send()
        await write.aclose()
        assert (await provider.read(ZONE, NAMES)).rrsets[edited.key] == edited

    async def test_rrset_that_has_appeared_is_a_conflict(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, NAMES)
        appeared = rrset(NEW, "192.0.2.201")
        await bench.edit(appeared.key, appeared)
        wanted = rrset(NEW, "192.0.2.30")
        with pytest.raises(ProviderConflict):
            await bench.provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)

    async def test_cname_that_has_appeared_is_a_conflict(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, NAMES)
        await bench.set_cname(NEW, ALIAS_TARGET)
        wanted = rrset(NEW, "192.0.2.30")
        with pytest.raises(ProviderConflict):
            await bench.provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)
        assert (await bench.provider.read(ZONE, NAMES)).cnames == {NEW: ALIAS_TARGET}

    async def test_preparing_alone_changes_nothing(self, bench: ProviderBench) -> None:
        provider, foreign = bench.provider, await bench.foreign()
        reading = await provider.read(ZONE, NAMES)
        wanted = rrset(WWW, "192.0.2.1")
        write = await provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)
        await write.aclose()
        await write.aclose()
        assert (await provider.read(ZONE, NAMES)).rrsets == reading.rrsets
        assert await bench.foreign() == foreign

    async def test_cancelled_write_leaves_the_zone_whole(self, bench: ProviderBench) -> None:
        provider = bench.provider
        reading = await provider.read(ZONE, NAMES)
        wanted = rrset(WWW, "192.0.2.1")
        write = await provider.prepare(plan_for(reading, {wanted.key: wanted}), TOKEN)
        with trio.CancelScope() as scope:
            scope.cancel()
            await write.send()
        await write.aclose()
        standing = (await provider.read(ZONE, NAMES)).rrsets
        assert standing in (reading.rrsets, {**reading.rrsets, wanted.key: wanted})

    async def test_plan_that_breaks_the_law_is_refused(self, bench: ProviderBench) -> None:
        reading = await bench.provider.read(ZONE, NAMES)
        outside = rrset("www.example.net", "192.0.2.1")
        with pytest.raises(PlanRefused):
            await bench.provider.prepare(plan_for(reading, {outside.key: outside}), TOKEN)
        key = RRsetKey(API, "A")
        emptied = Change(key, reading.rrsets[key], None, "a test", "health")
        with pytest.raises(PlanRefused):
            await bench.provider.prepare(Plan(ZONE, (emptied,), TOKEN.term), TOKEN)
        assert (await bench.provider.read(ZONE, NAMES)).rrsets == reading.rrsets
