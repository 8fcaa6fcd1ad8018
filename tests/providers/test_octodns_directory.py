"""Where a zone is looked up, how long that is remembered, and when nothing is concluded."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from dnslb.errors import ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.providers.octodns_directory import HIT_S_MAX, MISS_S_MAX, Directory
from dnslb.providers.octodns_wire import Zones
from tests.providers.octodns_stage import Stage


class Listings:
    """Stands in for passes: what each listing gives, and how many there were."""

    def __init__(self, *answers: frozenset[str] | ProviderError) -> None:
        self._answers = list(answers)
        self.count = 0

    async def run(self, *arguments: Any) -> Zones:
        self.count += 1
        await trio.sleep(1)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ProviderError):
            raise answer
        return Zones(answer)


def directory(*answers: frozenset[str] | ProviderError) -> tuple[Directory, Listings]:
    listings = Listings(*answers)
    return Directory(listings, "a.B"), listings  # type: ignore[arg-type]


BOTH = frozenset({"example.org", "sub.example.org"})


async def test_one_listing_serves_many_names(autojump_clock: trio.testing.MockClock) -> None:
    zones, listings = directory(BOTH)
    found: dict[str, str | None] = {}

    async def find(name: str) -> None:
        found[name] = await zones.find(name)

    async with trio.open_nursery() as nursery:
        for name in ("www.example.org", "a.sub.example.org", "example.com"):
            nursery.start_soon(find, name)
    assert found == {
        "www.example.org": "example.org",
        "a.sub.example.org": "sub.example.org",
        "example.com": None,
    }
    assert listings.count == 1


async def test_a_listing_ages_sooner_for_what_it_does_not_show(
    autojump_clock: trio.testing.MockClock,
) -> None:
    zones, listings = directory(frozenset({"example.org"}), BOTH)
    assert await zones.find("example.com") is None
    await trio.sleep(MISS_S_MAX - 2)
    assert await zones.find("example.com") is None
    assert listings.count == 1
    await trio.sleep(2)
    assert await zones.find("a.sub.example.org") == "example.org"
    assert listings.count == 1
    assert await zones.find("example.com") is None
    assert listings.count == 2
    await trio.sleep(HIT_S_MAX)
    assert await zones.find("a.sub.example.org") == "sub.example.org"
    assert listings.count == 3


async def test_a_failed_or_empty_listing_says_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    zones, _ = directory(ProviderTemporary("no luck"), frozenset(), BOTH)
    with pytest.raises(ProviderTemporary, match="no luck"):
        await zones.find("example.com")
    with pytest.raises(ProviderRefusal, match="lists no zone at all"):
        await zones.find("example.com")
    assert await zones.find("example.com") is None


async def test_who_waited_for_a_listing_that_failed_does_not_ask_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    zones, listings = directory(ProviderTemporary("no luck"), BOTH)
    failed = 0

    async def find() -> None:
        nonlocal failed
        try:
            await zones.find("example.org")
        except ProviderTemporary:
            failed += 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(find)
    assert (failed, listings.count) == (5, 1)


async def test_zones_that_are_configured_are_asked_of_nobody(tmp_path: Any) -> None:
    stage = Stage(tmp_path)
    provider = stage.provider(zones=["example.org"])
    assert await provider.find_zone("www.example.org") == "example.org"
    assert await provider.find_zone("www.example.net") is None
    assert stage.calls == []


async def test_zones_are_listed_by_the_class_otherwise(tmp_path: Any) -> None:
    stage = Stage(tmp_path)
    provider = stage.provider()
    assert await provider.find_zone("www.example.net") == "example.net"
    assert await provider.find_zone("www.example.org") == "example.org"
    assert stage.calls == ["list_zones"]
    empty = Stage(tmp_path, fault="lists nothing").provider()
    with pytest.raises(ProviderRefusal, match="lists no zone at all"):
        await empty.find_zone("www.example.org")
