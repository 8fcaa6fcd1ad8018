"""Waiters see the newest value, and never disturb each other."""

from __future__ import annotations

import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from dnslb.net.watchable import Watchable, wait_first
from dnslb.ports.watched import Watched


async def test_a_waiter_gets_the_newest_value() -> None:
    watched = Watchable("a")
    got: list[tuple[str, int]] = []

    async def wait() -> None:
        value = await watched.wait_changed(0)
        got.append((value, watched.revision))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        watched.set("b")
        watched.set("c")
    assert got == [("c", 2)] * 3


async def test_a_change_that_was_missed_returns_at_once() -> None:
    watched = Watchable(1)
    watched.set(2)
    with assert_checkpoints():
        assert await watched.wait_changed(0) == 2


async def test_waiting_for_a_change_is_cancelled_without_a_trace() -> None:
    watched = Watchable(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await watched.wait_changed(0)
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.wait_changed, 0)
        nursery.start_soon(watched.wait_changed, 0)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    watched.set(2)
    assert await watched.wait_changed(0) == 2


async def test_an_equal_value_is_a_change_too() -> None:
    watched = Watchable(1)
    watched.set(1)
    assert watched.revision == 1


async def test_waits_for_a_value(autojump_clock: MockClock) -> None:
    watched = Watchable(0)

    async def count() -> None:
        for value in range(1, 6):
            await trio.sleep(1)
            watched.set(value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        assert await watched.wait_value(lambda value: value >= 3) == 3
        assert trio.current_time() == 3
    with assert_checkpoints():
        assert await watched.wait_value(lambda value: value == 5) == 5


async def test_no_change_between_two_waits_is_missed() -> None:
    watched = Watchable(0)
    seen: list[int] = []

    async def follow() -> None:
        revision = watched.revision
        while watched.value < 3:
            seen.append(await watched.wait_changed(revision))
            revision = watched.revision

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        for value in (1, 2, 3):
            await wait_all_tasks_blocked()
            watched.set(value)
    assert seen == [1, 2, 3]


def test_is_what_the_port_asks_for() -> None:
    watched: Watched[int] = Watchable(7)
    assert (watched.value, watched.revision) == (7, 0)


async def test_the_first_of_several_events_ends_the_wait() -> None:
    first, second = trio.Event(), trio.Event()
    second.set()
    await wait_first(first, second)
    assert not first.is_set()
