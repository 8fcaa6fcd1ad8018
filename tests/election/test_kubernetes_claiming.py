"""Before a lease is public, and when it is given up: the elector on a mock clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.election.kubernetes_objects import Kind
from tests.election.kubernetes_stage import Member, running, spec, wait_holder
from tests.election.kubernetes_twin import MemoryServer


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


async def test_resigning_lets_another_try_and_stands_again_later(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a):
        await wait_holder(a, within_s=16)
        async with running(b):
            await trio.sleep(1)
            await a.elector.resign("another writer holds the fence")
            assert not a.holds()
            await wait_holder(a, b, within_s=0.5)
            assert b.holds()
            assert any("another writer holds the fence" in note for note in a.notes)
            assert a.workers.rested
        await wait_holder(a, within_s=16)
        assert a.lease is not None
        assert a.lease.term == 3


async def test_a_lease_that_cannot_be_taken_any_more_needs_a_person(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    """A person wrote the largest number there is."""
    server.put(Kind.LEASE, "dnslb", "uid-1", {"leaseTransitions": 2**31 - 1})
    a = Member(server, "a")
    async with running(a):
        await trio.sleep(20)
        assert not a.holds()
        assert "leaseTransitions can grow no more" in a.board.rows["lease-stuck"][1]
        server.delete(Kind.LEASE, "dnslb")
        await wait_holder(a, within_s=20)
        assert not a.board.rows


async def test_who_resigns_alone_writes_again_under_a_new_term(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        for term, calm_s in ((2, 10), (3, 20), (4, 40)):
            await a.elector.resign("refused")
            await trio.sleep(calm_s - 0.5)
            assert not a.holds()
            await wait_holder(a, within_s=3)
            assert a.lease is not None
            assert a.lease.term == term


async def test_a_lapse_does_not_hide_a_resignation(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    """The right has just run out when it is given up: its term does not come back."""
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        a.door.is_cut_off = True
        await trio.sleep(11)
        assert a.published[-1] is None
        await a.elector.resign("refused")
        a.door.is_cut_off = False
        await wait_holder(a, within_s=40)
        assert a.lease is not None
        assert a.lease.term == 2


async def test_nothing_is_public_before_the_state_is_claimed(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    a.ground.broken = True
    async with running(a):
        await trio.sleep(18)
        assert spec(server)["holderIdentity"] == "a_n0"
        assert a.published == []
        assert "ConfigMap dns/dnslb cannot be read" in a.board.rows["lease-state"][1]
        await trio.sleep(10)
        assert spec(server)["holderIdentity"] == "", "another one may have more luck"
        a.ground.broken = False
        await wait_holder(a, within_s=30)
        assert not a.board.rows


async def test_a_state_that_another_one_can_claim_needs_nobody_here(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    a.ground.broken = True
    async with running(a):
        await trio.sleep(18)
        assert "lease-state" in a.board.rows
        async with running(b):
            await wait_holder(a, b, within_s=30)
            await trio.sleep(1)
            assert b.holds()
            assert "lease-state" not in a.board.rows


async def test_the_state_is_claimed_once_whatever_is_heard_meanwhile(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    a.ground.slow_s = 3.0
    async with running(a):
        await trio.sleep(16)
        server.edit(Kind.LEASE, "dnslb")
        await wait_holder(a, within_s=4)
        await trio.sleep(10)
        assert len(a.ground.claims) == 1


async def test_a_calm_makes_a_resignation_short_again(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        for calm_s in (0, 0, 700):
            await wait_holder(a, within_s=60)
            await trio.sleep(calm_s)
            await a.elector.resign("tried")
        waits = [note.split()[9] for note in a.notes if note.startswith("resigned")]
        assert waits == ["10", "20", "10"]


async def test_who_resigns_releases_only_when_its_writes_are_at_rest(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    a.workers.busy_s = 5
    async with running(a):
        await wait_holder(a, within_s=16)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.elector.resign, "tried")
            await trio.sleep(4)
            assert not a.holds()
            assert spec(server)["holderIdentity"] == "a_n0"
            await trio.sleep(2)
            assert spec(server)["holderIdentity"] == ""
