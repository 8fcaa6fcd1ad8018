"""Draws the status: one immutable picture per step, sharing whatever did not change.

Translates the controller's parts into `model.status` and nothing else; decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from dnslb.decide import attention
from dnslb.decide.agents import AgentLedger
from dnslb.decide.attention import AttentionList, Row
from dnslb.decide.balancer import Balancer
from dnslb.decide.gate import Gate
from dnslb.decide.settings import Settings
from dnslb.decide.store import Store
from dnslb.decide.tally import Tally
from dnslb.decide.writer import Writer
from dnslb.decide.zones import Zones
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.report import VOTE_WORDS
from dnslb.model.status import ChangeView, LoadBalancerView, Status

AGENTS_START_S = 15.0
"""How long agents may take to report for the first time before that is worth a row."""


class Resigned(NamedTuple):
    """The right to write that this instance gave up, and why; None again with a new one."""

    token: FencingToken
    why: str


class Picture:
    def __init__(self) -> None:
        self.status: Status | None = None
        self.started_due: float | None = None
        self._started_mono: float | None = None
        self._views: Mapping[str, LoadBalancerView] = {}
        self._rows: dict[str, list[Row]] = {}
        self._attention = AttentionList()
        self._changes: tuple[ChangeView, ...] = ()
        self._changes_revision = -1
        self._revision = 0
        self._released: tuple[str, ...] = ()
        self._released_basis: object = None

    def draw(
        self,
        settings: Settings,
        balancers: Mapping[str, Balancer],
        dirty: Collection[str],
        agents: AgentLedger,
        zones: Zones,
        writer: Writer,
        store: Store,
        gate: Gate,
        lease: Lease | None,
        resigned: Resigned | None,
        tally: Tally,
        counters: Mapping[str, float],
        now: Now,
    ) -> Status:
        self._take_views(balancers, dirty)
        if writer.ledger.revision != self._changes_revision:
            self._changes_revision = writer.ledger.revision
            self._changes = writer.ledger.views()
        released = self._released_names(balancers, store)
        agent_views = agents.views()
        rows = [row for rows in self._rows.values() for row in rows]
        rows += attention.of_agents(agent_views, settings.quorum, self._started(now))
        rows += self._provider_rows(settings, zones, writer, now)
        if lease is not None and store.error is not None:
            rows.append(attention.of_store(store.error))
        if resigned is not None:
            rows.append(attention.of_resigned(resigned.why))
        rows += attention.of_released(released)
        rows += attention.of_operator(store.operator, now)
        self._revision += 1
        self.status = Status(
            revision=self._revision,
            at=now,
            monitors=settings.monitors,
            loadbalancers=self._views,
            agents=agent_views,
            zones={name: zone.to_view() for name, zone in zones.by_name.items()},
            changes=self._changes,
            lease=lease,
            gate=gate.closed or gate.no_withdrawals,
            operator=store.operator,
            released=released,
            attention=self._attention.take(rows, now),
            dry_run=settings.dry_run,
            counters=dict(counters),
            verdicts={w: tally.states.count(byte) for byte, w in enumerate(VOTE_WORDS)},
        )
        return self.status

    def _take_views(self, balancers: Mapping[str, Balancer], dirty: Collection[str]) -> None:
        if not dirty and len(self._views) == len(balancers):
            return
        views = dict(self._views)
        for name in views.keys() - balancers.keys():
            del views[name]
        views.update((n, view) for n in dirty if (view := balancers[n].view) is not None)
        self._views = views
        for name in self._rows.keys() - balancers.keys():
            del self._rows[name]
        for name in dirty:
            if (view := self._views.get(name)) is not None:
                if rows := attention.of_loadbalancer(view):
                    self._rows[name] = rows
                else:
                    self._rows.pop(name, None)

    def _released_names(self, balancers: Mapping[str, Balancer], store: Store) -> tuple[str, ...]:
        """Names that are ours and not configured; found anew only when either changed."""
        basis = (store.memory.version, store.memory.loads, id(balancers))
        if basis != self._released_basis:
            self._released_basis = basis
            names = {k.name for k in store.memory.owned if k.name not in balancers}
            self._released = tuple(sorted(names))
        return self._released

    def _started(self, now: Now) -> bool:
        """Whether every agent has had the time to report."""
        if self._started_mono is None:
            self._started_mono = now.mono
        due = self._started_mono + AGENTS_START_S
        started = now.mono >= due
        self.started_due = None if started else due
        return started

    def _provider_rows(
        self,
        settings: Settings,
        zones: Zones,
        writer: Writer,
        now: Now,
    ) -> list[Row]:
        rows: list[Row] = []
        if settings.provider is None:
            if settings.loadbalancers:
                text = "no provider is configured, so verdicts are shown and nothing is published"
                rows.append(Row("info", "no-provider", "dnslb", text, "configure a provider"))
            return rows
        if settings.dry_run:
            text = "this is a dry run: nothing is written, changes are only shown"
            rows.append(Row("info", "dry-run", "dnslb", text, "start without -dry-run to write"))
        for zone in zones.by_name.values():
            rows += attention.of_zone(zone, now)
            if settings.unverified is None:
                rows += attention.of_publication(zone)
        rows += attention.of_unasked(zones.unasked(), now)
        rows += [attention.of_unserved(name) for name in zones.unserved()]
        rows += attention.of_held(writer.ledger.held.values())
        for plan in writer.plans.values():
            rows += attention.of_troubles(plan.troubles)
        return rows
