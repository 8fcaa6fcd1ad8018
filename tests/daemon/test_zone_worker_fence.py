"""Zone workers and the marker: taken before what comes later, through the same gate as writes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.decide.events import FenceTaken, ZoneRead
from dnslb.decide.intents import ReadZone
from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.operator import Pause
from dnslb.model.outcome import Failure
from tests.daemon.pieces import ZONE, lease
from tests.daemon.worker_bench import bench


async def test_the_marker_is_taken_before_what_is_asked_for_later(
    autojump_clock: MockClock,
) -> None:
    token = lease().token
    async with bench() as b:
        b.fence.take_s = 2.0
        b.worker.take_fence_nowait(token)
        b.worker.read_nowait(ReadZone(ZONE, frozenset()))
        await trio.sleep(1)
        assert b.provider.calls == []
        assert b.gate.under_way == 1
        await trio.sleep(2)
        assert b.fence.taken == [token]
        assert b.told[0] == FenceTaken(ZONE, token)
        assert isinstance(b.told[1], ZoneRead)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FenceLost("a newer writer"), "fenced"),
        (ProviderRefusal("a foreign owner"), "refused"),
        (ProviderTemporary("busy"), "temporary"),
        (OutcomeUnknown("no answer"), "unknown"),
    ],
)
async def test_a_marker_that_is_not_had_is_a_failure(
    autojump_clock: MockClock, error: ProviderError, kind: str
) -> None:
    async with bench() as b:
        b.fence.errors.append(error)
        b.worker.take_fence_nowait(lease().token)
        await trio.sleep(1)
        (event,) = b.told
        assert isinstance(event, FenceTaken)
        assert event.failure == Failure(kind, str(error), jitter=0.25)  # type: ignore[arg-type]


async def test_no_marker_is_taken_without_the_lease_or_under_another(
    autojump_clock: MockClock,
) -> None:
    async with bench() as b:
        b.gate.set_lease(lease(term=1))
        b.worker.take_fence_nowait(lease().token)
        await trio.sleep(1)
        b.gate.set_lease(None)
        b.worker.take_fence_nowait(lease(term=1).token)
        await trio.sleep(1)
        b.gate.set_lease(lease())
        b.gate.closed = "not sent: this instance is stopping"
        b.worker.take_fence_nowait(lease().token)
        await trio.sleep(1)
        assert b.fence.taken == []
        kinds = [e.failure.kind for e in b.told if isinstance(e, FenceTaken) and e.failure]
        assert kinds == ["gated"] * 3


async def test_taking_a_marker_ends_with_the_lease(autojump_clock: MockClock) -> None:
    async with bench() as b:
        b.fence.take_s = 20.0
        b.worker.take_fence_nowait(lease().token)
        await trio.sleep(1)
        b.gate.set_lease(None)
        await trio.sleep(1)
        (event,) = b.told
        assert isinstance(event, FenceTaken)
        assert event.failure is not None
        assert event.failure.kind == "unknown"
        assert (b.fence.taken, b.gate.under_way) == ([], 0)


async def test_a_pause_does_not_keep_the_marker_back(autojump_clock: MockClock) -> None:
    """Who may write is not a change of what is published."""
    async with bench() as b:
        b.pauses[""] = Pause("", "kim", "a test", 0.0, None)
        b.worker.take_fence_nowait(lease().token)
        await trio.sleep(1)
        assert b.told == [FenceTaken(ZONE, lease().token)]
