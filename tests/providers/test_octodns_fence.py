"""The marker through octoDNS: what is asked of the worker, and what is not even asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslb.errors import FenceLost, InvalidValue, OutcomeUnknown, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.providers.octodns import OctodnsProvider
from tests.providers.octodns_stage import AFTER, BEFORE, SECRET, TOKEN, ZONE, Stage, change, plan

NEXT = TOKEN._replace(term=2, nonce="two")


async def test_a_new_leader_takes_the_marker_and_the_old_one_writes_no_more(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    provider = stage.provider()
    fence = provider.fence
    assert fence is not None
    assert await fence.read(ZONE) == TOKEN
    write = await provider.prepare(plan(change(BEFORE, AFTER)), TOKEN)
    await fence.take(ZONE, NEXT)
    with pytest.raises(FenceLost, match="term 2"):
        await write.send()
    await write.aclose()
    assert stage.zone["www"]["A"] == [60, list(BEFORE.values)]
    with pytest.raises(FenceLost):
        await provider.prepare(plan(change(BEFORE, AFTER)), TOKEN)
    await fence.reset(ZONE)
    assert await fence.read(ZONE) is None
    assert "TXT" not in stage.zone["_dnslb"]


async def test_a_marker_whose_taking_is_cut_off_is_left_open(tmp_path: Path) -> None:
    fence = Stage(tmp_path, fault="crashes at apply", token=SECRET).provider().fence
    assert fence is not None
    with pytest.raises(OutcomeUnknown, match="Writing the marker"):
        await fence.take(ZONE, NEXT)


async def test_what_is_not_ours_is_not_even_asked_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fence = stage.provider().fence
    assert fence is not None
    with pytest.raises(ProviderRefusal, match="owner id 'other'"):
        await fence.take(ZONE, FencingToken("other", 1, 2, "n"))
    with pytest.raises(ProviderRefusal, match="cannot be written"):
        await fence.take(ZONE, TOKEN._replace(nonce=""))
    assert stage.calls == []


def test_without_ownership_there_is_no_fence() -> None:
    assert OctodnsProvider("a.B", {}, "o", ownership=False).fence is None
    with pytest.raises(InvalidValue, match="shorter owner-id"):
        OctodnsProvider("a.B", {}, "o" * 300)
    capabilities = OctodnsProvider("a.B", {}, "o").capabilities
    assert (capabilities.fenced, capabilities.shared, capabilities.verifiable) == (
        False,
        True,
        True,
    )
