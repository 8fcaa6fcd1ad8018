"""Who keeps a place and who loses it, when there are more guests than places."""

from __future__ import annotations

import trio
import trio.testing

from dnslb.net.places import Places


class Guests:
    """Each stays until it is sent away."""

    def __init__(self, nursery: trio.Nursery, places: Places) -> None:
        self._nursery = nursery
        self._places = places
        self.gone: list[str] = []

    async def come(self, *accounts: str) -> None:
        for number, account in enumerate(accounts):
            self._nursery.start_soon(self._stay, account, f"{account}{number}")
            await trio.testing.wait_all_tasks_blocked()

    async def _stay(self, account: str, name: str) -> None:
        with self._places.held(account):
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
        self.gone.append(name)


async def test_a_flood_costs_its_own_sender() -> None:
    async with trio.open_nursery() as nursery:
        places = Places(10, 3)
        guests = Guests(nursery, places)
        await guests.come("m", "x", "x", "x", "x", "x")
        assert guests.gone == ["x1", "x2"]
        assert len(places) == 4
        places.clear()


async def test_where_all_places_are_taken_who_holds_most_loses_the_oldest() -> None:
    async with trio.open_nursery() as nursery:
        places = Places(4, 3)
        guests = Guests(nursery, places)
        await guests.come("m", "x", "x", "y", "z")
        assert guests.gone == ["x1"]
        await guests.come("z")
        assert guests.gone == ["x1", "z4"]
        places.clear()
        await trio.testing.wait_all_tasks_blocked()
        assert len(places) == 0


async def test_who_leaves_gives_its_place_back() -> None:
    places = Places(1, 1)
    for _ in range(3):
        with places.held("m") as scope:
            await trio.lowlevel.checkpoint()
        assert not scope.cancel_called
    assert len(places) == 0
