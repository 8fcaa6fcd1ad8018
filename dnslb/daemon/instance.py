"""One running dnslb: its parts, wired, in one nursery, from the first socket to the last byte.

Not the process (`main.py` has signals and exit codes) and not the deciding (`dnslb.decide`).

Order of start: state directory, sockets, state, provider, lease, sources; ready. Order of stop
(`safety.md` 5.7): take no plan, finish or cut off the write under way, release the lease, mark
the clean stop, close.

Law: nothing is written to DNS by any other way than reconciler, zone worker, lease gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from dnslb.control.handlers import Handlers
from dnslb.daemon import registry
from dnslb.daemon.commits import CommitQueue
from dnslb.daemon.config import Config
from dnslb.daemon.doors import Doors
from dnslb.daemon.event_log import EventLog
from dnslb.daemon.mailbox import Mailbox
from dnslb.daemon.marker_survey import newest_epoch
from dnslb.daemon.monitor_list_worker import MonitorListWorker
from dnslb.daemon.notices import Notices
from dnslb.daemon.observations import Observations
from dnslb.daemon.operations import DaemonOperations, LeaderOperations
from dnslb.daemon.reconcile import Reconciler
from dnslb.daemon.resting import CUT_OFF_S_MAX, STORE_S_MAX, RestingWorkers, finish_writes
from dnslb.daemon.source_desk import SourceDesk
from dnslb.daemon.voting_agents import VotingAgents
from dnslb.daemon.write_gate import WriteGate
from dnslb.daemon.zone_worker import Hands
from dnslb.decide.controller import Controller
from dnslb.decide.events import (
    Event,
    LeaseChanged,
    LoopStalled,
    MembersCompared,
    PublicationChecked,
    ReportArrived,
    SettingsChanged,
    StateLoaded,
    Woke,
)
from dnslb.decide.settings import Settings
from dnslb.election.surroundings import Surroundings
from dnslb.metrics.counters import Counters
from dnslb.model.capabilities import Capabilities
from dnslb.model.checkpoint import StoredState
from dnslb.model.command import Command, CommandReply
from dnslb.model.lease import Lease
from dnslb.model.operator import Pause
from dnslb.model.publication import Sighting
from dnslb.model.report import Report
from dnslb.model.status import LogEntry, Status
from dnslb.net.clock import Clock, StallWatch
from dnslb.net.watchable import Watchable, wait_first
from dnslb.ports.operations import Operations
from dnslb.ports.source import Source
from dnslb.ports.verifier import Verifier

if TYPE_CHECKING:
    from dnslb.daemon.raft_parts import RaftParts

STOP_S_MAX = 4.5
"""From the request to the end; what is not done by then is cut off."""


class Instance:
    """``more_sources``: beside those of the configuration, as the demo has them."""

    def __init__(
        self, config: Config, *, clock: Clock | None = None, more_sources: Sequence[Source] = ()
    ) -> None:
        self.config = config
        self.clock = clock or Clock()
        self.counters = Counters()
        self.notices = Notices(lambda: self.clock.now().wall, self._redraw)
        self.log = EventLog()
        self._mailbox = Mailbox()
        self._observations = Observations(self.counters)
        self.publication: registry.Publication | None = None
        self._verifier: Verifier | None = None
        self._raft: RaftParts | None = None
        self._handlers: Handlers | None = None
        self._voting = VotingAgents(config.instance_id, ())
        self._more_sources = more_sources
        self.ready = trio.Event()
        self._stop_asked = trio.Event()
        self._phase: str | None = "starting"
        self._loaded = trio.Event()
        closed = "dry run: nothing is written" if config.dry_run else None
        self._gate = WriteGate(self.clock, self._pauses, closed=closed)

    # ------------------------------------------------------------------------------- its life

    async def run(self) -> None:
        """Runs until `stop` was called and everything has ended. Raises `DnslbError` (in a
        group, once tasks run) when it cannot start or must not go on."""
        config = self.config
        self.publication = registry.make_publication(config, self.clock, beside=config.dry_run)
        if self.publication is not None:
            self._verifier = registry.make_verifier(config, self.publication, self.clock)
        self._election = registry.make_election(
            config, self.clock, lambda: self._gate.lease, self.counters, self._surroundings
        )
        raft = self._election.raft
        if raft is not None:
            self._voting = VotingAgents(config.instance_id, raft.member.voters)
            # A dry run stands for no election, and votes in none.
            self._raft = raft = None if config.dry_run else raft
        if raft is not None and self.publication is not None:
            self.publication = raft.guarded(self.publication)
        self._settings = config.to_settings(self.capabilities, self._voting.agents)
        self.doors = doors = Doors(config, self.counters)
        self._wire()
        try:
            await doors.open()
            await self._election.open()
            if raft is not None:
                await raft.door.open()
            await self.sources.open()
            async with trio.open_nursery() as nursery:
                handlers = await nursery.start(self._serve_doors, self.capabilities.fenced)
                self._handlers = handlers
                if raft is not None:
                    await nursery.start(raft.run, handlers)
                await self._work()
                doors.shut()
                if raft is not None:
                    raft.shut()
                nursery.cancel_scope.deadline = self.clock.now().mono + CUT_OFF_S_MAX
        finally:
            await doors.aclose()
            if raft is not None:
                await raft.door.aclose()
            await self.sources.aclose()
            if self.publication is not None:
                with trio.move_on_after(CUT_OFF_S_MAX, shield=True):
                    await self.publication.aclose()
            with trio.move_on_after(CUT_OFF_S_MAX, shield=True):
                await self._election.aclose()
            self._election.close()

    def _wire(self) -> None:
        controller = Controller()
        first = controller.step(SettingsChanged(self._settings), self.clock.now())
        assert controller.status is not None
        self.status: Watchable[Status] = Watchable(controller.status)
        self.operations = DaemonOperations(self.status, self.log, self.clock, self._tell)
        more = [*self._more_sources]
        if self._raft is not None:
            more.append(self._raft.member.source)
        self._commits = CommitQueue(self._election.store, self._tell)
        self.sources = SourceDesk(
            self.config,
            self.clock,
            self._settings,
            self._deliver,
            self.notices,
            self.counters,
            more,
        )
        self._reconciler = Reconciler(
            controller,
            self._mailbox,
            clock=self.clock,
            hands=self._hands(),
            commits=self._commits,
            elector=self._election.elector,
            log=self.log,
            publish=self._publish_status,
            answer=self.operations.answer,
            verifier=self._verifier,
            monitor_list=self._monitor_list_worker(),
        )
        self._reconciler.carry_out(first)

    def _hands(self) -> Hands | None:
        publication = self.publication
        if publication is None:
            return None
        hands = Hands(
            publication.provider, self._gate, self.clock, self._tell, fence=publication.fence
        )
        confirm = self._election.confirm
        return hands if confirm is None else replace(hands, confirm=confirm)

    def _monitor_list_worker(self) -> MonitorListWorker | None:
        store = self.sources.monitor_list
        if store is None:
            return None
        took_ms = self.counters.etcd_monitor_sync_ms
        return MonitorListWorker(
            store,
            self._gate,
            self.clock,
            self.notices,
            observe_s=lambda seconds: took_ms.observe(seconds * 1000),
            on_error=self.counters.count_etcd_error,
        )

    async def _serve_doors(
        self, fenced: bool, *, task_status: trio.TaskStatus[Handlers] = trio.TASK_STATUS_IGNORED
    ) -> None:
        operations: Operations = self.operations
        if self._election.perform is not None and not self.config.dry_run:
            operations = LeaderOperations(operations, self._election.perform)
        await self.doors.serve(
            operations,
            self._election.cluster,
            self.clock,
            lambda: self._phase,
            lease=lambda: self._gate.lease,
            fenced=fenced,
            elsewhere=None if self._raft is None else self._raft.member.read,
            round_trip_s=self.sources.round_trip_s,
            task_status=task_status,
        )

    async def _work(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reconciler.run)
            nursery.start_soon(self._election.store.run, self._publish_state)
            # What keeps the state may be away for long, and a stop is asked for meanwhile.
            await wait_first(self._loaded, self._stop_asked)
            if not self._loaded.is_set():
                nursery.cancel_scope.cancel()
                return
            if not self.config.dry_run:
                nursery.start_soon(self._election.elector.run, self._publish_lease)
            await nursery.start(self.sources.run)
            nursery.start_soon(StallWatch(self._stalled).run)
            if self.publication is not None and self.publication.run is not None:
                nursery.start_soon(self.publication.run, self.notices)
            if self._verifier is not None:
                nursery.start_soon(self._verifier.run, self._take_sighting)
            self._phase = None
            self.ready.set()
            await self._stop_asked.wait()
            await self._wind_down()
            nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """Asks the instance to end; `run` returns when it has. Asking again changes nothing."""
        self._phase = "stopping"
        self._stop_asked.set()

    async def _wind_down(self) -> None:
        with trio.move_on_after(STOP_S_MAX):
            self._phase = "stopping"
            self._gate.closed = "not sent: this instance is stopping"
            self.operations.stopping = True
            self.doors.shut_control()
            self.sources.stop()
            finished = await finish_writes(self._gate)
            with trio.move_on_after(STORE_S_MAX):
                await self._wait_quiet()
            if self.config.dry_run:
                return
            await self._election.leave()
            if finished:
                await self._election.record_clean_stop()

    async def _wait_quiet(self) -> None:
        """Until what the last write changed has been stored."""
        while len(self._mailbox) or self._commits.is_busy:
            await self._mailbox.wait_empty()
            await self._commits.wait_idle()

    # ------------------------------------------------------------------------- in a cluster

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            workers=RestingWorkers(self._gate, self._wait_quiet),
            perform=self._perform,
            read=self._read,
            stop=self.stop,
            note=self.note,
            notices=self.notices,
            voters=self._take_voters,
            agreed=lambda digest: self._tell(MembersCompared(digest)),
            newest_epoch=lambda: newest_epoch(
                self.publication, self.config.owner_id or "", self._settings.by_name
            ),
        )

    async def _perform(self, command: Command, timeout_s: float) -> CommandReply:
        return await self.operations.perform(command, timeout_s)

    async def _read(self, path: str, parameters: Mapping[str, str]) -> bytes:
        assert self._handlers is not None
        return await self._handlers.read(path, parameters)

    def _take_voters(self, voters: tuple[str, ...]) -> None:
        self._voting.change(voters)
        self._use_agents()

    def _use_agents(self) -> None:
        agents = self.config.agents or self._voting.agents
        if agents != self._settings.agents:
            self._use(replace(self._settings, agents=agents))
            assert self._raft is not None
            for report in self._raft.member.source.heard:
                self._tell(ReportArrived(report))

    # ------------------------------------------------------------------------ edges of its parts

    async def _deliver(self, report: Report) -> None:
        """`dnslb.ports.source.Deliver`: to the controller, and to the other members."""
        if self._raft is not None:
            self._raft.member.report(report)
            if self._voting.take(report):
                self._use_agents()
        await self._mailbox.deliver(report)

    def _tell(self, event: Event) -> None:
        self._observations.take_event(event)
        self._mailbox.put_nowait(event)

    def _publish_state(self, state: StoredState, guard_age_s: float) -> None:
        self._tell(StateLoaded(state, guard_age_s))
        self._loaded.set()

    def _publish_lease(self, lease: Lease | None) -> None:
        # The gate first: it must know in the same turn of the loop.
        before = self._gate.lease
        self._gate.set_lease(lease)
        if lease is not None:
            # A lease that is prolonged ten times a second is news for the gate alone: whoever
            # decides is told of its end.
            lease = replace(lease, good_until_boot=math.inf)
            if before is not None and before.token == lease.token:
                return
        self._tell(LeaseChanged(lease))

    def _take_sighting(self, sighting: Sighting) -> None:
        self._tell(PublicationChecked(sighting))

    def _publish_status(self, status: Status) -> None:
        self._observations.take_status(status)
        if self._raft is not None:
            self._raft.member.tell_needs(status.attention)
        self.status.set(self.notices.added_to(status))

    def _stalled(self, late_s: float) -> None:
        self.sources.void_in_flight()
        self._tell(LoopStalled(late_s))

    def _pauses(self) -> Mapping[str, Pause]:
        return self.status.value.operator.pauses

    # ------------------------------------------------------------------------------- a reload

    @property
    def capabilities(self) -> Capabilities:
        """Those of the provider, once `run` has begun."""
        publication = self.publication
        return Capabilities() if publication is None else publication.provider.capabilities

    def reconfigure(self, config: Config) -> None:
        """Puts into force what a running instance can change; the rest stays as it was."""
        old = self._settings
        self._election.reload(config)
        settings = replace(
            config.to_settings(self.capabilities, self._voting.agents),
            provider=old.provider,
            local_agent=old.local_agent,
            dry_run=old.dry_run,
            unverified=old.unverified,
            keeps_monitor_list=old.keeps_monitor_list,
        )
        if self.publication is not None:
            self.publication.reload(config)
        self._use(settings)

    def _use(self, settings: Settings) -> None:
        self._settings = settings
        self.sources.reconfigure(settings)
        self._tell(SettingsChanged(settings))

    def _redraw(self) -> None:
        """Has the picture drawn anew, with the notices as they are."""
        self._tell(Woke())

    def note(self, kind: str, message: str, **fields: object) -> None:
        """An entry of the event log about the process itself."""
        self.log.append(LogEntry(self.clock.now().wall, kind, message, fields))

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._settings
