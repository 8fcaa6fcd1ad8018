"""The loop around the controller: facts in, one step each, intents out.

It decides nothing and waits for nothing but the mailbox and the controller's next deadline: what
takes time (zones, commits, resigning) is handed to tasks of their own, whose answers come back
through the mailbox, the only backward edge.

Law: intents are carried out in the order in which they came. What raises out of a step ends the
process: a controller that may be wrong must not go on (`safety.md` 4.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from dnslb.daemon.commits import CommitQueue
from dnslb.daemon.event_log import EventLog
from dnslb.daemon.mailbox import Mailbox
from dnslb.daemon.monitor_list_worker import MonitorListWorker
from dnslb.daemon.zone_finder import ZoneFinder
from dnslb.daemon.zone_worker import Hands, ZoneWorker
from dnslb.decide.events import Event, Woke
from dnslb.decide.intents import (
    Answer,
    Apply,
    Commit,
    FindZones,
    Intent,
    KeepMonitorList,
    Log,
    PublishStatus,
    ReadZone,
    Recall,
    Resign,
    TakeFence,
    Verify,
)
from dnslb.model.instant import Now
from dnslb.model.status import Status
from dnslb.net.clock import Clock
from dnslb.ports.elector import Elector
from dnslb.ports.verifier import Verifier


class Decider(Protocol):
    """`dnslb.decide.controller.Controller`, as this loop sees it."""

    def step(self, event: Event, now: Now) -> list[Intent]: ...

    def deadline(self) -> float | None: ...


class Reconciler:
    """``hands`` None: no provider, so the controller never asks for zones. ``publish`` gets each
    picture, ``answer`` the end of each operator's command. ``verifier`` None: nobody asks what
    the servers answer, and the settings say why. ``monitor_list`` None: agents fetch it nowhere,
    and the settings say so."""

    def __init__(
        self,
        controller: Decider,
        mailbox: Mailbox,
        *,
        clock: Clock,
        hands: Hands | None,
        commits: CommitQueue,
        elector: Elector,
        log: EventLog,
        publish: Callable[[Status], None],
        answer: Callable[[Answer], None],
        verifier: Verifier | None = None,
        monitor_list: MonitorListWorker | None = None,
    ) -> None:
        self._controller = controller
        self._mailbox = mailbox
        self._clock = clock
        self._hands = hands
        self._commits = commits
        self._elector = elector
        self._log = log
        self._publish = publish
        self._answer = answer
        self._verifier = verifier
        self._monitor_list = monitor_list
        self._finder = ZoneFinder(hands) if hands is not None else None
        self._workers: dict[str, ZoneWorker] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Runs until cancelled, with a worker for each zone that was ever named."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._commits.run)
            if self._finder is not None:
                nursery.start_soon(self._finder.run)
            if self._monitor_list is not None:
                nursery.start_soon(self._monitor_list.run)
            await self._loop()

    async def _loop(self) -> None:
        while True:
            due_mono = self._controller.deadline()
            deadline = float("inf") if due_mono is None else due_mono
            with trio.CancelScope(deadline=deadline):
                await self._mailbox.wait_filled()
            self._step(self._mailbox.take_nowait() or Woke())
            # One step at a time, others between: a flood of events never holds up the loop.
            while (event := self._mailbox.take_nowait()) is not None:
                await trio.lowlevel.checkpoint()
                self._step(event)

    def _step(self, event: Event) -> None:
        self.carry_out(self._controller.step(event, self._clock.now()))

    def carry_out(self, intents: Iterable[Intent]) -> None:
        """In their order; zones can be named only while `run` runs."""
        for intent in intents:
            self._carry_out(intent)

    def _carry_out(self, intent: Intent) -> None:
        match intent:
            case PublishStatus(status):
                self._publish(status)
            case Log(entry):
                self._log.append(entry)
            case Apply(plan):
                self._worker(plan.zone).apply_nowait(plan)
            case Recall(zone):
                self._worker(zone).recall_nowait()
            case TakeFence(zone, token):
                self._worker(zone).take_fence_nowait(token)
            case ReadZone(zone):
                self._worker(zone).read_nowait(intent)
            case FindZones(names):
                assert self._finder is not None
                self._finder.find_nowait(names)
            case Verify(zone, expected):
                assert self._verifier is not None
                self._verifier.expect_nowait(zone, expected)
            case KeepMonitorList():
                assert self._monitor_list is not None
                self._monitor_list.keep_nowait(intent)
            case Commit():
                self._commits.propose_nowait(intent)
            case Answer():
                self._answer(intent)
            case Resign(reason):
                assert self._nursery is not None
                self._nursery.start_soon(self._elector.resign, reason)

    def _worker(self, zone: str) -> ZoneWorker:
        worker = self._workers.get(zone)
        if worker is None:
            assert self._hands is not None
            assert self._nursery is not None
            worker = self._workers[zone] = ZoneWorker(zone, self._hands)
            self._nursery.start_soon(worker.run)
        return worker
