"""AutoDNS in trouble: rates, rejections, storms, resets, slowness, nonsense."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import trio

from dnslb.errors import (
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.providers.autodns_budget import CallBudget
from tests.doubles.autodns.server import HTML
from tests.providers.autodns_stage import TOKEN, WWW, ZONE, Stage, a

NAMES = frozenset({WWW})
WANTED = a(WWW, "192.0.2.1")


async def test_the_limit_is_never_met_by_one_process(stage: Stage) -> None:
    """The stand-in counts by the documented limit, whatever happens at once."""
    zones = [f"zone{n}.example" for n in range(8)]
    for zone in zones:
        stage.api.zones.add(zone)

    async def use(zone: str) -> None:
        for _ in range(3):
            await stage.provider.read(zone, frozenset({f"www.{zone}"}))

    async with trio.open_nursery() as nursery:
        for zone in zones:
            nursery.start_soon(use, zone)
        nursery.start_soon(stage.write, WANTED)
    assert stage.api.limited == 0
    at = [seen.at for seen in stage.api.seen]
    assert min(later - earlier for earlier, later in itertools.pairwise(at)) >= 0.4 - 1e-6


async def test_a_restart_loop_stays_below_the_limit(stage: Stage) -> None:
    for _ in range(12):
        await stage.make().find_zone(WWW)
    assert stage.api.limited == 0


async def test_a_budget_can_be_shared(stage: Stage) -> None:
    budget = CallBudget()
    providers = [stage.make(budget=budget) for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for provider in providers:
            nursery.start_soon(provider.read, ZONE, NAMES)
    assert stage.api.limited == 0


async def test_too_many_requests_hold_back_ever_longer(stage: Stage) -> None:
    await stage.provider.read(ZONE, NAMES)
    waits = []
    for _ in range(8):
        stage.api.fail(status=429, body=HTML)
        with pytest.raises(ProviderTemporary, match="too many requests") as caught:
            await stage.provider.read(ZONE, NAMES)
        waits.append(caught.value.retry_after_s)
    assert waits == [1.5, 3, 6, 12, 24, 45, 45, 45]
    await stage.provider.read(ZONE, NAMES)
    stage.api.fail(status=429)
    with pytest.raises(ProviderTemporary) as caught:
        await stage.provider.read(ZONE, NAMES)
    assert caught.value.retry_after_s == 1.5


async def test_nobody_calls_while_too_many_requests_are_waited_out(stage: Stage) -> None:
    await stage.provider.read(ZONE, NAMES)
    stage.api.fail(status=429, headers={"Retry-After": "17"})
    with pytest.raises(ProviderTemporary) as caught:
        await stage.provider.read(ZONE, NAMES)
    assert caught.value.retry_after_s == 17
    refused_at = trio.current_time()
    await stage.provider.read(ZONE, NAMES)
    assert stage.api.seen[-1].at - refused_at == pytest.approx(17)


# ------------------------------------------------------------------------------------- reading


ODD: dict[str, dict[str, Any]] = {
    "bad-gateway": {"status": 502, "body": HTML},
    "unavailable": {"status": 503, "headers": {"Retry-After": "9"}},
    "html-with-200": {"status": 200, "body": HTML},
    "nothing-with-200": {"status": 200},
    "error-with-200": {"status": 200, "body": b'{"status":{"code":"E0205","type":"ERROR"}}'},
    "job-with-200": {"status": 200, "body": b'{"status":{"code":"N0205","type":"NOTIFY"}}'},
    "no-data": {"status": 200, "body": b'{"status":{"code":"S0205","type":"SUCCESS"}}'},
    "deep": {"status": 200, "body": b'{"a":' * 20_000},
    "reset": {"reset": True},
    "hangs-up": {"hangs_up": True},
    "slow": {"status": 200, "delay_s": 60.0},
    "drips": {"status": 200, "body": b'{"status":' + b" " * 400, "drip_s": 1.0},
}


@pytest.mark.parametrize("fault", ODD.values(), ids=ODD)
async def test_a_reading_that_fails_is_temporary_and_never_empty(
    stage: Stage, fault: dict[str, Any]
) -> None:
    await stage.provider.read(ZONE, NAMES)
    stage.api.fail(**fault)
    began = trio.current_time()
    with pytest.raises(ProviderTemporary) as caught:
        await stage.provider.read(ZONE, NAMES)
    assert trio.current_time() - began < 21
    assert len(str(caught.value)) < 400
    assert (await stage.provider.read(ZONE, NAMES)).rrsets


async def test_server_trouble_says_when_to_try_again(stage: Stage) -> None:
    await stage.provider.read(ZONE, NAMES)
    for fault, wait_s in (("bad-gateway", 5), ("unavailable", 9)):
        stage.api.fail(**ODD[fault])
        with pytest.raises(ProviderTemporary) as caught:
            await stage.provider.read(ZONE, NAMES)
        assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("fault", ODD.values(), ids=ODD)
async def test_a_search_that_fails_is_never_no_such_zone(
    stage: Stage, fault: dict[str, Any]
) -> None:
    if fault == ODD["no-data"]:
        # Nothing at all: more likely the wrong context than an account without zones.
        expected: type[ProviderError] = ProviderRefusal
    else:
        expected = ProviderTemporary
    stage.api.fail(**fault)
    with pytest.raises(expected):
        await stage.provider.find_zone("www.example.net")
    assert await stage.provider.find_zone("www.example.net") is None


async def test_a_redirection_is_not_followed(stage: Stage) -> None:
    await stage.provider.read(ZONE, NAMES)
    calls = len(stage.api.seen)
    stage.api.fail(status=302, headers={"Location": f"{stage.api.url}/elsewhere"})
    with pytest.raises(ProviderRefusal, match="autodns-url"):
        await stage.provider.read(ZONE, NAMES)
    assert len(stage.api.seen) == calls + 1


# ------------------------------------------------------------------------------------- writing


UNKNOWN: dict[str, dict[str, Any]] = {
    "bad-gateway": {"status": 502, "body": HTML},
    "internal": {"status": 500, "body": b'{"status":{"code":"E00000","type":"ERROR"}}'},
    "gateway-timeout": {"status": 504},
    "reset": {"reset": True},
    "hangs-up": {"hangs_up": True},
    "slow": {"delay_s": 60.0, "status": 200},
    "html-with-200": {"status": 200, "body": HTML},
}


@pytest.mark.parametrize("lands", [False, True])
@pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN)
async def test_an_unclear_write_is_unknown_and_ends_in_the_right_zone(
    stage: Stage, fault: dict[str, Any], lands: bool
) -> None:
    stage.api.fail(**fault, lands=lands, method="PATCH")
    with pytest.raises(OutcomeUnknown, match="not known; the zone is read again"):
        await stage.write(WANTED)
    reading = await stage.provider.read(ZONE, NAMES)
    assert (reading.rrsets[WANTED.key] == WANTED) is lands
    if not lands:
        await stage.write(WANTED)
    assert stage.values("www") == ["192.0.2.1"]


async def test_a_write_that_was_cut_off_ends_in_time(stage: Stage) -> None:
    """What ``write_s_max`` promises."""
    prepared = await stage.provider.prepare(await stage.plan(WANTED), TOKEN)
    stage.api.fail(delay_s=3600.0, status=200, method="PATCH")
    began = trio.current_time()
    with pytest.raises(OutcomeUnknown, match="within 10 s"):
        await prepared.send()
    assert trio.current_time() - began <= stage.provider.capabilities.write_s_max
    await prepared.aclose()


async def test_a_refused_rate_means_that_nothing_was_written(stage: Stage) -> None:
    stage.api.fail(status=429, method="PATCH")
    with pytest.raises(ProviderTemporary, match="too many requests"):
        await stage.write(WANTED)
    assert stage.api.zones.writes == 0


async def test_an_accepted_write_that_cannot_be_read_back_is_unknown(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(WANTED), TOKEN)
    stage.api.fail(status=503, method="GET")
    with pytest.raises(OutcomeUnknown, match="could not be read back"):
        await prepared.send()
    await prepared.aclose()
    assert stage.values("www") == ["192.0.2.1"]


async def test_an_answer_that_names_a_job_is_decided_by_the_reading_after_it(stage: Stage) -> None:
    body = b'{"stid":"s","status":{"code":"N0202001","type":"NOTIFY"}}'
    stage.api.fail(status=200, body=body, method="PATCH")
    with pytest.raises(OutcomeUnknown, match="does not show it yet"):
        await stage.write(WANTED)
    stage.api.fail(status=200, body=body, lands=True, method="PATCH")
    assert (await stage.write(WANTED)).rrsets == (WANTED,)


async def test_a_connection_that_is_gone_is_not_made_anew_past_the_gate(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(WANTED), TOKEN)
    client = prepared._line._client
    assert client is not None
    await client._transport.aclose()
    calls = len(stage.api.seen)
    with pytest.raises(ProviderTemporary, match="closed the connection before"):
        await prepared.send()
    await prepared.aclose()
    assert len(stage.api.seen) == calls
    assert stage.api.zones.writes == 0


async def test_where_no_connection_is_kept_open_a_new_one_serves(stage: Stage) -> None:
    stage.api.keeps_open = False
    assert (await stage.write(WANTED)).rrsets == (WANTED,)


async def test_what_was_prepared_and_not_sent_gives_its_turn_back(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(WANTED), TOKEN)
    await prepared.aclose()
    await prepared.aclose()
    began = trio.current_time()
    await stage.provider.read(ZONE, NAMES)
    assert stage.api.seen[-1].at - began < 0.4
    with pytest.raises(ProviderTemporary, match="Nothing was sent"):
        await prepared.send()


async def test_a_permit_that_lapsed_sends_nothing(stage: Stage) -> None:
    prepared = await stage.provider.prepare(await stage.plan(WANTED), TOKEN)
    await trio.sleep(5)
    with pytest.raises(ProviderTemporary, match="its turn had passed"):
        await prepared.send()
    await prepared.aclose()
    assert stage.api.zones.writes == 0


@pytest.mark.parametrize("cut_s", [0.0, 0.01, 0.2, 0.39, 0.5, 0.81, 1.0])
async def test_a_cancelled_write_leaves_the_zone_whole_and_the_budget_free(
    stage: Stage, cut_s: float
) -> None:
    plan = await stage.plan(WANTED)
    with trio.move_on_after(cut_s):
        prepared = await stage.provider.prepare(plan, TOKEN)
        try:
            await prepared.send()
        finally:
            await prepared.aclose()
    assert stage.values("www") in (["192.0.2.1", "192.0.2.2"], ["192.0.2.1"])
    began = trio.current_time()
    await stage.provider.read(ZONE, NAMES)
    assert trio.current_time() - began < 1


@pytest.mark.parametrize("seed", range(6))
async def test_a_storm_ends_in_the_right_zone(stage: Stage, seed: int) -> None:
    """429, 502, resets, slow answers, before and after the deed: then what was wanted stands."""
    luck = random.Random(seed)
    others = [r for r in stage.api.zones.records(ZONE) if r.get("name") != "www"]
    for _ in range(25):
        fault = dict(luck.choice([{"status": 429}, *UNKNOWN.values()]))
        stage.api.fail(**fault, lands=fault.get("status") != 429 and luck.random() < 0.5)
    for attempt in range(200):
        wanted = a(WWW, f"192.0.2.{min(attempt, 40) + 1}")
        try:
            reading = await stage.provider.read(ZONE, NAMES)
            if reading.rrsets.get(wanted.key) != wanted:
                await stage.write(wanted)
        except (ProviderTemporary, OutcomeUnknown, ProviderConflict):
            await trio.sleep(1)
            continue
        if attempt >= 40:
            break
    assert not stage.api.faults
    assert stage.values("www") == ["192.0.2.41"]
    kept = [r for r in stage.api.zones.records(ZONE) if r.get("name") != "www"]
    assert kept == others
