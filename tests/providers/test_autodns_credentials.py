"""Credentials of AutoDNS: rejected, changed, and never shown."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any

import pytest
import trio

from dnslb.errors import ProviderError, ProviderRefusal
from tests.doubles.autodns.server import PASSWORD, USER
from tests.providers.autodns_stage import WWW, ZONE, Stage, a

NAMES = frozenset({WWW})
WANTED = a(WWW, "192.0.2.1")


@pytest.mark.parametrize("status", [401, 403])
async def test_rejected_credentials_stop_all_calls_until_a_reload(
    stage: Stage, status: int
) -> None:
    await stage.provider.read(ZONE, NAMES)
    stage.api.fail(status=status)
    with pytest.raises(ProviderRefusal, match="until dnslb is reloaded or restarted"):
        await stage.provider.read(ZONE, NAMES)
    calls = len(stage.api.seen)
    for _ in range(3):
        with pytest.raises(ProviderRefusal, match="autodns-context"):
            await stage.provider.read(ZONE, NAMES)
        await trio.sleep(3600)
    assert len(stage.api.seen) == calls
    assert "rejected the credentials" in str(stage.provider.rejection)
    stage.provider.reload()
    assert stage.provider.rejection is None
    await stage.provider.read(ZONE, NAMES)


async def test_who_waits_for_a_turn_does_not_call_after_a_rejection(stage: Stage) -> None:
    stage.api.password = "another"
    provider = stage.make(password=lambda: "wrong")
    errors: list[ProviderError] = []

    async def use() -> None:
        try:
            await provider.find_zone(WWW)
        except ProviderError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(use)
    assert len(stage.api.seen) == 1
    assert len(errors) == 10


async def test_readings_that_wait_for_a_turn_do_not_call_after_a_rejection(stage: Stage) -> None:
    errors: list[ProviderError] = []

    async def use() -> None:
        try:
            await provider.read(ZONE, NAMES)
        except ProviderError as error:
            errors.append(error)

    provider = stage.provider
    await provider.read(ZONE, NAMES)
    calls = len(stage.api.seen)
    stage.api.fail(status=401)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(use)
    assert len(errors) == 10
    assert len(stage.api.seen) == calls + 1


async def test_a_wrong_context_looks_like_a_wrong_password_and_the_sentence_says_so(
    stage: Stage,
) -> None:
    with pytest.raises(ProviderRefusal, match="-autodns-context"):
        await stage.make(context=1).find_zone(WWW)


async def test_a_changed_password_is_used_after_a_reload(stage: Stage) -> None:
    await stage.provider.read(ZONE, NAMES)
    word = ["old"]
    provider = stage.make(password=lambda: word[0])
    with pytest.raises(ProviderRefusal):
        await provider.read(ZONE, NAMES)
    word[0] = PASSWORD
    provider.reload()
    await provider.read(ZONE, NAMES)


async def test_no_secret_is_in_a_dump_a_log_or_a_sentence(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="dnslb")
    basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    echo = f'{{"status":{{"type":"ERROR","text":"Basic {basic} / {PASSWORD[:6]}"}}}}'.encode()
    sentences: list[str] = []
    await stage.write(WANTED)
    await stage.provider.look_at_password()
    faults: list[dict[str, Any]] = [
        {"status": 400, "body": echo},
        {"status": 502, "body": f"<html>{PASSWORD} {basic}</html>".encode()},
        {"status": 401, "body": echo, "headers": {"X-Echo": basic, "Server": PASSWORD[:6]}},
    ]
    for fault in faults:
        stage.api.fail(**fault)
        with pytest.raises(ProviderError) as caught:
            await stage.provider.read(ZONE, NAMES)
        sentences.append(str(caught.value))
    shown = "\n".join([*stage.lines, *sentences, caplog.text])
    assert "PATCH" in shown
    assert "resourceRecordsRem" in shown
    assert "authorization: ***" in shown
    for secret in (PASSWORD, basic, "c2Vzc2lvbi0xMjM0NTY", "geheim\\", "geheim%22"):
        assert secret not in shown
    assert "POST" in shown
    assert '"password"' not in shown


async def test_what_was_written_is_logged_with_both_transaction_ids(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="dnslb")
    plan = await stage.plan(WANTED)
    await stage.write(WANTED)
    (fields,) = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert fields["ctid"] == plan.id
    assert fields["stid"].startswith("20261123-app1-")
