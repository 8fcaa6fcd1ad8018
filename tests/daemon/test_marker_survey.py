"""The newest epoch of our own that can be read, as far as there is time."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from dnslb.daemon.marker_survey import SURVEY_S_MAX, newest_epoch
from dnslb.daemon.registry import Publication
from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.model.lease import FencingToken
from tests.doubles.zone_provider import ScriptedProvider

NAMES = [f"{name}.{zone}" for zone in ("a.example", "b.example", "c.example") for name in "xyz"]


class Markers:
    """A fence that can only be read. ``slow_s``: by zone."""

    def __init__(self, **held: FencingToken | None) -> None:
        self.held = {f"{name}.example": token for name, token in held.items()}
        self.slow_s: dict[str, float] = {}
        self.read_zones: list[str] = []

    async def read(self, zone: str) -> FencingToken | None:
        self.read_zones.append(zone)
        await trio.sleep(self.slow_s.get(zone, 0.01))
        if zone not in self.held:
            raise ProviderRefusal(f"what stands in {zone} is no marker")
        return self.held[zone]

    async def take(self, zone: str, token: FencingToken, *, over: str | None = None) -> None:
        raise AssertionError("nothing is written")

    async def reset(self, zone: str, *, only: FencingToken | None = None) -> None:
        raise AssertionError("nothing is written")


def token(epoch: int, owner_id: str = "ours") -> FencingToken:
    return FencingToken(owner_id, epoch, 3, "n")


def at(markers: Markers) -> Publication:
    return Publication(ScriptedProvider(zones=("a.example", "b.example", "c.example")), markers)


async def test_the_newest_of_ours_counts_and_each_zone_is_read_once(
    autojump_clock: MockClock,
) -> None:
    markers = Markers(a=token(70), b=token(90, "theirs"), c=None)
    assert await newest_epoch(at(markers), "ours", NAMES) == 70
    assert sorted(markers.read_zones) == ["a.example", "b.example", "c.example"]


async def test_what_cannot_be_read_is_passed_over(autojump_clock: MockClock) -> None:
    markers = Markers(a=token(70), c=token(80))
    publication = at(markers)
    assert await newest_epoch(publication, "ours", NAMES) == 80
    assert isinstance(publication.provider, ScriptedProvider)
    publication.provider.find_errors.extend([ProviderTemporary("slow down")] * len(NAMES))
    assert await newest_epoch(publication, "ours", NAMES) == 0


async def test_what_takes_too_long_is_not_waited_for(autojump_clock: MockClock) -> None:
    markers = Markers(a=token(70), b=token(90))
    markers.slow_s["b.example"] = math.inf
    began_at = trio.current_time()
    assert await newest_epoch(at(markers), "ours", NAMES) == 70
    assert trio.current_time() - began_at == pytest.approx(SURVEY_S_MAX)


async def test_where_no_marker_is_kept_there_is_none() -> None:
    assert await newest_epoch(None, "ours", NAMES) == 0
    assert await newest_epoch(Publication(ScriptedProvider()), "ours", NAMES) == 0
