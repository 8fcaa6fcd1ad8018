"""Carries many checks out at once. Not when, and not how long: whoever starts one ends it.

A tcp check is no task: its socket waits in one epoll set of all. A task with a time-out for each
costs a third more and upwards (tests/bench/bench_prober.py). http and https checks are tasks.

Law: once a check was cancelled, or its result was handed over, nothing more is heard of it.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

import trio

from dnslb.errors import LocalError
from dnslb.model.loadbalancer import Monitor
from dnslb.net.clock import Clock
from dnslb.sources.checks import http, tcp
from dnslb.sources.checks.result import (
    NOTHING_ASKED,
    CheckFailed,
    CheckResult,
    Flight,
    failed_at_once,
    timed_out,
)
from dnslb.sources.checks.trust import Trust

BATCH_MAX = 128
"""Results taken in one go: some milliseconds, so that nobody else waits long for the loop."""

K = TypeVar("K")


class Checker(Generic[K]):
    """Checks under way, each with the key its starter gave it; a context manager in a trio run.

    ``wake``: called, from another task, when an http or https check has ended.
    """

    def __init__(self, nursery: trio.Nursery, trust: Trust, wake: Callable[[], None]) -> None:
        self._nursery = nursery
        self._trust = trust
        self._wake = wake
        try:
            self._epoll = select.epoll()
        except OSError as error:
            raise LocalError(f"health checks cannot start: {error.strerror}") from error
        self._connecting: dict[int, _Connecting[K]] = {}
        self._ended: list[tuple[K, _Asking[K], CheckResult]] = []

    def __enter__(self) -> Checker[K]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connecting in tuple(self._connecting.values()):
            connecting.cancel()
        self._epoll.close()

    def start(self, key: K, monitor: Monitor) -> Flight | CheckResult:
        """Starts a check; the result at once where there is nothing to wait for."""
        if monitor.protocol == "tcp":
            return self._connect(key, monitor)
        if monitor.protocol == "none":
            return NOTHING_ASKED
        asking = _Asking(key, self._ended, self._wake)
        self._nursery.start_soon(asking.run, monitor, self._trust)
        return asking

    def _connect(self, key: K, monitor: Monitor) -> Flight | CheckResult:
        try:
            sock = tcp.begin(monitor.host, monitor.port)
        except CheckFailed as failure:
            return failure.result
        try:
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
        except OSError as error:  # no memory, or too many watched already: epoll_ctl(2)
            sock.close()
            return failed_at_once(error.errno or 0)
        return _Connecting(key, sock, monitor.port, self._connecting)

    async def wait(self) -> None:
        """Returns when a tcp check may have ended."""
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def collect(self) -> list[tuple[K, CheckResult]]:
        """Results that have come since, at most `BATCH_MAX` of tcp checks; never waits."""
        results = []
        for fd, _ in self._epoll.poll(0, BATCH_MAX):
            connecting = self._connecting[fd]
            result = tcp.finish(connecting.sock, connecting.port)
            connecting.cancel()
            results.append((connecting.key, result))
        for key, asking, result in self._ended:
            if not asking.cancelled:
                results.append((key, result))
        self._ended.clear()
        return results


class _Connecting(Generic[K]):
    """A tcp check under way."""

    __slots__ = ("_all", "_fd", "key", "port", "sock")

    def __init__(
        self, key: K, sock: socket.socket, port: int, connecting: dict[int, _Connecting[K]]
    ) -> None:
        self.key = key
        self.sock = sock
        self.port = port
        self._fd = sock.fileno()
        self._all = connecting
        connecting[self._fd] = self

    def cancel(self) -> None:
        if self._all.get(self._fd) is self:
            del self._all[self._fd]
            self.sock.close()  # which takes it out of the epoll set, epoll(7)


class _Asking(Generic[K]):
    """An http or https check under way."""

    __slots__ = ("_ended", "_key", "_scope", "_wake", "cancelled")

    def __init__(
        self,
        key: K,
        ended: list[tuple[K, _Asking[K], CheckResult]],
        wake: Callable[[], None],
    ) -> None:
        self._key = key
        self._ended = ended
        self._wake = wake
        self._scope = trio.CancelScope()
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self._scope.cancel()

    async def run(self, monitor: Monitor, trust: Trust) -> None:
        with self._scope:
            result = await ask(monitor, trust)
            self._ended.append((self._key, self, result))
            self._wake()


async def ask(monitor: Monitor, trust: Trust) -> CheckResult:
    """One check of any protocol, without a time-out."""
    match monitor.protocol:
        case "tcp":
            return await tcp.check(monitor)
        case "http":
            return await http.check(monitor)
        case "https":
            try:
                context = trust.context()
            except CheckFailed as failure:
                return failure.result
            return await http.check(monitor, context)
        case "none":
            return NOTHING_ASKED


async def check(monitor: Monitor, clock: Clock, trust: Trust | None = None) -> CheckResult:
    """One check of any protocol, by itself, ended by the monitor's time-out."""
    began_at = clock.now().mono
    result = timed_out(monitor.timeout_s)
    with trio.move_on_after(monitor.timeout_s):
        result = await ask(monitor, trust or Trust())
    return result._replace(duration_s=clock.now().mono - began_at)
