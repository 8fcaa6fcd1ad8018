"""The call budget by a mock clock: never too fast, nobody forgotten, nothing lost."""

from __future__ import annotations

import itertools
import random

import pytest
import trio
from trio.testing import MockClock

from dnslb.providers.autodns_budget import LAPSE_S, CallBudget, Urgency


@pytest.fixture
def budget() -> CallBudget:
    return CallBudget()


async def used_at(budget: CallBudget, urgency: Urgency = Urgency.ROUTINE) -> float:
    assert (await budget.take(urgency)).use()
    return trio.current_time()


async def test_it_is_empty_at_the_start(budget: CallBudget, autojump_clock: MockClock) -> None:
    await trio.sleep(5)
    assert [await used_at(budget) for _ in range(3)] == pytest.approx([5.4, 5.8, 6.2])


async def test_idleness_saves_up_one_call_and_no_more(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    await used_at(budget)
    await trio.sleep(60)
    assert [await used_at(budget) for _ in range(2)] == pytest.approx([60.4, 60.8])


async def test_a_crowd_never_exceeds_three_in_any_second(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    luck, at = random.Random(7), []

    async def caller() -> None:
        await trio.sleep(luck.random() * 20)
        with await budget.take(luck.choice(list(Urgency))) as permit:
            await trio.sleep(luck.choice([0, 0, 0.1, 0.5]))
            if luck.random() < 0.8 and permit.use():
                at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(caller)
    assert len(at) > 60
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert min(gaps) >= 0.4 - 1e-9


async def test_what_has_begun_goes_first_and_routine_last(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    order: list[Urgency] = []

    async def caller(urgency: Urgency) -> None:
        await used_at(budget, urgency)
        order.append(urgency)

    async with trio.open_nursery() as nursery:
        for urgency in (Urgency.ROUTINE, Urgency.CHANGE, Urgency.FINISH):
            nursery.start_soon(caller, urgency)
    assert order == [Urgency.FINISH, Urgency.CHANGE, Urgency.ROUTINE]


async def test_routine_is_served_in_spite_of_a_stream_of_changes(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    async def changes() -> None:
        while True:
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(used_at, budget, Urgency.CHANGE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(changes)
        await trio.sleep(1)
        assert 10 < await used_at(budget) < 14
        nursery.cancel_scope.cancel()


async def test_a_permit_that_is_out_keeps_all_others_waiting(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    permit = await budget.take(Urgency.CHANGE)
    at: list[float] = []

    async def other() -> None:
        at.append(await used_at(budget))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await trio.sleep(1)
        assert permit.use()
    assert at == pytest.approx([0.4 + 1 + 0.4])


async def test_what_was_not_used_is_given_back_at_once(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    with await budget.take(Urgency.CHANGE):
        pass
    assert await used_at(budget) == pytest.approx(0.4)


async def test_a_permit_works_once(budget: CallBudget, autojump_clock: MockClock) -> None:
    permit = await budget.take(Urgency.CHANGE)
    assert permit.use()
    assert not permit.use()
    permit.give_back()
    assert await used_at(budget) == pytest.approx(0.8)


async def test_a_forgotten_permit_lapses(budget: CallBudget, autojump_clock: MockClock) -> None:
    forgotten = await budget.take(Urgency.CHANGE)
    assert await used_at(budget) == pytest.approx(0.4 + LAPSE_S)
    assert not forgotten.use()


async def test_a_lapsed_permit_is_of_no_use_even_when_nobody_waits(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    forgotten = await budget.take(Urgency.CHANGE)
    await trio.sleep(LAPSE_S)
    assert not forgotten.use()


async def test_who_gives_up_waiting_takes_nothing_along(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(0.3):
        await budget.take(Urgency.FINISH)
    assert await used_at(budget) == pytest.approx(0.4)


async def test_the_next_one_is_woken_when_the_first_gives_up(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    async def impatient() -> None:
        with trio.move_on_after(0.1):
            await budget.take(Urgency.FINISH)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        await trio.testing.wait_all_tasks_blocked()
        assert await used_at(budget) == pytest.approx(0.4)


async def test_hold_keeps_everybody_waiting(budget: CallBudget, autojump_clock: MockClock) -> None:
    await used_at(budget)
    budget.hold(6)
    assert await used_at(budget, Urgency.FINISH) == pytest.approx(6.4)


async def test_hold_before_the_first_call_counts(
    budget: CallBudget, autojump_clock: MockClock
) -> None:
    budget.hold(6)
    assert await used_at(budget) == pytest.approx(6)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_budget_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        CallBudget(rate)
