"""The marker at AutoDNS: taken by read, write, read; races end with one writer or with none."""

from __future__ import annotations

import pytest
import trio

from dnslb.errors import FenceLost, OutcomeUnknown, ProviderError, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.ports.fence import Fence
from dnslb.providers import marker
from tests.doubles.autodns.server import Seen
from tests.doubles.autodns.zones import record
from tests.providers.autodns_stage import TOKEN, WWW, ZONE, Stage, a, marker_record

NEXT = TOKEN._replace(term=2, nonce="next")


def fence_of(stage: Stage) -> Fence:
    return stage.provider.fence


def markers(stage: Stage) -> list[str]:
    return stage.values("_dnslb", "TXT")


async def test_no_marker_is_none(stage: Stage) -> None:
    del stage.api.zones.records(ZONE)[-1]
    assert await fence_of(stage).read(ZONE) is None


async def test_the_marker_is_read_with_and_without_quotes(stage: Stage) -> None:
    assert await fence_of(stage).read(ZONE) == TOKEN
    stage.api.zones.records(ZONE)[-1]["value"] = f'"{marker.to_text(TOKEN)}"'
    assert await fence_of(stage).read(ZONE) == TOKEN


@pytest.mark.parametrize("text", ["", "dnslb", "v=spf1 -all", "dnslb owner=x"])
async def test_what_is_no_token_is_an_error(stage: Stage, text: str) -> None:
    stage.api.zones.records(ZONE)[-1]["value"] = text
    with pytest.raises(ProviderError, match=r"fence reset example\.org"):
        await fence_of(stage).read(ZONE)


@pytest.mark.parametrize("held", [TOKEN, None])
async def test_taking_is_read_write_read(stage: Stage, held: FencingToken | None) -> None:
    records = stage.api.zones.records(ZONE)
    records[-1:] = [marker_record(held)] if held else []
    await fence_of(stage).take(ZONE, NEXT)
    assert stage.api.methods == ["POST", "GET", "PATCH", "GET"]
    assert markers(stage) == [marker.to_text(NEXT)]
    assert await fence_of(stage).read(ZONE) == NEXT


async def test_what_is_ours_already_is_not_written_again(stage: Stage) -> None:
    await fence_of(stage).take(ZONE, TOKEN)
    assert "PATCH" not in stage.api.methods


@pytest.mark.parametrize(
    "token", [TOKEN._replace(term=0), TOKEN._replace(nonce="x"), TOKEN._replace(epoch=0, term=9)]
)
async def test_a_newer_or_equal_writer_keeps_the_zone(stage: Stage, token: FencingToken) -> None:
    with pytest.raises(FenceLost):
        await fence_of(stage).take(ZONE, token)
    assert markers(stage) == [marker.to_text(TOKEN)]


async def test_a_foreign_owner_is_refused_until_a_person_names_it(stage: Stage) -> None:
    theirs = FencingToken("theirs", 9, 9, "a")
    stage.api.zones.records(ZONE)[-1] = marker_record(theirs)
    with pytest.raises(ProviderRefusal, match="'theirs'"):
        await fence_of(stage).take(ZONE, TOKEN)
    with pytest.raises(ProviderRefusal, match="'theirs'"):
        await fence_of(stage).take(ZONE, TOKEN, over="others")
    await fence_of(stage).take(ZONE, TOKEN, over="theirs")
    assert markers(stage) == [marker.to_text(TOKEN)]


async def test_another_owners_token_is_not_written(stage: Stage) -> None:
    with pytest.raises(ProviderRefusal, match="this installation's is 'tests'"):
        await fence_of(stage).take(ZONE, NEXT._replace(owner_id="theirs"))


async def test_a_token_that_fits_no_record_is_refused(stage: Stage) -> None:
    with pytest.raises(ProviderRefusal, match="shorter owner-id"):
        await fence_of(stage).take(ZONE, NEXT._replace(nonce="f" * 300))


