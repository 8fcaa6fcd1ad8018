"""Keeps the monitor list where agents elsewhere fetch it: writes it, and mends it.

It carries out; that this instance is the one to do so is the controller's word, and the gate's.

Law (`safety.md` 3.6): the lease holder alone writes it, by the same gate as DNS, with no wait
between gate and sending. Who is contradicted again and again writes ever more slowly and says so;
two that fight over a list would only make every agent start anew all the time.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable

import trio

from dnslb.daemon.write_gate import WriteGate
from dnslb.decide.intents import KeepMonitorList
from dnslb.errors import SourceError
from dnslb.model.lease import FencingToken
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.ports.monitor_list import MonitorListStore, PreparedListing
from dnslb.ports.noticeboard import Noticeboard

log = logging.getLogger(__name__)

PREPARE_S_MAX = 10.0
SEND_S_MAX = 5.0
CALM_S = 600.0
"""Writes older than this say nothing about a rival."""
RIVAL_WRITES = 3
WRITES_KEPT = 32
FAILED, CONTESTED = "monitor-list", "monitor-list-contested"
_BREATH_S = 0.5
"""After each look: the list was right after all, or the gate is shut for a moment."""
_AFTER_FAILURE = Backoff(first_s=0.5, max_s=30.0, jitter=0.5)
_AFTER_RIVAL = Backoff(first_s=5.0, max_s=300.0, jitter=0.5)


class MonitorListWorker:
    """``observe_s`` gets the seconds that each write took; ``on_error`` is called for each that
    failed."""

    def __init__(
        self,
        store: MonitorListStore,
        gate: WriteGate,
        clock: Clock,
        notices: Noticeboard,
        *,
        observe_s: Callable[[float], None] = lambda seconds: None,
        on_error: Callable[[], None] = lambda: None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._notices = notices
        self._observe_s = observe_s
        self._on_error = on_error
        self._luck = luck
        self._wanted: KeepMonitorList | None = None
        self._changed = trio.Event()
        self._scope: trio.CancelScope | None = None
        self._writes: deque[float] = deque(maxlen=WRITES_KEPT)

    def keep_nowait(self, wanted: KeepMonitorList) -> None:
        """From now on this list, or none; what is under way for an older one is cut off."""
        self._wanted = wanted
        self._changed.set()
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            self._changed = trio.Event()
            wanted = self._wanted
            if wanted is not None and wanted.token is not None:
                with trio.CancelScope() as self._scope:
                    await self._keep(wanted, wanted.token)
                self._scope = None
            else:
                self._notices.clear(FAILED)
                self._notices.clear(CONTESTED)
                await self._changed.wait()

    async def _keep(self, wanted: KeepMonitorList, token: FencingToken) -> None:
        failures = 0
        self._writes.clear()
        while True:
            if not failures:
                await self._wait_differs(wanted)
            await trio.sleep(self._pause_s())
            try:
                if await self._write(wanted, token):
                    self._count_write()
            except SourceError as error:
                failures += 1
                self._say_failed(error)
                await trio.sleep(_AFTER_FAILURE.delay_s(failures, self._luck()))
            else:
                failures = 0
                self._notices.clear(FAILED)
                await trio.sleep(_BREATH_S)

    async def _wait_differs(self, wanted: KeepMonitorList) -> None:
        if self._writes:
            with trio.move_on_after(CALM_S):
                await self._store.wait_differs(wanted.monitors)
                return
            self._writes.clear()
            self._notices.clear(CONTESTED)
        await self._store.wait_differs(wanted.monitors)

    async def _write(self, wanted: KeepMonitorList, token: FencingToken) -> bool:
        """Whether the list was written."""
        if self._gate.refuses_token(token) is not None:
            return False
        prepared: PreparedListing | None = None
        with trio.move_on_after(PREPARE_S_MAX) as scope:
            prepared = await self._store.prepare(wanted.monitors)
        if scope.cancelled_caught:
            raise SourceError(f"reading it took longer than {PREPARE_S_MAX:g} s")
        if prepared is None or self._gate.refuses_token(token) is not None:
            return False
        began_mono = self._clock.now().mono
        with self._gate.pass_through(token, SEND_S_MAX):
            await prepared.send()
            self._observe_s(self._clock.now().mono - began_mono)
            # How many stand there is the store's to say: it leaves out what old agents cannot read.
            log.info("the monitor list was written")
            return True
        raise SourceError("the write was cut off, so whether it was done is not known")

    # --------------------------------------------------------------------------------- a rival

    def _count_write(self) -> None:
        now_mono = self._clock.now().mono
        self._writes.append(now_mono)
        while self._writes[0] < now_mono - CALM_S:
            self._writes.popleft()
        if (count := len(self._writes)) >= RIVAL_WRITES:
            sentence = (
                f"the monitor list was written {count} times within {CALM_S / 60:g} minutes, and "
                "each time somebody else replaced it, so it is written ever more slowly"
            )
            step = "find the other writer: a second installation, or the Go program"
            self._notices.put("warning", CONTESTED, "monitors", sentence, step)

    def _pause_s(self) -> float:
        rival = len(self._writes) - RIVAL_WRITES + 1
        return _AFTER_RIVAL.delay_s(rival, self._luck()) if rival > 0 else 0.0

    def _say_failed(self, error: SourceError) -> None:
        self._on_error()
        sentence = (
            f"the monitor list cannot be written, so agents go on with the one they have: {error}"
        )
        step = "see the sentence; dnslb goes on trying"
        self._notices.put("warning", FAILED, "monitors", sentence, step)
        log.warning("%s", sentence)
