"""Writers at rest before the leadership goes over, and a majority asked before each write."""

from __future__ import annotations

from dataclasses import replace

import trio
import trio.testing

from dnslb.daemon.resting import CUT_OFF_S_MAX, WRITE_S_MAX, RestingWorkers, finish_writes
from tests.daemon.pieces import lease, plan
from tests.daemon.worker_bench import Bench, bench
from tests.doubles.zone_provider import ScriptedProvider

Clock = trio.testing.MockClock
TOKEN = lease().token


def resting(b: Bench, stored_s: float = 0.0) -> RestingWorkers:
    async def wait_quiet() -> None:
        await trio.sleep(stored_s)

    return RestingWorkers(b.gate, wait_quiet)


async def test_a_write_under_way_is_finished_and_none_begins_under_that_token(
    autojump_clock: Clock,
) -> None:
    async with bench(ScriptedProvider(send_s=1)) as b:
        b.worker.apply_nowait(plan())
        await trio.testing.wait_all_tasks_blocked()
        workers = resting(b, stored_s=0.5)
        began = trio.current_time()
        await workers.rest(TOKEN)
        assert trio.current_time() - began == 1.5, "written, and what came of it stored"
        b.worker.apply_nowait(plan())
        await trio.sleep(5)
        assert len(b.provider.sent) == 1
        assert "handed over" in str(b.results[-1])
        workers.resume(TOKEN)
        b.worker.apply_nowait(plan())
        await trio.sleep(5)
        assert len(b.provider.sent) == 2


async def test_another_token_passes(autojump_clock: Clock) -> None:
    async with bench() as b:
        await resting(b).rest(TOKEN)
        b.gate.set_lease(lease(term=1))
        b.worker.apply_nowait(plan(term=1))
        await trio.sleep(1)
        assert len(b.provider.sent) == 1


async def test_a_write_that_takes_too_long_is_cut_off(autojump_clock: Clock) -> None:
    async with bench(ScriptedProvider(send_s=100)) as b:
        b.worker.apply_nowait(plan())
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await resting(b, stored_s=100).rest(TOKEN)
        assert b.gate.under_way == 0
        assert trio.current_time() - began < WRITE_S_MAX + 1
        assert b.failure.kind == "unknown"
        assert await finish_writes(b.gate)


async def stubborn(b: Bench, seconds: float) -> None:
    """A write that heeds being cut off only once its provider lets it."""
    with b.gate.pass_through(TOKEN, 100), trio.CancelScope(shield=True):
        await trio.sleep(seconds)


async def test_whoever_is_told_that_all_is_at_rest_may_rely_on_it(autojump_clock: Clock) -> None:
    async with bench() as b, trio.open_nursery() as nursery:
        nursery.start_soon(stubborn, b, 10)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await resting(b).rest(TOKEN)
        assert b.gate.under_way == 0
        assert trio.current_time() - began == 10


async def test_a_stop_waits_a_moment_for_what_it_cut_off_and_says_so(
    autojump_clock: Clock,
) -> None:
    for seconds, left in ((WRITE_S_MAX + CUT_OFF_S_MAX / 2, 0), (WRITE_S_MAX + 5, 1)):
        async with bench() as b, trio.open_nursery() as nursery:
            nursery.start_soon(stubborn, b, seconds)
            await trio.testing.wait_all_tasks_blocked()
            assert not await finish_writes(b.gate)
            assert b.gate.under_way == left


async def test_no_write_begins_that_no_majority_has_confirmed(autojump_clock: Clock) -> None:
    async with bench() as b:
        answers: list[str | None] = ["not sent: no majority", None]

        async def confirm() -> str | None:
            await trio.sleep(1)
            return answers.pop(0)

        b.worker._hands = replace(b.worker._hands, confirm=confirm)
        b.worker.apply_nowait(plan())
        await trio.sleep(2)
        assert b.provider.sent == []
        assert (b.failure.kind, b.failure.sentence) == ("gated", "not sent: no majority")
        b.told.clear()
        b.worker.apply_nowait(plan())
        await trio.sleep(2)
        assert len(b.provider.sent) == 1


async def test_a_lease_that_is_lost_while_a_majority_is_asked_is_noticed(
    autojump_clock: Clock,
) -> None:
    async with bench() as b:

        async def confirm() -> str | None:
            await trio.lowlevel.checkpoint()
            b.gate.set_lease(None)
            return None

        b.worker._hands = replace(b.worker._hands, confirm=confirm)
        b.worker.apply_nowait(plan())
        await trio.sleep(2)
        assert b.failure.kind == "gated"
        assert b.provider.sent == []
