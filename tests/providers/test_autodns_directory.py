"""Finding zones: pages, ages, zones of one name on two sets of name servers, listings in doubt."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.providers.autodns_directory import HIT_S_MAX, MISS_S_MAX
from tests.doubles.autodns.zones import record
from tests.providers.autodns_stage import TOKEN, WWW, ZONE, Stage, a, marker_record

OTHER = "b.other.net"


def listing(*zones: dict[str, Any], summary: int | None = None) -> dict[str, Any]:
    about: dict[str, Any] = {"type": "Zone"}
    if summary is not None:
        about["summary"] = summary
    whole = {"status": {"code": "S0205", "type": "SUCCESS"}, "object": about, "data": list(zones)}
    return {"status": 200, "body": json.dumps(whole).encode(), "method": "POST"}


def slim(origin: str, name_server: str = "a.ns14.net") -> dict[str, Any]:
    return {"origin": origin, "virtualNameServer": name_server}


async def test_all_pages_are_read(stage: Stage) -> None:
    for n in range(2500):
        stage.api.zones.add(f"zone{n:04}.example")
    assert await stage.provider.find_zone("www.zone2499.example") == "zone2499.example"
    views = [seen.body["view"] for seen in stage.api.seen]
    assert [view["offset"] for view in views] == [0, 1000, 2000]
    assert {view["limit"] for view in views} == {1000}


async def test_pages_may_be_shorter_than_asked_for(stage: Stage) -> None:
    stage.api.zones.page_max = 100
    for n in range(250):
        stage.api.zones.add(f"zone{n:04}.example")
    assert await stage.provider.find_zone("www.zone0249.example") == "zone0249.example"
    assert len(stage.api.seen) == 3


async def test_many_questions_are_one_search(stage: Stage) -> None:
    async with trio.open_nursery() as nursery:
        for n in range(30):
            nursery.start_soon(stage.provider.find_zone, f"host{n}.example.org")
    assert len(stage.api.seen) == 1


async def test_who_waited_for_a_failed_search_fails_with_it(stage: Stage) -> None:
    stage.api.fail(status=502)
    failed = []

    async def find(n: int) -> None:
        try:
            await stage.provider.find_zone(f"host{n}.example.org")
        except ProviderTemporary as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        for n in range(10):
            nursery.start_soon(find, n)
    assert len(failed) == 10
    assert len(stage.api.seen) == 1
    assert await stage.provider.find_zone(WWW) == ZONE


async def test_a_new_zone_is_found_in_time(stage: Stage) -> None:
    assert await stage.provider.find_zone("www.new.example") is None
    assert await stage.provider.find_zone("www.sub.example.org") == ZONE
    stage.api.zones.add("new.example")
    stage.api.zones.add("sub.example.org")
    await trio.sleep(MISS_S_MAX + 1)
    assert await stage.provider.find_zone("www.new.example") == "new.example"
    await trio.sleep(HIT_S_MAX + 1)
    assert await stage.provider.find_zone("www.sub.example.org") == "sub.example.org"


async def test_odd_origins_of_others_hurt_nobody(stage: Stage) -> None:
    for origin in ("0/25.2.0.192.in-addr.arpa", "EXAMPLE.com", "xn--bcher-kva.example"):
        stage.api.zones.add(origin)
    assert await stage.provider.find_zone("www.example.com") == "example.com"
    assert await stage.provider.find_zone("xn--bcher-kva.example") == "xn--bcher-kva.example"
    assert await stage.provider.find_zone(WWW) == ZONE


# ----------------------------------------------------------------------- listings in doubt


DOUBTFUL: dict[str, list[dict[str, Any]]] = {
    "short": [listing(slim("a.example"), summary=3), listing(summary=3)],
    "shifting": [
        listing(slim("a.example"), slim("b.example"), summary=3),
        listing(slim("b.example"), summary=3),
    ],
    "growing": [listing(slim("a.example"), summary=2), listing(slim("b.example"), summary=3)],
    "too-many": [listing(slim("a.example"), slim("b.example"), summary=1)],
    "no-name": [listing({"virtualNameServer": "a.ns14.net"}, summary=1)],
    "no-server": [listing({"origin": "a.example"}, summary=1)],
    "no-object": [listing(summary=1) | {"body": b'{"status":{"type":"SUCCESS"},"data":[7]}'}],
}


@pytest.mark.parametrize("pages", DOUBTFUL.values(), ids=DOUBTFUL)
async def test_a_listing_that_does_not_add_up_says_nothing(
    stage: Stage, pages: list[dict[str, Any]]
) -> None:
    for page in pages:
        stage.api.fail(**page)
    with pytest.raises(ProviderTemporary, match="AutoDNS listed"):
        await stage.provider.find_zone("www.example.net")
    assert await stage.provider.find_zone(WWW) == ZONE


async def test_without_a_total_only_an_empty_page_is_the_end(stage: Stage) -> None:
    for page in ([slim("a.example")], [slim("b.example")], []):
        stage.api.fail(**listing(*page))
    assert await stage.provider.find_zone("www.b.example") == "b.example"


@pytest.mark.parametrize("page", [listing(summary=0), listing()])
async def test_an_account_without_any_zone_is_doubted(stage: Stage, page: dict[str, Any]) -> None:
    stage.api.fail(**page)
    with pytest.raises(ProviderRefusal, match=r"no zone at all.* -autodns-context"):
        await stage.provider.find_zone(WWW)


async def test_an_endless_listing_has_an_end(stage: Stage) -> None:
    for n in range(100):
        stage.api.fail(**listing(slim(f"zone{n}.example")))
    with pytest.raises(ProviderRefusal, match="more than 100 zones"):
        await stage.provider.find_zone(WWW)


# --------------------------------------------------------------------- where a zone stands


async def test_a_zone_on_two_sets_of_name_servers_is_not_guessed_at(stage: Stage) -> None:
    stage.api.zones.add(ZONE, [record("www", "A", "203.0.113.1")], OTHER)
    assert await stage.provider.find_zone(WWW) == ZONE
    with pytest.raises(ProviderRefusal, match=r"a\.ns14\.net, b\.other\.net"):
        await stage.provider.read(ZONE, frozenset({WWW}))


async def test_the_named_name_server_decides(stage: Stage) -> None:
    records = [record("www", "A", "203.0.113.1", ttl=60), marker_record(TOKEN)]
    stage.api.zones.add(ZONE, records, OTHER)
    stage.provider = stage.make(name_server="B.other.net.")
    await stage.write(a(WWW, "203.0.113.2"))
    assert stage.values("www") == ["192.0.2.1", "192.0.2.2"]
    (www,) = [r for r in stage.api.zones.records(ZONE, OTHER) if r["type"] == "A"]
    assert www["value"] == "203.0.113.2"


async def test_a_zone_that_moved_is_looked_for(stage: Stage) -> None:
    await stage.provider.read(ZONE, frozenset({WWW}))
    zone = stage.api.zones.by_key.pop((ZONE, "a.ns14.net"))
    zone["virtualNameServer"] = OTHER
    stage.api.zones.by_key[ZONE, OTHER] = zone
    await trio.sleep(1)
    assert (await stage.provider.read(ZONE, frozenset({WWW}))).rrsets


async def test_a_write_to_a_zone_that_moved_fails_and_the_next_reading_finds_it(
    stage: Stage,
) -> None:
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    zone = stage.api.zones.by_key.pop((ZONE, "a.ns14.net"))
    stage.api.zones.by_key[ZONE, OTHER] = {**zone, "virtualNameServer": OTHER}
    with pytest.raises(ProviderTemporary, match="HTTP 404"):
        await prepared.send()
    await prepared.aclose()
    await stage.write(a(WWW, "192.0.2.1"))


async def test_a_zone_that_was_deleted_is_an_error(stage: Stage) -> None:
    stage.api.zones.add("left.example")
    await stage.provider.read(ZONE, frozenset({WWW}))
    del stage.api.zones.by_key[ZONE, "a.ns14.net"]
    await trio.sleep(1)
    with pytest.raises(ProviderRefusal, match=r"no zone example\.org in this account"):
        await stage.provider.read(ZONE, frozenset({WWW}))


async def test_a_zone_that_is_listed_and_not_found_is_an_error(stage: Stage) -> None:
    await stage.provider.read(ZONE, frozenset({WWW}))
    stage.api.fail(status=404, method="GET")
    with pytest.raises(ProviderTemporary, match="does not find it there"):
        await stage.provider.read(ZONE, frozenset({WWW}))
