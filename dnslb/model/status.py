"""One immutable picture of everything an operator may ask; control, metrics and console render it.

It holds instants, never ages: ages are computed when it is rendered. A load balancer's view is
the same object until something in it changed, so a renderer can tell by identity what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from dnslb.model.instant import Now
from dnslb.model.lease import Lease
from dnslb.model.loadbalancer import Endpoint, MonitorList
from dnslb.model.operator import OperatorState, Override
from dnslb.model.plan import Cause
from dnslb.model.publication import Lag
from dnslb.model.report import Report
from dnslb.model.rrset import RRsetKey
from dnslb.model.verdict import Verdict, VerdictState

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
LoadBalancerState = Literal["healthy", "degraded", "down", "unknown"]
ChangeState = Literal["pending", "held", "applying", "applied", "published", "failed", "superseded"]


class Attention(NamedTuple):
    """Something that needs a person: what, since when (wall), and the next step."""

    severity: Severity
    kind: str
    subject: str
    since_wall: float
    sentence: str
    next: str


class LogEntry(NamedTuple):
    """One line of the event log; ``fields`` are plain values, free of secrets."""

    at_wall: float
    kind: str
    message: str
    fields: Mapping[str, object]


class EndpointView(NamedTuple):
    """``since_wall``: when the verdict last changed. ``counts_as``: after damping and overrides.

    ``monitor_index`` finds the agents' votes in their reports; None when not in the list.
    """

    endpoint: Endpoint
    verdict: Verdict
    counts_as: Literal["living", "dead", "unknown", "drained"]
    since_wall: float
    override: Override | None
    published: bool
    flaps: int
    reason: str
    monitor_index: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a load balancer's set was decided to be, and why."""

    at_wall: float
    desired: tuple[str, ...]
    rule: str
    sentence: str


@dataclass(frozen=True, eq=False)
class LoadBalancerView:
    """``published``: what the provider holds as last read or written; None while never read.

    ``living`` of ``total`` endpoints count as living. ``disputed``: endpoints on which fresh
    agents contradict each other without a majority. ``history``: earlier decisions, newest last,
    bounded. ``ttl`` (seconds) and ``min_published`` are as configured. The endpoints' views are
    drawn from ``draw`` when somebody first looks at them: of ten thousand that turn at once, few
    are ever looked at.
    """

    name: str
    zone: str | None
    state: LoadBalancerState
    living: int
    total: int
    disputed: tuple[str, ...]
    desired: tuple[str, ...]
    published: tuple[str, ...] | None
    rule: str
    sentence: str
    frozen: str | None
    history: tuple[Decision, ...]
    ttl: int
    min_published: int
    draw: Callable[[], tuple[EndpointView, ...]] = field(repr=False)

    @cached_property
    def endpoints(self) -> tuple[EndpointView, ...]:
        """In the order of the configuration; the same objects at each look."""
        return self.draw()


@dataclass(frozen=True, slots=True)
class AgentView:
    """``seen_mono``: when it last saw anything, on our monotonic clock; None: never."""

    name: str
    fresh: bool
    suspect: bool
    seen_mono: float | None
    report: Report | None
    healthy: int
    skew_s: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class ZoneView:
    """``blocked``: why nothing is written now (back-off, pause, refused), or None. ``error``: what
    the newest of ``failures`` in a row said, at ``failed_wall``; ``refused``: the only names that
    it concerns, none where it concerns all. ``lagging``, ``unasked``, ``unverified``: how
    publication goes, as in `publication.Sighting`."""

    name: str
    last_read_wall: float | None
    last_success_wall: float | None
    in_flight: bool
    failures: int
    error: str | None
    blocked: str | None
    lagging: tuple[Lag, ...] = ()
    unasked: tuple[str, ...] = ()
    unverified: str | None = None
    failed_wall: float | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change to one RRset through its life; wall instants."""

    id: str
    zone: str
    key: RRsetKey
    before: tuple[str, ...]
    after: tuple[str, ...]
    ttl: int
    reason: str
    cause: Cause
    state: ChangeState
    created_wall: float
    plan_id: str | None = None
    not_before_wall: float | None = None
    attempts: int = 0
    error: str | None = None
    applied_wall: float | None = None
    published_wall: float | None = None
    decided_to_applied_s: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """``gate``: why no write may go out yet (cold start, waiting out a predecessor), or None."""

    revision: int
    at: Now
    monitors: MonitorList
    loadbalancers: Mapping[str, LoadBalancerView]
    agents: tuple[AgentView, ...]
    zones: Mapping[str, ZoneView]
    changes: tuple[ChangeView, ...]
    lease: Lease | None
    gate: str | None
    operator: OperatorState
    released: tuple[str, ...]
    attention: tuple[Attention, ...]
    dry_run: bool
    counters: Mapping[str, float]
    """Monotonic totals since the start, by name: writes, failures, withdrawals held, ..."""
    verdicts: Mapping[VerdictState, int] | None = None
    """How many monitors have each verdict; None while nobody has counted."""

    @property
    def paused(self) -> bool:
        return bool(self.operator.pauses)
