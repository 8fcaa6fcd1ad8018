"""A marker that nobody knows is taken only when a person says so (`safety.md` 5.3)."""

from __future__ import annotations

import pytest
import trio

from dnslb.daemon.known_markers import KnownMarkers
from dnslb.errors import ProviderRefusal, ProviderTemporary, StoreError
from dnslb.model.lease import NOBODYS_EPOCH, FencingToken

OURS = FencingToken("owner", 100, 3, "n1")


class Marker:
    """A fence with one marker."""

    def __init__(self, held: FencingToken | None) -> None:
        self.held = held
        self.reads = 0
        self.told: list[object] = []

    async def read(self, zone: str) -> FencingToken | None:
        await trio.lowlevel.checkpoint()
        self.reads += 1
        return self.held

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.held = token
        self.told.append(over)

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.held = None
        self.told.append(only)


class Memory:
    def __init__(self, *zones: str, fails: bool = False) -> None:
        self.zones, self.fails = set(zones), fails
        self.outbids: list[int] = []

    def knows_marker(self, zone: str) -> bool:
        return zone in self.zones

    async def note_marker(self, zone: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise StoreError("no quorum")
        self.zones.add(zone)

    async def outbid(self, zone: str, epoch: int) -> None:
        await self.note_marker(zone)
        self.outbids.append(epoch)


@pytest.mark.parametrize(
    "held",
    [
        None,
        FencingToken("owner", 100, 2, "n0"),
        FencingToken("owner", NOBODYS_EPOCH, 0, "n0"),
        FencingToken("them", 7, 1, "n0"),
    ],
    ids=["none", "of our epoch", "a person's", "another owner's, which is the fence's to judge"],
)
async def test_what_is_no_lost_cluster_of_ours_is_taken(held: FencingToken | None) -> None:
    marker, memory = Marker(held), Memory()
    await KnownMarkers(marker, memory, new_epoch=False).take("z", OURS)
    assert marker.held == OURS
    assert memory.zones == {"z"}


@pytest.mark.parametrize("epoch", [99, 101])
async def test_an_epoch_that_nobody_knows_stops_it(epoch: int) -> None:
    held = FencingToken("owner", epoch, 9, "n0")
    marker, memory = Marker(held), Memory()
    with pytest.raises(ProviderRefusal, match="looks like a lost member"):
        await KnownMarkers(marker, memory, new_epoch=False).take("z", OURS)
    assert marker.held == held
    assert memory.zones == set()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("epoch", "term"), [(99, 9), (100, 2)])
async def test_an_older_marker_is_taken_when_a_person_says_so(
    known: bool, epoch: int, term: int
) -> None:
    marker = Marker(FencingToken("owner", epoch, term, "n0"))
    memory = Memory(*(["z"] if known else []))
    await KnownMarkers(marker, memory, new_epoch=True).take("z", OURS)
    assert (marker.held, memory.outbids) == (OURS, [])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("epoch", "term"), [(101, 1), (100, 3), (100, 4)])
async def test_a_newer_marker_is_outbid_first_when_a_person_says_so(
    epoch: int, term: int, known: bool
) -> None:
    """The clock was behind when this cluster was founded. Taken is it under the next term."""
    held = FencingToken("owner", epoch, term, "n0")
    marker, memory = Marker(held), Memory(*(["z"] if known else []))
    fence = KnownMarkers(marker, memory, new_epoch=True)
    with pytest.raises(ProviderTemporary, match=f"of epoch {epoch}, this cluster's is 100"):
        await fence.take("z", OURS)
    assert (marker.held, memory.outbids, memory.zones) == (held, [epoch], {"z"})
    newer = FencingToken("owner", epoch + 1, 4, "n1")
    await fence.take("z", newer)
    assert marker.held == newer
    # Once: whoever takes it away then was told so, too.
    marker.held = FencingToken("owner", 500, 1, "n9")
    await fence.take("z", newer)
    assert memory.outbids == [epoch]


async def test_what_could_not_be_outbid_is_tried_again() -> None:
    held = FencingToken("owner", 101, 1, "n0")
    marker, memory = Marker(held), Memory(fails=True)
    fence = KnownMarkers(marker, memory, new_epoch=True)
    with pytest.raises(ProviderTemporary, match="but it has none yet: no quorum"):
        await fence.take("z", OURS)
    memory.fails = False
    with pytest.raises(ProviderTemporary, match=r"under a newer one$"):
        await fence.take("z", OURS)
    assert (marker.held, memory.outbids) == (held, [101])


async def test_a_marker_that_is_ours_or_of_another_owner_is_not_outbid() -> None:
    for held in (OURS, FencingToken("them", 500, 1, "n0")):
        marker, memory = Marker(held), Memory()
        await KnownMarkers(marker, memory, new_epoch=True).take("z", OURS)
        assert memory.outbids == []


async def test_a_known_marker_is_not_looked_at_first() -> None:
    marker = Marker(FencingToken("owner", 99, 9, "n0"))
    fence = KnownMarkers(marker, Memory("z"), new_epoch=False)
    await fence.take("z", OURS, over="them")
    assert (marker.held, marker.reads) == (OURS, 0)
    assert await fence.read("z") == OURS
    await fence.reset("z", only=OURS)
    assert marker.held is None
    assert marker.told == ["them", OURS]


async def test_a_marker_that_is_not_remembered_is_taken_again() -> None:
    fence = KnownMarkers(Marker(None), Memory(fails=True), new_epoch=False)
    with pytest.raises(ProviderTemporary, match="does not remember it yet: no quorum"):
        await fence.take("z", OURS)
