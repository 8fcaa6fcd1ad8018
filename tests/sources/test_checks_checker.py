"""Many checks at once: what comes of them, what is cancelled, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from dnslb.errors import LocalError
from dnslb.model.loadbalancer import Monitor
from dnslb.net.clock import FakeClock
from dnslb.sources.checks.checker import Checker, check
from dnslb.sources.checks.result import NOTHING_ASKED, CheckResult
from dnslb.sources.checks.trust import Trust
from tests.sources import endpoints

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def monitor(protocol: str, port: int, **options: float) -> Monitor:
    return Monitor(protocol, "127.0.0.1", port, **options)  # type: ignore[arg-type]


class Waker:
    """Stands for the loop that collects results."""

    def __init__(self) -> None:
        self.woken = trio.Event()

    def wake(self) -> None:
        self.woken.set()


@contextlib.asynccontextmanager
async def checking() -> AsyncIterator[tuple[Checker[str], Waker]]:
    waker = Waker()
    async with trio.open_nursery() as nursery:
        with Checker[str](nursery, Trust(), waker.wake) as checker:
            yield checker, waker


async def collected(checker: Checker[str], count: int) -> dict[str, CheckResult]:
    found: dict[str, CheckResult] = {}
    with trio.fail_after(30):
        while len(found) < count:
            await checker.wait()
            found.update(checker.collect())
    return found


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def test_tcp_checks_are_collected_by_key() -> None:
    with endpoints.listening() as port, endpoints.refusing() as refusing:
        async with checking() as (checker, _):
            before = descriptors()
            for number in range(10):
                checker.start(f"good {number}", monitor("tcp", port))
                checker.start(f"bad {number}", monitor("tcp", refusing))
            found = await collected(checker, 20)
            assert descriptors() == before
    assert {key.partition(" ")[0]: result.message for key, result in found.items()} == {
        "good": "success",
        "bad": "connection refused",
    }
    assert len(found) == 20


async def test_http_checks_wake_their_collector() -> None:
    serving = endpoints.serving(endpoints.answering(OK))
    async with serving as port, checking() as (checker, waker):
        checker.start("a", monitor("http", port))
        with trio.fail_after(30):
            await waker.woken.wait()
        assert checker.collect() == [("a", (True, "success", 0.0))]
        assert checker.collect() == []


async def test_protocol_none_needs_nothing() -> None:
    async with checking() as (checker, _):
        assert checker.start("a", monitor("none", 80)) == NOTHING_ASKED
    assert NOTHING_ASKED == (True, "unknown", 0.0)


async def test_a_cancelled_tcp_check_is_never_heard_of_again() -> None:
    with endpoints.listening() as port:
        async with checking() as (checker, _):
            before = descriptors()
            flight = checker.start("a", monitor("tcp", port))
            assert not isinstance(flight, CheckResult)
            await checker.wait()
            flight.cancel()
            flight.cancel()
            assert checker.collect() == []
            assert descriptors() == before


async def test_a_cancelled_http_check_is_never_heard_of_again() -> None:
    serving = endpoints.serving(endpoints.answering(OK))
    async with serving as port:
        async with checking() as (checker, waker):
            flight = checker.start("late", monitor("http", port))
            with trio.fail_after(30):
                await waker.woken.wait()
            assert not isinstance(flight, CheckResult)
            flight.cancel()
            flight = checker.start("early", monitor("http", port))
            assert not isinstance(flight, CheckResult)
            flight.cancel()
            assert checker.collect() == []
        assert checker._ended == []


async def test_nothing_is_left_open_at_the_end() -> None:
    with endpoints.silent() as port:
        before = descriptors()
        async with checking() as (checker, _):
            for number in range(5):
                checker.start(str(number), monitor("tcp", port))
            assert len(descriptors()) > len(before)
        assert descriptors() == before


async def test_an_epoll_set_that_is_full_is_not_down(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def register(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    with endpoints.listening() as port:
        async with checking() as (checker, _):
            before = descriptors()
            with monkeypatch.context() as patch:
                patch.setattr(checker, "_epoll", Full())
                result = checker.start("a", monitor("tcp", port))
            assert isinstance(result, CheckResult)
            assert result.healthy is None
            assert descriptors() == before


async def test_no_epoll_set_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(select, "epoll", refuse)
    async with trio.open_nursery() as nursery:
        with pytest.raises(LocalError, match="cannot start: Too many open files"):
            Checker[str](nursery, Trust(), Waker().wake)


@pytest.mark.parametrize("protocol", ["tcp", "http", "https"])
async def test_a_whole_check_is_bounded_by_its_time_out(
    protocol: str, autojump_clock: MockClock
) -> None:
    with endpoints.silent() as port:
        result = await check(monitor(protocol, port, timeout_s=0.5), FakeClock())
    assert result[:2] == (False, "timed out after 0.5 s")
    assert result.duration_s == pytest.approx(0.5)


@pytest.mark.parametrize("protocol", ["http", "https"])
async def test_an_endpoint_that_connects_and_hangs(
    protocol: str, autojump_clock: MockClock
) -> None:
    async with endpoints.serving(endpoints.hang) as port:
        result = await check(monitor(protocol, port, timeout_s=2.0), FakeClock())
    assert result[:2] == (False, "timed out after 2 s")
    assert result.duration_s == pytest.approx(2.0)


async def test_an_endpoint_that_trickles_cannot_outlast_the_time_out(
    autojump_clock: MockClock,
) -> None:
    async def trickle(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n")
        while True:
            await stream.send_all(b"X: y\r\n")
            await trio.sleep(0.1)

    async with endpoints.serving(trickle) as port:
        result = await check(monitor("http", port, timeout_s=1.0), FakeClock())
    assert result[:2] == (False, "timed out after 1 s")


async def test_one_check_of_each_protocol_by_itself() -> None:
    async with endpoints.serving(endpoints.answering(OK)) as port:
        clock = FakeClock()
        for protocol in ("tcp", "http", "none"):
            result = await check(monitor(protocol, port), clock)
            assert result.healthy
            assert result.duration_s >= 0