@pytest.mark.parametrize("there", [True, False])
async def test_of_two_that_take_at_once_at_most_one_believes_it(stage: Stage, there: bool) -> None:
    records = stage.api.zones.records(ZONE)
    records[-1:] = [marker_record(TOKEN)] if there else []
    stage.api.limiter = False  # two processes at once exceed it; that is tried elsewhere
    tokens = [TOKEN._replace(term=5, nonce="one"), TOKEN._replace(term=5, nonce="two")]
    won: list[FencingToken] = []
    lost: list[ProviderError] = []

    async def take(token: FencingToken) -> None:
        provider = stage.make()
        try:
            await provider.fence.take(ZONE, token)
        except ProviderError as error:
            lost.append(error)
        else:
            won.append(token)

    async with trio.open_nursery() as nursery:
        for token in tokens:
            nursery.start_soon(take, token)
    assert len(won) == (1 if there else 0)
    assert len(lost) == 2 - len(won)
    if not there:
        assert len(markers(stage)) == 2
        assert all(isinstance(error, ProviderRefusal | FenceLost) for error in lost)
        with pytest.raises(ProviderRefusal, match="by several writers"):
            await stage.write(a(WWW, "192.0.2.1"), token=tokens[0])


async def test_of_two_first_markers_the_newer_one_counts_and_tidies_up(stage: Stage) -> None:
    stage.api.zones.records(ZONE).append(marker_record(NEXT))
    assert await fence_of(stage).read(ZONE) == NEXT
    with pytest.raises(FenceLost):
        await stage.write(a(WWW, "192.0.2.1"), token=TOKEN)
    await stage.write(a(WWW, "192.0.2.1"), token=NEXT)
    await fence_of(stage).take(ZONE, NEXT)
    assert markers(stage) == [marker.to_text(NEXT)]


async def test_an_overtaken_take_is_lost(stage: Stage) -> None:
    def overtake(seen: Seen) -> None:
        if seen.method == "PATCH":
            newest = TOKEN._replace(term=9)
            stage.api.zones.records(ZONE)[-1] = marker_record(newest)

    stage.api.after = overtake
    with pytest.raises(FenceLost, match="term 9"):
        await fence_of(stage).take(ZONE, NEXT)


@pytest.mark.parametrize("lands", [True, False])
async def test_an_unclear_take_can_be_repeated(stage: Stage, lands: bool) -> None:
    stage.api.fail(reset=True, lands=lands, method="PATCH")
    with pytest.raises(OutcomeUnknown):
        await fence_of(stage).take(ZONE, NEXT)
    await fence_of(stage).take(ZONE, NEXT)
    assert markers(stage) == [marker.to_text(NEXT)]


async def test_a_take_that_cannot_be_read_back_is_unknown(stage: Stage) -> None:
    await fence_of(stage).read(ZONE)

    def fail(seen: Seen) -> None:
        if seen.method == "PATCH":
            stage.api.fail(status=502)

    stage.api.after = fail
    with pytest.raises(OutcomeUnknown, match="could not be read back"):
        await fence_of(stage).take(ZONE, NEXT)


async def test_reset_removes_whatever_stands_there_and_nothing_else(stage: Stage) -> None:
    records = stage.api.zones.records(ZONE)
    before = list(records[:-1])
    records.append(record("_dnslb", "TXT", "nonsense"))
    await fence_of(stage).reset(ZONE)
    assert stage.api.zones.records(ZONE) == before
    calls = len(stage.api.seen)
    await fence_of(stage).reset(ZONE)
    assert len(stage.api.seen) == calls + 1


async def test_a_deposed_writer_changes_nothing(stage: Stage) -> None:
    """Paused between plan and preparation, and resumed after another took the fence."""
    stage.api.limiter = False
    plan = await stage.plan(a(WWW, "192.0.2.1"))
    await stage.make().fence.take(ZONE, NEXT)
    with pytest.raises(FenceLost):
        await stage.provider.prepare(plan, TOKEN)
    assert stage.values("www") == ["192.0.2.1", "192.0.2.2"]
