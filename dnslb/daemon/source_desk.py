"""The sources of one instance: which run, what they are to check, and when they must begin anew.

Not a source itself, and not the judge of reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from dnslb.daemon import registry
from dnslb.daemon.config import Config
from dnslb.decide.settings import Settings
from dnslb.metrics.counters import Counters
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.net.clock import Clock
from dnslb.net.watchable import Watchable
from dnslb.ports.monitor_list import MonitorListStore
from dnslb.ports.noticeboard import Noticeboard
from dnslb.ports.source import Deliver, Source


class SourceDesk:
    """The prober runs while this instance is one of the agents, the receiver and etcd always."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        settings: Settings,
        deliver: Deliver,
        notices: Noticeboard,
        counters: Counters,
        more: Sequence[Source] = (),
    ) -> None:
        self._config = config
        self._clock = clock
        self._settings = settings
        self._deliver = deliver
        self._more = more
        self._monitors: Watchable[MonitorList] = Watchable(settings.monitors)
        self._agents: Watchable[tuple[str, ...]] = Watchable(settings.agents)
        self._store = registry.make_store_source(config, clock, self._agents, notices, counters)
        receiver = registry.make_receiver(config, clock, lambda: self._agents.value)
        self._opened = [source for source in (receiver, self._store) if source is not None]
        self._prober: registry.LocalSource | None = None
        self._prober_scope: trio.CancelScope | None = None
        self._nursery: trio.Nursery | None = None

    @property
    def monitor_list(self) -> MonitorListStore | None:
        """Where agents that do not ask us find the monitor list, if anywhere."""
        return self._store

    async def open(self) -> None:
        """Opens what listens, and files. Raises `TlsError` or `ListenError`."""
        for source in self._opened:
            await source.open()

    async def aclose(self) -> None:
        for source in self._opened:
            with trio.move_on_after(1, shield=True):
                await source.aclose()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs all sources until cancelled or stopped."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for source in (*self._opened, *self._more):
                nursery.start_soon(source.run, self._deliver, self._monitors)
            self._fit_prober()
            task_status.started()
            await trio.sleep_forever()

    def stop(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def reconfigure(self, settings: Settings) -> None:
        self._settings = settings
        if settings.monitors != self._monitors.value:
            self._monitors.set(settings.monitors)
        if settings.agents != self._agents.value:
            self._agents.set(settings.agents)
        self._fit_prober()

    def void_in_flight(self) -> None:
        """The event loop stood still: what was being checked proves nothing."""
        if self._prober is not None:
            self._prober.void_in_flight()

    def round_trip_s(self, monitor: Monitor) -> float | None:
        """How long the answer to our own last check took; None where nobody here measured it."""
        return None if self._prober is None else self._prober.round_trip_s(monitor)

    def _fit_prober(self) -> None:
        """Starts or ends the prober as this instance joins or leaves the agents."""
        if self._nursery is None:
            return  # `run` begins with it
        wanted = self._config.instance_id in self._settings.agents
        if wanted and self._prober is None:
            self._prober = registry.make_prober(self._config, self._clock)
            self._nursery.start_soon(self._probe, self._prober)
        elif not wanted and self._prober_scope is not None:
            self._prober_scope.cancel()
            self._prober = self._prober_scope = None

    async def _probe(self, prober: registry.LocalSource) -> None:
        with trio.CancelScope() as scope:
            self._prober_scope = scope
            await prober.run(self._deliver, self._monitors)
