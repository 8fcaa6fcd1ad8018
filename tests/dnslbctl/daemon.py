"""A daemon for dnslbctl to talk to: the real control server over pictures that a test sets.

It runs in a thread of its own, since dnslbctl blocks; the tests beside it are plain functions.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from dnslb.control.server import ControlServer
from dnslb.control.views import InstanceInfo
from dnslb.control.votes import RoundTrip, unmeasured
from dnslb.model.instant import Now
from dnslb.model.status import Status
from dnslb.net.clock import Clock
from dnslb.net.listen import open_unix
from tests.doubles.operations import INFO, NOW, Shown


class StillClock(Clock):
    """It is always `NOW`, so what is shown repeats exactly."""

    def now(self) -> Now:
        return NOW


class Daemon:
    def __init__(
        self, path: Path, shown: Shown, info: InstanceInfo, round_trip_s: RoundTrip = unmeasured
    ) -> None:
        self.path = path
        self.shown = shown
        self.errors: list[Exception] = []
        self._info = info
        self._round_trip_s = round_trip_s
        self._started = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._server: ControlServer | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._server = ControlServer(
            self.shown,
            self.shown,
            self._info,
            StillClock(),
            on_error=self.errors.append,
            round_trip_s=self._round_trip_s,
        )
        listener = await open_unix(self.path)
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda **given: self._serve(listener, **given))
            self._started.set()

    async def _serve(self, listener: object, **given: object) -> None:
        assert self._server is not None
        await self._server.serve([listener], **given)  # type: ignore[list-item, arg-type]

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # the test stopped it
            self.stop_soon()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def say_soon(self, entry: object) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self.shown.say, entry)  # type: ignore[arg-type]

    def stop_soon(self) -> None:
        assert self._token is not None
        assert self._server is not None
        self._token.run_sync_soon(self._server.shutdown)


@contextmanager
def running(path: Path, status: Status, **given: object) -> Iterator[Daemon]:
    """``given``: for `Shown`, but ``info`` and ``round_trip_s``."""
    info = given.pop("info", INFO)
    assert isinstance(info, InstanceInfo)
    round_trip_s: Any = given.pop("round_trip_s", unmeasured)
    daemon = Daemon(path, Shown(status, **given), info, round_trip_s)  # type: ignore[arg-type]
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
    assert daemon.errors == []
