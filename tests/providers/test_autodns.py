"""The AutoDNS provider over real sockets: what it sends, what it compares, what it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import trio

from dnslb import __version__
from dnslb.errors import (
    ConfigError,
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.rrset import RRsetKey
from dnslb.providers import marker
from dnslb.providers.autodns import AutoDnsProvider
from tests.doubles.autodns.server import Seen
from tests.doubles.autodns.zones import record
from tests.providers.autodns_stage import API, TOKEN, WWW, ZONE, Stage, a, marker_record

APEX = ZONE


async def test_a_change_set_is_three_calls_on_one_connection(stage: Stage) -> None:
    plan = await stage.plan(a(WWW, "192.0.2.1"), a(API, "192.0.2.8", "192.0.2.9", ttl=300))
    stage.api.seen.clear()
    before = stage.api.connections
    prepared = await stage.provider.prepare(plan, TOKEN)
    assert stage.api.methods == ["GET"]
    receipt = await prepared.send()
    await prepared.aclose()
    assert stage.api.methods == ["GET", "PATCH", "GET"]
    assert stage.api.connections == before + 1
    assert set(receipt.rrsets) == {change.after for change in plan.changes}
    get, patch, again = stage.api.seen
    assert {seen.path for seen in stage.api.seen} == {"/zone/example.org/a.ns14.net"}
    assert patch.body == {
        "resourceRecordsAdd": [record("api", "A", "192.0.2.8", ttl=300)],
        "resourceRecordsRem": [record("www", "A", "192.0.2.2", ttl=60)],
    }
    assert again.at - patch.at == pytest.approx(0.4)
    assert patch.at - get.at == pytest.approx(0.4)


async def test_headers_are_as_documented(stage: Stage) -> None:
    plan = await stage.plan(a(WWW, "192.0.2.1"))
    await stage.write(a(WWW, "192.0.2.1"))
    for seen in stage.api.seen:
        assert seen.headers["user-agent"] == f"dnslb/{__version__}"
        assert seen.headers["x-domainrobot-context"] == "4"
        assert seen.headers["authorization"].startswith("Basic ")
    patch = next(seen for seen in stage.api.seen if seen.method == "PATCH")
    assert patch.headers["x-domainrobot-ctid"] == plan.id


async def test_sending_waits_for_nothing(stage: Stage) -> None:
    """Between the gate and the first byte there is no wait (safety 1.8)."""
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    sent = trio.current_time()
    await prepared.send()
    await prepared.aclose()
    patch = next(seen for seen in stage.api.seen if seen.method == "PATCH")
    assert patch.at == sent


async def test_removals_are_copied_exactly_as_they_were_read(stage: Stage) -> None:
    odd = {"name": "www.example.org.", "type": "A", "value": "192.0.2.77", "weird": [1, {"a": 2}]}
    stage.api.zones.records(ZONE)[:] = [
        odd,
        {"name": "WWW", "ttl": 0, "type": "A", "value": "192.0.2.78"},
        marker_record(TOKEN),
    ]
    await stage.write(a(WWW, "192.0.2.1"))
    patch = next(seen for seen in stage.api.seen if seen.method == "PATCH")
    assert patch.body["resourceRecordsRem"] == [
        odd,
        {"name": "WWW", "ttl": 0, "type": "A", "value": "192.0.2.78"},
    ]
    assert stage.values("www") == ["192.0.2.1"]


async def test_a_new_ttl_exchanges_the_records_in_one_request(stage: Stage) -> None:
    await stage.write(a(WWW, "192.0.2.1", "192.0.2.2", ttl=30))
    records = stage.api.zones.records(ZONE)
    assert [r["ttl"] for r in records if r.get("name") == "www"] == [30, 30]
    assert stage.api.methods.count("PATCH") == 1


async def test_ttl_zero_or_none_is_that_of_the_zone(stage: Stage) -> None:
    for one in stage.api.zones.records(ZONE):
        if one.get("name") == "www":
            one["ttl"] = 0
    del stage.api.zones.records(ZONE)[-2]["ttl"]
    reading = await stage.provider.read(ZONE, frozenset({WWW, API}))
    assert {key.name: r.ttl for key, r in reading.rrsets.items()} == {WWW: 86400, API: 86400}


async def test_foreign_records_survive_flip_after_flip(stage: Stage) -> None:
    def others() -> list[Any]:
        ours = ("www", "new")
        return [r for r in stage.api.zones.records(ZONE) if r.get("name") not in ours]

    before = copy.deepcopy(others())
    for n in range(12):
        values = [f"192.0.2.{n * 7 % 5 + 1}", f"192.0.2.{n * 11 % 5 + 11}"]
        await stage.write(a(WWW, *values), a("new.example.org", values[0]))
    assert others() == before
    assert "PUT" not in stage.api.methods


# ---------------------------------------------------------------------------- what it notices


async def test_a_removal_that_another_was_quicker_with_is_a_conflict(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    stage.api.zones.records(ZONE).remove(record("www", "A", "192.0.2.2", ttl=60))
    with pytest.raises(ProviderConflict, match="EF02021"):
        await prepared.send()
    await prepared.aclose()


async def test_an_addition_that_another_was_quicker_with_is_a_conflict(stage: Stage) -> None:
    wanted = a(WWW, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    prepared = await stage.provider.prepare(await stage.plan(wanted), TOKEN)
    stage.api.zones.records(ZONE).append(record("www", "A", "192.0.2.3", ttl=60))
    with pytest.raises(ProviderConflict, match="EF02022"):
        await prepared.send()
    await prepared.aclose()


async def test_what_another_added_unnoticed_is_noticed_after_the_write(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    stage.api.zones.records(ZONE).append(record("www", "A", "192.0.2.66", ttl=60))
    with pytest.raises(ProviderConflict, match="somebody else writes it"):
        await prepared.send()
    await prepared.aclose()


async def test_a_write_that_does_not_show_is_not_called_done(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    zone = copy.deepcopy(stage.api.zones.by_key[ZONE, "a.ns14.net"])

    def undo(seen: Seen) -> None:
        if seen.method == "PATCH":
            stage.api.zones.by_key[ZONE, "a.ns14.net"] = zone

    stage.api.after = undo
    with pytest.raises(OutcomeUnknown, match="does not show it yet"):
        await prepared.send()
    await prepared.aclose()


@pytest.mark.parametrize(
    ("held", "error"),
    [
        (TOKEN._replace(term=2), FenceLost),
        (TOKEN._replace(nonce="other"), FenceLost),
        (TOKEN._replace(term=0), FenceLost),
        (None, FenceLost),
        (TOKEN._replace(owner_id="theirs"), ProviderRefusal),
    ],
)
async def test_nothing_is_written_under_another_marker(
    stage: Stage, held: Any, error: type[Exception]
) -> None:
    plan = await stage.plan(a(WWW, "192.0.2.1"))
    records = stage.api.zones.records(ZONE)
    records[-1:] = [marker_record(held)] if held else []
    with pytest.raises(error, match=r"example\.org"):
        await stage.provider.prepare(plan, TOKEN)
    assert "PATCH" not in stage.api.methods


async def test_a_marker_taken_during_the_write_ends_the_lease(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)

    def take(seen: Seen) -> None:
        if seen.method == "PATCH":
            records = stage.api.zones.records(ZONE)
            gone = marker.to_text(TOKEN)
            records[:] = [r for r in records if r["value"] != gone]
            records.append(marker_record(TOKEN._replace(term=2)))

    stage.api.after = take
    with pytest.raises(FenceLost, match="another writer"):
        await prepared.send()
    await prepared.aclose()


async def test_an_unreadable_marker_stops_the_write_and_says_how_to_go_on(stage: Stage) -> None:
    plan = await stage.plan(a(WWW, "192.0.2.1"))
    stage.api.zones.records(ZONE)[-1] = record("_dnslb", "TXT", "what is this", ttl=300)
    with pytest.raises(ProviderRefusal, match=r"dnslb fence reset example\.org"):
        await stage.provider.prepare(plan, TOKEN)


# ------------------------------------------------------------------------ what it cannot write


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"main": {"address": "198.51.100.1", "ttl": 300}, "wwwInclude": False}, {APEX}),
        ({"main": {"address": "198.51.100.1"}, "wwwInclude": True}, {APEX, WWW}),
        ({"main": {"address": "198.51.100.1"}, "wwwInclude": None}, {APEX, WWW}),
        ({"main": {"address": "2001:db8::1", "ttl": 300}, "wwwInclude": False}, {APEX}),
        ({"main": None, "wwwInclude": True}, set()),
        ({"main": {"ttl": 300}, "wwwInclude": True}, set()),
        ({"wwwInclude": True}, set()),
    ],
)
async def test_the_legacy_main_address_is_read_and_refused(
    stage: Stage, fields: dict[str, Any], refused: set[str]
) -> None:
    stage.api.zones.by_key[ZONE, "a.ns14.net"].update(fields)
    reading = await stage.provider.read(ZONE, frozenset({APEX, WWW, API}))
    assert set(await stage.refused(APEX, WWW, API)) == refused
    for name in refused:
        address = fields["main"]["address"]
        rtype = "AAAA" if ":" in address else "A"
        assert address in reading.rrsets[RRsetKey(name, rtype)].values
        with pytest.raises(ProviderRefusal, match=r"legacy main address .* wwwInclude to false"):
            await stage.write(a(name, "192.0.2.50"))
    await stage.write(a(API, "192.0.2.50"))
    assert stage.values("api") == ["192.0.2.50"]


async def test_main_is_never_sent_back(stage: Stage) -> None:
    zone = stage.api.zones.by_key[ZONE, "a.ns14.net"]
    zone["main"] = {"address": "198.51.100.1", "ttl": 300}
    await stage.write(a(API, "192.0.2.50"))
    patch = next(seen for seen in stage.api.seen if seen.method == "PATCH")
    assert set(patch.body) == {"resourceRecordsAdd", "resourceRecordsRem"}


@pytest.mark.parametrize("rtype", ["ALIAS", "PROCEED"])
async def test_records_that_lead_elsewhere_are_refused(stage: Stage, rtype: str) -> None:
    stage.api.zones.records(ZONE).append(record("shop", rtype, "https://shop.example.net/"))
    name = "shop.example.org"
    reading = await stage.provider.read(ZONE, frozenset({name}))
    assert set(reading.cnames) == {name}
    with pytest.raises(ProviderRefusal, match=rtype):
        await stage.write(a(name, "192.0.2.50"))


async def test_a_name_below_a_delegation_is_refused(stage: Stage) -> None:
    stage.api.zones.records(ZONE).append(record("eu", "NS", "ns.example.net."))
    name = "www.eu.example.org"
    assert set(await stage.refused(name, WWW)) == {name}
    with pytest.raises(ProviderRefusal, match=r"NS records of eu\.example\.org"):
        await stage.write(a(name, "192.0.2.50"))


async def test_a_protected_zone_says_so_when_a_change_is_refused(stage: Stage) -> None:
    stage.api.zones.by_key[ZONE, "a.ns14.net"]["domainsafe"] = True
    body = b'{"stid":"s-1","status":{"code":"E0202001","type":"ERROR"}}'
    stage.api.fail(status=400, body=body, method="PATCH")
    with pytest.raises(ProviderRefusal, match=r"E0202001, stid s-1.*DomainSafe"):
        await stage.write(a(WWW, "192.0.2.1"))


async def test_a_refusal_without_messages_is_still_a_refusal(stage: Stage) -> None:
    stage.api.messages_shown = False
    prepared = await stage.provider.prepare(await stage.plan(a(WWW, "192.0.2.1")), TOKEN)
    stage.api.zones.records(ZONE).remove(record("www", "A", "192.0.2.2", ttl=60))
    with pytest.raises(ProviderRefusal, match="HTTP 400, E0202001"):
        await prepared.send()
    await prepared.aclose()


# --------------------------------------------------------------------------- readings in doubt

SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no-soa": lambda zone: zone.pop("soa"),
    "no-name-servers": lambda zone: zone.pop("nameServers"),
    "another-zone": lambda zone: zone.update(origin="example.net"),
    "another-server": lambda zone: zone.update(virtualNameServer="a.other.net"),
    "records-no-list": lambda zone: zone.update(resourceRecords={"name": "www"}),
    "no-type": lambda zone: zone["resourceRecords"].append({"name": "www"}),
    "no-object": lambda zone: zone["resourceRecords"].append("www A 192.0.2.1"),
    "name-no-text": lambda zone: zone["resourceRecords"].append(
        {"name": 7, "type": "A", "value": "192.0.2.1"}
    ),
    "no-value": lambda zone: zone["resourceRecords"].append({"name": "www", "type": "A"}),
    "ttl-no-number": lambda zone: zone["resourceRecords"].append(
        record("www", "A", "192.0.2.5", ttl="soon")
    ),
    "suddenly-empty": lambda zone: zone.update(resourceRecords=[]),
    "suddenly-none": lambda zone: zone.pop("resourceRecords"),
    "main-no-address": lambda zone: zone.update(main={"address": "nonsense"}),
    "main-no-object": lambda zone: zone.update(main="198.51.100.1"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_an_odd_zone_is_an_error_and_not_empty(
    stage: Stage, spoil: Callable[[dict[str, Any]], object]
) -> None:
    await stage.provider.read(ZONE, frozenset({WWW}))
    spoil(stage.api.zones.by_key[ZONE, "a.ns14.net"])
    with pytest.raises(ProviderTemporary, match=r"AutoDNS .*example\.org"):
        await stage.provider.read(ZONE, frozenset({WWW}))


async def test_a_zone_that_never_held_a_record_may_be_empty(stage: Stage) -> None:
    stage.api.zones.add("new.example")
    reading = await stage.provider.read("new.example", frozenset({"www.new.example"}))
    assert dict(reading.rrsets) == {}


async def test_a_bad_record_of_anybody_else_hurts_nobody(stage: Stage) -> None:
    stage.api.zones.records(ZONE).append({"name": "other", "type": "A", "ttl": "x", "value": None})
    reading = await stage.provider.read(ZONE, frozenset({WWW}))
    assert reading.rrsets[RRsetKey(WWW, "A")].values == ("192.0.2.1", "192.0.2.2")


async def test_a_value_at_our_name_that_is_no_address_is_refused(stage: Stage) -> None:
    stage.api.zones.records(ZONE).append(record("www", "A", "192.0.2.999", ttl=60))
    assert set(await stage.refused(WWW, API)) == {WWW}
    with pytest.raises(ProviderRefusal, match=r"192\.0\.2\.999.*no address"):
        await stage.write(a(WWW, "192.0.2.1"))


# ------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://api.autodns.com/v1", "in the open"),
        ("https://user:secret@api.autodns.com/v1", "credentials belong to"),
        ("ftp://api.autodns.com", "expected a URL"),
        ("https://", "expected a URL"),
        ("https://api.autodns.com/v1?x=1", "expected a URL"),
        ("https://[::1", "expected a URL"),
    ],
)
def test_a_url_that_would_give_the_password_away_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        AutoDnsProvider(url, "robot", lambda: "secret", 4, "tests")
    assert "secret" not in str(caught.value)


def test_capabilities_promise_no_fence() -> None:
    provider = AutoDnsProvider("https://api.autodns.com/v1/", "robot", lambda: "", 4, "tests")
    capabilities = provider.capabilities
    assert (capabilities.fenced, capabilities.shared) == (False, True)
    assert (capabilities.write_s_max, capabilities.calls_per_s) == (10.0, 2.5)
