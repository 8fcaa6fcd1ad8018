"""The elector over a Lease in memory, on a mock clock."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from dnslb.election.kubernetes_objects import Kind
from dnslb.errors import KubernetesRefusal, KubernetesThrottled
from dnslb.model.lease import FencingToken
from tests.election.kubernetes_stage import EPOCH, Member, running, spec, wait_holder
from tests.election.kubernetes_twin import Fate, MemoryServer

FATES: tuple[Fate, ...] = ("done", "done", "refused", "unknown", "lost", "hangs")


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


async def test_the_first_start_makes_the_lease_and_waits_for_whoever_had_one_before(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=15.2)
        assert trio.current_time() > 15
        assert a.lease is not None
        assert a.lease.token == FencingToken("example", EPOCH + 1, 1, "n0")
        assert spec(server)["holderIdentity"] == "a_n0"
        assert spec(server)["leaseTransitions"] == 1
        await trio.sleep(60)
        assert a.holds()
        assert a.ground.claims == [("uid-1", 1, "n0")]
        assert {lease.token for lease in a.published if lease} == {a.lease.token}
        assert "replace" in a.door.asked
        # Renewed every two seconds, and read only at the start.
        assert 28 <= a.door.asked.count("replace") <= 33
        assert a.door.asked.count("read") == 1


async def test_another_takes_over_when_the_lease_of_the_killed_one_has_run_out(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a, b):
        first = await wait_holder(a, b, within_s=16)
        await trio.sleep(20)
        heir = b if first is a else a
        first.kill()
        assert await wait_holder(a, b, within_s=16) is heir
        assert heir.lease is not None
        assert heir.lease.term == 2
        assert heir.door.asked.count("replace") == 1, "no slow polling"


async def test_another_takes_over_at_once_from_one_that_leaves(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a):
        await wait_holder(a, within_s=16)
        async with running(b):
            await trio.sleep(5)
            left_at = trio.current_time()
            assert a.lease is not None
            token = a.lease.token
            await a.elector.leave()
            assert not a.holds()
            assert a.workers.rested == [token]
            assert trio.current_time() - left_at < 0.1
            await wait_holder(a, b, within_s=0.3)
            assert b.lease is not None
            assert b.lease.term == 2
            await trio.sleep(60)
            assert b.holds()


async def test_a_lease_is_not_released_while_a_write_may_be_under_way(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a = Member(server, "a")
    a.workers.busy_s = 60
    async with running(a):
        await wait_holder(a, within_s=16)
        left_at = trio.current_time()
        await a.elector.leave()
        assert trio.current_time() - left_at < 3
        assert not a.holds()
        await trio.sleep(30)
        assert spec(server)["holderIdentity"] == "a_n0"


async def test_leaving_cuts_a_call_that_hangs_and_releases_all_the_same(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        a.door.fate = lambda verb: "hangs"
        await trio.sleep(3)
        a.door.fate = lambda verb: "done"
        await a.elector.leave()
        assert spec(server)["holderIdentity"] == ""
        assert spec(server)["leaseDurationSeconds"] == 1


async def test_leaving_ends_in_time_when_nobody_answers(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        a.door.is_cut_off = True
        left_at = trio.current_time()
        await a.elector.leave()
        assert trio.current_time() - left_at < 1.5


async def test_who_stands_leaves_without_a_trace(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a):
        await wait_holder(a, within_s=16)
        async with running(b):
            await trio.sleep(1)
            await b.elector.leave()
            await trio.sleep(30)
        assert a.holds()


async def test_without_an_api_server_the_right_ends_in_time_and_comes_back(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        await trio.sleep(10)
        a.door.is_cut_off = True
        cut_at = trio.current_time()
        await a.wait_loss()
        assert 7.9 < trio.current_time() - cut_at < 10.1
        assert "no answer within" in a.board.rows["kubernetes"][1]
        assert a.errors > 2
        assert a.ground.ended == 1
        await trio.sleep(60)
        assert a.published[-1] is None
        a.door.is_cut_off = False
        await wait_holder(a, within_s=10)
        assert "kubernetes" not in a.board.rows
        assert a.lease is not None
        assert a.lease.term == 1, "nobody else had it"


async def test_a_single_failure_is_not_told(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        a.door.fate = lambda verb: "refused" if a.errors == 0 else "done"
        await trio.sleep(10)
        assert a.errors == 1
        a.door.fate = lambda verb: "refused" if a.errors == 1 else "done"
        await trio.sleep(10)
        assert a.errors == 2
        assert not a.board.ever
        assert a.holds()


async def test_a_wall_clock_that_is_set_ends_it_until_the_next_renewal(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        await a.wait_publication()
        await trio.sleep(0.1)
        a.fake.jump_wall(-5)
        with trio.fail_after(1.1):
            await a.wait_loss()
        await wait_holder(a, within_s=0.1)


async def test_a_note_by_hand_costs_the_holder_nothing(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        a.published.clear()
        server.edit(Kind.LEASE, "dnslb")
        await trio.sleep(15)
        assert a.errors == 0
        assert None not in a.published


async def test_an_acquire_without_an_answer_is_looked_at_and_held(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a):
        await wait_holder(a, within_s=16)
        async with running(b):
            await trio.sleep(1)
            b.door.fate = lambda verb: "unknown" if b.errors == 0 else "done"
            a.kill()
            await wait_holder(a, b, within_s=20)
            assert b.errors == 1
            assert any("is still ours" in note for note in b.notes)


async def test_a_server_that_asks_for_patience_gets_it(
    server: MemoryServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def throttle(kind: Kind, name: str) -> None:
        a.door.asked.append("read")
        await trio.lowlevel.checkpoint()
        raise KubernetesThrottled("slow down", 7.0)

    a = Member(server, "a")
    monkeypatch.setattr(a.door, "read", throttle)
    async with running(a):
        await trio.sleep(20)
        assert a.door.asked == ["read"] * 3


async def test_the_right_ends_when_it_ends_not_at_the_next_attempt(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    a = Member(server, "a")
    async with running(a):
        await wait_holder(a, within_s=16)
        await trio.sleep(5)
        a.door.fate = lambda verb: "refused"
        lease = a.lease
        assert lease is not None
        await trio.sleep(0.5)
        await a.wait_loss()
        assert 0 <= a.clock.now().boot - lease.good_until_boot < 2.1
        (*_, last, _none) = a.published
        assert last is not None
        assert a.clock.now().boot - last.good_until_boot < 0.01


async def test_a_deleted_lease_ends_the_right_at_once_and_is_made_anew(
    server: MemoryServer,
    autojump_clock: MockClock,
) -> None:
    a, b = Member(server, "a"), Member(server, "b")
    async with running(a, b):
        first = await wait_holder(a, b, within_s=16)
        await trio.sleep(5)
        server.delete(Kind.LEASE, "dnslb")
        deleted_at = trio.current_time()
        await trio.sleep(0.1)
        assert not first.holds()
        second = await wait_holder(a, b, within_s=16)
        assert trio.current_time() - deleted_at > 15
        assert second.lease is not None
        assert second.lease.token.epoch > EPOCH + 1


async def test_who_may_not_watch_says_so_and_takes_over_all_the_same(
    server: MemoryServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: Kind, name: str) -> None:
        raise KubernetesRefusal("leases may not be watched")

    a, b = Member(server, "a"), Member(server, "b")
    monkeypatch.setattr(b.door, "watch", refuse)
    async with running(a):
        await wait_holder(a, within_s=16)
        async with running(b):
            await trio.sleep(3)
            assert "may not be watched" in b.board.rows["kubernetes-watch"][1]
            a.kill()
            await wait_holder(a, b, within_s=31)
            monkeypatch.undo()
            await trio.sleep(5)
            assert not b.board.rows


@pytest.mark.parametrize("seed", range(8))
async def test_never_two_whatever_fails(
    server: MemoryServer, autojump_clock: MockClock, seed: int
) -> None:
    """A few of the runs of the pure part, with the real elector around it."""
    luck = random.Random(seed)
    members = [Member(server, name, seed) for name in "abc"[: 2 + seed % 2]]
    async with running(*members):
        for _ in range(25):
            member = luck.choice(members)
            match luck.randrange(5):
                case 0:
                    member.door.is_cut_off = not member.door.is_cut_off
                case 1:
                    member.door.fate = lambda verb: luck.choice(FATES)
                case 2 if (Kind.LEASE, "dnslb") in server.stored:
                    server.delete(Kind.LEASE, "dnslb")
                case 3:
                    member.fake.jump_wall(luck.choice((-10, 10)))
                case 4:
                    await member.elector.resign("tried")
            for _ in range(luck.randrange(100)):
                assert sum(one.holds() for one in members) < 2, "two may write at once"
                await trio.sleep(0.1)
        for member in members:
            member.door.is_cut_off, member.door.fate = False, lambda verb: "done"
        await trio.sleep(1)
        await wait_holder(*members, within_s=320)
