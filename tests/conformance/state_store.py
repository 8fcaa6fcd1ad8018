"""What every state store keeps: durable or not in force, in order, and older by the time gone.

A bench opens stores on one ground, one after the other, as restarts do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest
import trio

from dnslb.errors import StoreError, StoreUncertain
from dnslb.model.checkpoint import (
    Flaps,
    GuardMemory,
    Held,
    Owned,
    RecordDecisions,
    StateChange,
    StoredState,
    Window,
)
from dnslb.model.operator import Approval, Approve, Override, Pause, SetOverrides, SetPause
from dnslb.model.rrset import RRsetKey
from dnslb.ports.state_store import StateStore

KEY = RRsetKey("www.example.org", "A")
GUARD = GuardMemory(
    Window(1.0, {"www.example.org": 2}, frozenset({("www.example.org", "192.0.2.2")})),
    {KEY: Held(3, 2.0, frozenset({"192.0.2.3"}))},
    {("www.example.org", "192.0.2.1"): Flaps(1, 5.0, 6.0)},
    3,
)
DRAIN = SetOverrides((Override("www.example.org", "tcp://192.0.2.1:80", "drain", "r", "kim", 1.0),))
PAUSE = SetPause(Pause("", "ein Grund: ü", "kim", 1.0, 9.0))
DECISIONS = RecordDecisions({KEY: Owned("example.org", 60, ("192.0.2.1",))}, GUARD)
APPROVAL = Approve((Approval("abcd", "kim", 1.0),))
CHANGES: tuple[StateChange, ...] = (DRAIN, PAUSE, APPROVAL, DECISIONS)


def applied(*changes: StateChange) -> StoredState:
    state = StoredState()
    for change in changes:
        state = state.apply(change)
    return state


class Bench(Protocol):
    """``open``: a store as of a fresh process, which runs and may propose, and what it published.
    ``start``: runs one until it is cancelled, or refuses."""

    def open(self) -> AbstractAsyncContextManager[tuple[StateStore, Published]]: ...

    async def start(self, published: Published) -> None: ...

    def pass_time(self, seconds: float) -> None: ...

    async def break_ground(self) -> None:
        """From now on nothing can be made durable."""

    async def mend_ground(self) -> None: ...

    async def damage(self) -> None:
        """What was made durable can be trusted no more."""


class Published(list[tuple[StoredState, float]]):
    def __init__(self) -> None:
        super().__init__()
        self.news = trio.Event()

    def __call__(self, state: StoredState, age_s: float) -> None:
        self.append((state, age_s))
        self.news.set()
        self.news = trio.Event()

    async def wait_state(self, state: StoredState) -> float:
        """Its age."""
        with trio.fail_after(30):
            while not self or self[-1][0] != state:
                await self.news.wait()
        return self[-1][1]


@asynccontextmanager
async def running(store: StateStore) -> AsyncIterator[Published]:
    published = Published()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run, published)
        with trio.fail_after(30):
            while not published:
                await published.news.wait()
        yield published
        nursery.cancel_scope.cancel()


class StateStoreSuite:
    """Subclasses bring the fixture ``bench``."""

    @pytest.fixture
    def bench(self) -> Bench:
        pytest.fail("a suite needs a bench")

    async def test_first_there_is_nothing(self, bench: Bench) -> None:
        async with bench.open() as (_, published):
            assert published == [(StoredState(), 0.0)]

    async def test_what_was_proposed_outlives_the_process(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            state = await store.propose(CHANGES)
            assert state == applied(*CHANGES)
        async with bench.open() as (_, published):
            await published.wait_state(state)

    async def test_proposals_build_on_each_other_in_order(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            for at in range(1, len(CHANGES) + 1):
                assert await store.propose(CHANGES[at - 1 : at]) == applied(*CHANGES[:at])
        async with bench.open() as (_, published):
            await published.wait_state(applied(*CHANGES))

    async def test_two_at_once_are_both_in_force(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.propose, (DRAIN,))
                nursery.start_soon(store.propose, (PAUSE,))
            assert await store.propose(()) in (applied(DRAIN, PAUSE), applied(PAUSE, DRAIN))

    async def test_the_guard_grows_older_while_nobody_looks(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            state = await store.propose((DECISIONS,))
        bench.pass_time(100.0)
        async with bench.open() as (store, published):
            assert await published.wait_state(state) == pytest.approx(100.0, abs=5.0)
            # What a person says makes the guard's memory no younger.
            both = await store.propose((PAUSE,))
        bench.pass_time(100.0)
        async with bench.open() as (_, published):
            assert await published.wait_state(both) == pytest.approx(200.0, abs=10.0)

    async def test_what_failed_is_not_in_force(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            state = await store.propose((DRAIN,))
            await bench.break_ground()
            with pytest.raises(StoreError) as caught:
                await store.propose((PAUSE,))
            assert not isinstance(caught.value, StoreUncertain)
            await bench.mend_ground()
            assert await store.propose(()) == state
        async with bench.open() as (_, published):
            await published.wait_state(state)

    async def test_damage_is_refused_and_never_empty(self, bench: Bench) -> None:
        async with bench.open() as (store, _):
            await store.propose(CHANGES)
        await bench.damage()
        published = Published()
        with pytest.RaisesGroup(StoreError, flatten_subgroups=True, allow_unwrapped=True):
            with trio.fail_after(30):
                await bench.start(published)
        assert published == []
