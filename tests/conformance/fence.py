"""What every fence keeps, however it stores the marker, and whatever compares it.

Not a test module: an implementation derives a class from `FenceSuite` and gives it a fixture
``bench`` as `provider.ProviderSuite` wants it, whose zone example.org holds the marker `TOKEN`.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from dnslb.errors import FenceLost, ProviderConflict, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.model.rrset import RRsetKey
from dnslb.ports.fence import Fence
from dnslb.ports.provider import Provider
from tests.conformance.provider import NAMES, TOKEN, WWW, ZONE, plan_for, rrset

NEXT = TOKEN._replace(term=2, nonce="next")
THEIRS = FencingToken("others", 1, 1, "x")


class FencedProvider(Provider, Protocol):
    @property
    def fence(self) -> Fence | None: ...


class FenceBench(Protocol):
    @property
    def provider(self) -> FencedProvider: ...

    async def foreign(self) -> object: ...


def fence_of(bench: FenceBench) -> Fence:
    fence = bench.provider.fence
    assert fence is not None
    return fence


async def standing(bench: FenceBench) -> object:
    return (await bench.provider.read(ZONE, NAMES)).rrsets


class FenceSuite:
    async def test_the_marker_is_there(self, bench: FenceBench) -> None:
        assert bench.provider.capabilities.marked
        assert await fence_of(bench).read(ZONE) == TOKEN

    async def test_a_newer_token_takes_over_and_shuts_the_older_one_out(
        self, bench: FenceBench
    ) -> None:
        fence, before = fence_of(bench), await standing(bench)
        await fence.take(ZONE, NEXT)
        assert await fence.read(ZONE) == NEXT
        with pytest.raises(FenceLost):
            await fence.take(ZONE, TOKEN)
        wanted = rrset(WWW, "192.0.2.1")
        plan = plan_for(await bench.provider.read(ZONE, NAMES), {wanted.key: wanted})
        with pytest.raises(FenceLost):
            await bench.provider.prepare(plan, TOKEN)
        assert await fence.read(ZONE) == NEXT
        assert await standing(bench) == before
        write = await bench.provider.prepare(plan, NEXT)
        await write.send()
        await write.aclose()
        assert (await bench.provider.read(ZONE, NAMES)).rrsets[RRsetKey(WWW, "A")] == wanted

    async def test_taking_what_is_ours_already_changes_nothing(self, bench: FenceBench) -> None:
        await fence_of(bench).take(ZONE, TOKEN)
        assert await fence_of(bench).read(ZONE) == TOKEN

    async def test_the_same_term_of_another_process_is_refused(self, bench: FenceBench) -> None:
        with pytest.raises(FenceLost):
            await fence_of(bench).take(ZONE, TOKEN._replace(nonce="other"))
        assert await fence_of(bench).read(ZONE) == TOKEN

    async def test_a_singleton_follows_its_own_last_run(self, bench: FenceBench) -> None:
        first = FencingToken(TOKEN.owner_id, 2, 0, "first")
        await fence_of(bench).take(ZONE, first)
        await fence_of(bench).take(ZONE, first._replace(nonce="second"))
        assert await fence_of(bench).read(ZONE) == first._replace(nonce="second")

    async def test_a_foreign_owner_keeps_the_zone_until_a_person_names_it(
        self, bench: FenceBench
    ) -> None:
        fence = fence_of(bench)
        await fence.reset(ZONE)
        assert await fence.read(ZONE) is None
        await self.mark(bench, THEIRS)
        with pytest.raises(ProviderRefusal, match="others"):
            await fence.take(ZONE, NEXT)
        with pytest.raises(ProviderRefusal, match="others"):
            await fence.take(ZONE, NEXT, over="somebody")
        assert await fence.read(ZONE) == THEIRS
        await fence.take(ZONE, NEXT, over=THEIRS.owner_id)
        assert await fence.read(ZONE) == NEXT

    async def mark(self, bench: FenceBench, token: FencingToken) -> None:
        """Another installation marks the zone, which has no marker. Where the fence writes only
        for its own owner id, the subclass knows another way."""
        await fence_of(bench).take(ZONE, token)

    async def test_a_marker_that_is_gone_stops_the_writer(self, bench: FenceBench) -> None:
        before = await standing(bench)
        await fence_of(bench).reset(ZONE)
        wanted = rrset(WWW, "192.0.2.1")
        plan = plan_for(await bench.provider.read(ZONE, NAMES), {wanted.key: wanted})
        with pytest.raises(FenceLost, match="gone"):
            await bench.provider.prepare(plan, TOKEN)
        assert await standing(bench) == before

    async def test_only_the_marker_that_is_meant_is_removed(self, bench: FenceBench) -> None:
        with pytest.raises(ProviderConflict, match="another one by now"):
            await fence_of(bench).reset(ZONE, only=NEXT)
        assert await fence_of(bench).read(ZONE) == TOKEN
        await fence_of(bench).reset(ZONE, only=TOKEN)
        assert await fence_of(bench).read(ZONE) is None
        await fence_of(bench).reset(ZONE, only=TOKEN)

    async def test_nothing_else_is_touched(self, bench: FenceBench) -> None:
        """Only the marker differs, and in the end not even that."""
        before = await bench.foreign(), await standing(bench)
        await fence_of(bench).take(ZONE, NEXT)
        assert await standing(bench) == before[1]
        await fence_of(bench).reset(ZONE)
        await fence_of(bench).reset(ZONE)
        await fence_of(bench).take(ZONE, TOKEN)
        assert (await bench.foreign(), await standing(bench)) == before
