"""Zone workers and the lease gate: what is sent, what is not, and how each end is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed

import pytest
import trio
from trio.testing import MockClock

from dnslb.daemon.write_gate import MARGIN_S
from dnslb.daemon.zone_worker import PREPARE_S_MAX, READ_S_MAX, SEND_S_MAX
from dnslb.decide.events import WriteEnded, ZoneRead
from dnslb.decide.intents import ReadZone
from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.capabilities import Capabilities
from dnslb.model.lease import Lease
from dnslb.model.operator import Pause
from dnslb.model.outcome import Failure, Receipt
from tests.daemon.pieces import ZONE, change, lease, plan
from tests.daemon.worker_bench import Bench, bench
from tests.doubles.zone_provider import ScriptedProvider


async def test_a_read_is_answered_with_what_was_read(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.worker.read_nowait(ReadZone(ZONE, frozenset({"www.example.org"}), scan=True))
        await trio.sleep(1)
        (event,) = b.told
        assert b.provider.calls == [f"scan {ZONE}"]
        assert isinstance(event, ZoneRead)
        assert event.outcome.zone == ZONE
        assert not isinstance(event.outcome.result, Failure)
        assert event.outcome.result.names == {"www.example.org"}


async def test_a_failed_read_is_a_failure_with_jitter_and_never_empty(
    autojump_clock: MockClock,
) -> None:
    provider = ScriptedProvider(read_s=2.0)
    provider.read_errors.append(ProviderTemporary("the server is busy", 7.0))
    async with bench(provider) as b:
        b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        await trio.sleep(5)
        (event,) = b.told
        assert isinstance(event, ZoneRead)
        assert event.outcome.result == Failure("temporary", "the server is busy", 7.0, 0.25)


async def test_a_read_that_hangs_ends(autojump_clock: MockClock) -> None:
    async with bench(ScriptedProvider(read_s=10_000)) as b:
        b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        await trio.sleep(READ_S_MAX + 1)
        (event,) = b.told
        assert isinstance(event, ZoneRead)
        assert isinstance(event.outcome.result, Failure)
        assert event.outcome.result.kind == "temporary"


async def test_a_write_is_prepared_then_sent_under_the_token_of_the_lease(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=2.0)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(5)
        assert b.provider.calls == ["prepare example.org", "send example.org"]
        assert b.provider.tokens == [lease().token]
        assert b.provider.closed == 1
        (event,) = b.told
        assert isinstance(event, WriteEnded)
        assert isinstance(event.outcome.result, Receipt)
        assert event.outcome.plan == plan()
        assert event.outcome.took_s == pytest.approx(2.0)
        assert b.gate.under_way == 0


async def test_nothing_runs_between_the_gate_and_the_send(autojump_clock: MockClock) -> None:
    """Another task that is ready to run does not get its turn between them."""
    order: list[str] = []
    provider = ScriptedProvider()
    async with bench(provider) as b:

        async def other() -> None:
            order.append("another task")

        async with trio.open_nursery() as nursery:
            provider.before_gate = lambda: nursery.start_soon(other)
            provider.on_send = lambda: order.append("send")
            b.worker.apply_nowait(plan())
            await trio.sleep(1)
        assert order == ["send", "another task"]


@pytest.mark.parametrize("prepare_s", [0.0, 5.0])
async def test_a_recalled_plan_is_not_sent(autojump_clock: MockClock, prepare_s: float) -> None:
    """Whether it waits behind something else or is being prepared."""
    async with bench(ScriptedProvider(prepare_s=prepare_s, read_s=2.0)) as b:
        if not prepare_s:
            b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        b.worker.recall_nowait()
        await trio.sleep(10)
        assert b.failure.kind == "gated"
        assert b.provider.sent == []
        b.worker.apply_nowait(plan())
        await trio.sleep(10)
        assert b.provider.sent == [plan()]


async def test_a_newer_plan_replaces_one_that_waits_and_both_are_answered(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=3.0)) as b:
        first, second, third = (plan(change(f"{n}.example.org")) for n in "abc")
        b.worker.apply_nowait(first)
        await trio.sleep(1)
        b.worker.apply_nowait(second)
        b.worker.apply_nowait(third)
        await trio.sleep(20)
        assert b.provider.sent == [first, third]
        ended = [e.outcome for e in b.told if isinstance(e, WriteEnded)]
        assert [outcome.plan for outcome in ended] == [second, first, third]
        assert ended[0].result == Failure("gated", "replaced by a newer plan")
        assert all(isinstance(outcome.result, Receipt) for outcome in ended[1:])


async def test_a_plan_that_the_write_before_it_outdated_costs_no_call(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=3.0)) as b:
        b.worker.apply_nowait(plan(change("a.example.org", "192.0.2.1")))
        await trio.sleep(1)
        b.worker.apply_nowait(plan(change("a.example.org", "192.0.2.2"), change("b.example.org")))
        await trio.sleep(20)
        assert b.provider.calls == ["prepare example.org", "send example.org"]
        assert isinstance(b.results[0], Receipt)
        assert b.results[1] == Failure("gated", "planned before the write that has just ended")


async def test_a_plan_for_what_the_write_before_it_left_alone_goes_out(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=3.0)) as b:
        outdated = plan(change("a.example.org", "192.0.2.2"))
        b.worker.apply_nowait(plan(change("a.example.org", "192.0.2.1")))
        await trio.sleep(1)
        b.worker.apply_nowait(plan(change("b.example.org")))
        await trio.sleep(20)
        assert len(b.provider.sent) == 2
        # Nor is one dropped after a write that did not take place.
        b.provider.send_errors.append(ProviderTemporary("later"))
        b.worker.apply_nowait(plan(change("a.example.org", "192.0.2.1")))
        await trio.sleep(1)
        b.worker.apply_nowait(outdated)
        await trio.sleep(20)
        assert b.provider.sent[-1] == outdated


async def test_reads_and_writes_happen_in_sequence(autojump_clock: MockClock) -> None:
    async with bench(ScriptedProvider(send_s=1.0, read_s=1.0)) as b:
        b.worker.apply_nowait(plan())
        b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        b.worker.apply_nowait(plan(change("b.example.org")))
        await trio.sleep(0.5)
        assert b.provider.calls == ["read example.org"]
        await trio.sleep(10)
        assert [call.split()[0] for call in b.provider.calls] == ["read", "prepare", "send"]


async def test_reads_wait_for_the_write_under_way(autojump_clock: MockClock) -> None:
    async with bench(ScriptedProvider(send_s=1.0)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(0.5)
        b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        await trio.sleep(10)
        assert [type(event) for event in b.told] == [WriteEnded, ZoneRead]


@pytest.mark.parametrize(
    ("error", "kind", "retry_after_s"),
    [
        (ProviderTemporary("later", 30.0), "temporary", 30.0),
        (ProviderRefusal("never"), "refused", None),
        (ProviderConflict("changed"), "conflict", None),
        (OutcomeUnknown("no answer"), "unknown", None),
        (FenceLost("another"), "fenced", None),
    ],
)
@pytest.mark.parametrize("step", ["prepare", "send"])
async def test_each_error_has_its_kind(
    autojump_clock: MockClock,
    step: str,
    error: ProviderError,
    kind: str,
    retry_after_s: float | None,
) -> None:
    provider = ScriptedProvider()
    getattr(provider, f"{step}_errors").append(error)
    async with bench(provider) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        assert b.failure == Failure(b.failure.kind, str(error), retry_after_s, 0.25)
        assert b.failure.kind == kind
        assert provider.closed == (1 if step == "send" else 0)


async def test_preparing_that_hangs_ends_as_temporary_since_nothing_was_sent(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(prepare_s=10_000)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(PREPARE_S_MAX + 1)
        assert b.failure.kind == "temporary"
        assert b.provider.sent == []


async def test_a_write_that_hangs_ends_as_unknown(autojump_clock: MockClock) -> None:
    """However long the preparing took: it may have been done."""
    async with bench(ScriptedProvider(prepare_s=PREPARE_S_MAX - 1, send_s=10_000)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(PREPARE_S_MAX + SEND_S_MAX)
        assert b.failure.kind == "unknown"
        assert b.provider.closed == 1


# -------------------------------------------------------------------------------- the gate


@pytest.mark.parametrize(
    "close",
    [
        lambda b: b.gate.set_lease(None),
        lambda b: b.gate.set_lease(lease(term=1)),
        lambda b: b.gate.set_lease(lease(nonce="n2")),
        lambda b: b.gate.set_lease(lease(until_boot=b.clock.now().boot + MARGIN_S / 2)),
        lambda b: setattr(b.gate, "closed", "stopping"),
        lambda b: b.pauses.update({"": Pause("", "why", "me", 0.0)}),
        lambda b: b.pauses.update({ZONE: Pause(ZONE, "why", "me", 0.0)}),
        lambda b: b.pauses.update({"www.example.org": Pause("www.example.org", "why", "me", 0)}),
    ],
    ids=["lost", "term", "nonce", "margin", "closed", "paused", "zone paused", "lb paused"],
)
@pytest.mark.parametrize("when", ["before it is prepared", "while it is prepared"])
async def test_the_gate_is_shut_before_bytes_leave(
    autojump_clock: MockClock, close: Callable[[Bench], None], when: str
) -> None:
    async with bench() as b:
        if when.startswith("while"):
            b.provider.before_gate = lambda: close(b)
        else:
            close(b)
            if b.gate.lease is not None and b.gate.lease.token.nonce == "n2":
                # Taken before anything was prepared, the new token is simply the one in force.
                b.worker.apply_nowait(plan())
                await trio.sleep(1)
                assert len(b.provider.sent) == 1
                return
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        assert b.provider.sent == []
        assert b.failure.kind == "gated"
        assert b.failure.sentence
        assert b.provider.closed == (1 if when.startswith("while") else 0)


async def test_a_suspend_ends_the_lease_though_the_loop_saw_no_time_pass(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        b.gate.set_lease(lease(until_boot=b.clock.now().boot + 5))
        b.provider.before_gate = lambda: b.clock.suspend(10)
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        assert b.provider.sent == []
        assert b.failure.kind == "gated"


async def test_a_pause_elsewhere_stops_nothing(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.pauses["api.example.org"] = Pause("api.example.org", "why", "me", 0.0)
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        assert len(b.provider.sent) == 1


async def test_a_write_under_way_ends_with_the_lease_less_the_margin(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=100)) as b:
        began = b.clock.now()
        b.gate.set_lease(lease(until_boot=began.boot + 4))
        b.worker.apply_nowait(plan())
        await trio.sleep(4 - MARGIN_S - 0.01)
        assert b.told == []
        await trio.sleep(0.02)
        assert b.failure.kind == "unknown"


async def test_a_prolonged_lease_prolongs_the_write_but_not_beyond_its_own_limit(
    autojump_clock: MockClock,
) -> None:
    async with bench(ScriptedProvider(send_s=10_000)) as b:
        began = b.clock.now()
        b.gate.set_lease(lease(until_boot=began.boot + 4))
        b.worker.apply_nowait(plan())
        await trio.sleep(2)
        b.gate.set_lease(lease(until_boot=began.boot + 1000))
        await trio.sleep(10)
        assert b.told == []
        await trio.sleep(SEND_S_MAX)
        assert b.failure.kind == "unknown"


@pytest.mark.parametrize("after", [None, lease(nonce="n2")])
async def test_a_lost_lease_ends_the_write_at_once(
    autojump_clock: MockClock, after: Lease | None
) -> None:
    async with bench(ScriptedProvider(send_s=10)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        assert b.gate.under_way == 1
        b.gate.set_lease(after)
        await b.gate.wait_rest()
        await trio.testing.wait_all_tasks_blocked()
        assert b.failure.kind == "unknown"


async def test_stopping_waits_for_the_write_or_cuts_it_off(autojump_clock: MockClock) -> None:
    async with bench(ScriptedProvider(send_s=10)) as b:
        b.worker.apply_nowait(plan())
        await trio.sleep(1)
        b.gate.closed = "stopping"
        with trio.move_on_after(2) as patience:
            await b.gate.wait_rest()
        assert patience.cancelled_caught
        b.gate.cancel_all()
        with trio.fail_after(1):
            await b.gate.wait_rest()


# ------------------------------------------------------------------------------- in parts


def small_batches(**errors: list[ProviderError | None]) -> ScriptedProvider:
    provider = ScriptedProvider(capabilities=Capabilities(batch_max=2))
    for name, values in errors.items():
        getattr(provider, name).extend(values)
    return provider


FIVE = tuple(change(f"{n}.example.org") for n in "abcde")


async def test_a_plan_larger_than_a_batch_goes_out_in_parts_each_on_the_last_ones_basis(
    autojump_clock: MockClock,
) -> None:
    async with bench(small_batches()) as b:
        b.worker.apply_nowait(plan(*FIVE, basis="as read"))
        await trio.sleep(1)
        assert [part.changes for part in b.provider.sent] == [FIVE[:2], FIVE[2:4], FIVE[4:]]
        bases = [part.basis for part in b.provider.sent]
        assert bases == ["as read", "after write 1", "after write 2"]
        (result,) = b.results
        assert isinstance(result, Receipt)
        assert [rrset.key.name[0] for rrset in result.rrsets] == list("abcde")
        assert result.basis == "after write 3"


async def test_a_failure_after_a_part_is_told_as_such(autojump_clock: MockClock) -> None:
    async with bench(small_batches(send_errors=[None, ProviderRefusal("too much")])) as b:
        b.worker.apply_nowait(plan(*FIVE))
        await trio.sleep(1)
        assert len(b.provider.sent) == 2
        assert b.failure.kind == "refused"
        assert b.failure.sentence == "written in part (1 of several writes), then: too much"


async def test_a_gate_that_shuts_between_parts_is_not_told_as_if_nothing_was_written(
    autojump_clock: MockClock,
) -> None:
    async with bench(small_batches()) as b:
        b.provider.on_send = lambda: setattr(b.gate, "closed", "stopping")
        b.worker.apply_nowait(plan(*FIVE))
        await trio.sleep(1)
        assert len(b.provider.sent) == 1
        assert b.failure == changed(b.failure, kind="unknown")
