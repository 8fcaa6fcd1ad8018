"""Which metrics there are, made from one status and the daemon's counters.

Pure. The first group has the names, types and labels of the Go program, so that dashboards and
alerts go on working; what it called an etcd controller is here whoever brings the reports. The
others begin with ``dnslb_``.

Law: labels are load balancers, agents, zones and the servers of a zone that lag, never endpoints:
ten thousand endpoints make no more lines than their load balancers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dnslb.metrics.counters import Counters
from dnslb.metrics.exposition import Family, Histogram, Kind
from dnslb.model.cluster import ClusterView
from dnslb.model.instant import Now
from dnslb.model.report import VOTE_WORDS
from dnslb.model.status import SEVERITIES, ChangeState, LoadBalancerState, Status

LB_STATES: tuple[LoadBalancerState, ...] = ("healthy", "degraded", "down", "unknown")
CHANGE_STATES: tuple[ChangeState, ...] = ("pending", "held", "applying")
DNS_ERRORS = ("read_failures", "write_failures")
OTHER_ERRORS = ("commit_failures", "frozen")
"""Names in `Status.counters`, where ``name:LABEL`` is the total of one label."""


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What is told of the program and does not change while it runs."""

    version: str
    election: str
    provider: str
    instance_id: str
    started: Now


def families(
    status: Status, cluster: ClusterView, counters: Counters, build: BuildInfo, now: Now
) -> Iterator[Family | Histogram]:
    """All metrics of this moment, in the order in which they are shown."""
    yield from _inherited_totals(status, counters)
    yield from _inherited_state(status, now)
    yield from _verdicts(status)
    yield from _decisions(status, now)
    yield from _authority(status, cluster, now)
    yield from _process(status, counters, build, now)


def _one(name: str, kind: Kind, help_: str, value: float) -> Family:
    return Family(name, kind, help_, (), {(): float(value)})


def _by(name: str, kind: Kind, help_: str, label: str, values: Mapping[str, float]) -> Family:
    return Family(name, kind, help_, (label,), {(key,): value for key, value in values.items()})


def by_label(counters: Mapping[str, float], name: str) -> dict[str, float]:
    """Of the controller's totals those named ``name:LABEL``, by label."""
    prefix = f"{name}:"
    return {k.removeprefix(prefix): v for k, v in counters.items() if k.startswith(prefix)}


def total(counters: Mapping[str, float], *names: str) -> float:
    """The controller's totals of these names over all labels."""
    return sum(value for key, value in counters.items() if key.partition(":")[0] in names)


def _inherited_totals(status: Status, counters: Counters) -> Iterator[Family | Histogram]:
    dns_errors = total(status.counters, *DNS_ERRORS)
    errors = dns_errors + total(status.counters, *OTHER_ERRORS)
    errors += counters.etcd_errors + counters.kubernetes_errors + counters.faults
    yield _one("general_errors_total", "counter", "Errors of any kind.", errors)
    yield _one(
        "dnscontroller_errors_dns",
        "counter",
        "Failed reads and writes at the provider.",
        dns_errors,
    )
    yield _one(
        "dnscontroller_lb_updates_total",
        "counter",
        "Reports that were evaluated.",
        total(status.counters, "reports"),
    )
    yield _by(
        "dnscontroller_zone_updates_by_name",
        "counter",
        "Writes by zone.",
        "zone",
        by_label(status.counters, "writes"),
    )
    yield counters.dns_sync_ms
    yield _one("etcdcontroller_errors_etcd", "counter", "Errors at etcd.", counters.etcd_errors)
    yield counters.etcd_sync_ms
    yield counters.etcd_monitor_sync_ms


def _inherited_state(status: Status, now: Now) -> Iterator[Family | Histogram]:
    lbs = status.loadbalancers.values()
    agents = status.agents
    fresh = sum(agent.fresh for agent in agents)
    yield _one("etcdcontroller_agents_total", "gauge", "Configured agents.", len(agents))
    yield _one("etcdcontroller_agents_up", "gauge", "Agents whose report is fresh.", fresh)
    yield _one(
        "etcdcontroller_agents_down", "gauge", "Agents without a fresh report.", len(agents) - fresh
    )
    yield _by(
        "etcdcontroller_agents_status_age",
        "gauge",
        "Seconds since the agent was heard; absent when it never was.",
        "agent",
        {a.name: max(now.mono - a.seen_mono, 0.0) for a in agents if a.seen_mono is not None},
    )
    yield _by(
        "etcdcontroller_agent_healthy_endpoints",
        "gauge",
        "Monitors that the agent's fresh report calls up.",
        "agent",
        {a.name: a.healthy if a.fresh else 0 for a in agents},
    )
    yield _by(
        "etcdcontroller_lb_total_endpoints",
        "gauge",
        "Configured endpoints.",
        "lb",
        {lb.name: lb.total for lb in lbs},
    )
    yield _by(
        "etcdcontroller_lb_healthy_endpoints",
        "gauge",
        "Endpoints that count as living.",
        "lb",
        {lb.name: lb.living for lb in lbs},
    )
    yield _by(
        "etcdcontroller_lb_unhealthy_endpoints",
        "gauge",
        "Endpoints that count as dead, drained or unknown.",
        "lb",
        {lb.name: lb.total - lb.living for lb in lbs},
    )


def _verdicts(status: Status) -> Iterator[Family | Histogram]:
    lbs = status.loadbalancers.values()
    states = Counter(lb.state for lb in lbs)
    yield _by(
        "dnslb_loadbalancers",
        "gauge",
        "Load balancers by state.",
        "state",
        {state: states[state] for state in LB_STATES},
    )
    yield _by(
        "dnslb_published_addresses",
        "gauge",
        "Addresses in DNS as last read or written; absent while never read.",
        "lb",
        {lb.name: len(lb.published) for lb in lbs if lb.published is not None},
    )
    yield _by(
        "dnslb_frozen",
        "gauge",
        "1 for a load balancer whose evaluation failed.",
        "lb",
        {lb.name: 1 for lb in lbs if lb.frozen is not None},
    )
    if status.verdicts is not None:
        yield _by(
            "dnslb_verdicts",
            "gauge",
            "Monitors by the agents' verdict.",
            "verdict",
            {word: status.verdicts.get(word, 0) for word in VOTE_WORDS},
        )
    yield Family(
        "dnslb_votes",
        "gauge",
        "Votes that count, by agent.",
        ("agent", "vote"),
        {
            (agent.name, word): agent.report.votes.count(byte)
            for agent in status.agents
            if agent.fresh and agent.report is not None
            for byte, word in enumerate(VOTE_WORDS)
        },
    )
    yield _by(
        "dnslb_agent_suspect",
        "gauge",
        "1 for an agent that sees everything down while others do not.",
        "agent",
        {agent.name: agent.suspect for agent in status.agents},
    )


def _decisions(status: Status, now: Now) -> Iterator[Family | Histogram]:
    changes = Counter(change.state for change in status.changes)
    severities = Counter(row.severity for row in status.attention)
    yield _by(
        "dnslb_changes",
        "gauge",
        "Changes that are not over, by state.",
        "state",
        {state: changes[state] for state in CHANGE_STATES},
    )
    yield _one("dnslb_held_changes", "gauge", "Changes that wait for a person.", changes["held"])
    yield _one("dnslb_paused", "gauge", "Pauses in force.", len(status.operator.pauses))
    yield _one("dnslb_overrides", "gauge", "Overrides in force.", len(status.operator.overrides))
    yield _by(
        "dnslb_attention",
        "gauge",
        "What needs a person, by severity.",
        "severity",
        {severity: severities[severity] for severity in SEVERITIES},
    )
    yield _one(
        "dnslb_gate_closed", "gauge", "1 while no write may go out yet.", status.gate is not None
    )
    zones = status.zones.values()
    yield _by(
        "dnslb_zone_last_success_timestamp_seconds",
        "gauge",
        "When the zone was last written; absent when it never was.",
        "zone",
        {z.name: z.last_success_wall for z in zones if z.last_success_wall is not None},
    )
    yield _by(
        "dnslb_zone_last_read_timestamp_seconds",
        "gauge",
        "When the zone was last read; absent when it never was.",
        "zone",
        {z.name: z.last_read_wall for z in zones if z.last_read_wall is not None},
    )
    yield _by(
        "dnslb_zone_failures",
        "gauge",
        "Failures in a row at the zone.",
        "zone",
        {zone.name: zone.failures for zone in zones},
    )
    yield from _publication(status, now)


def _publication(status: Status, now: Now) -> Iterator[Family]:
    lags = [(zone.name, lag) for zone in status.zones.values() for lag in zone.lagging]
    yield Family(
        "dnslb_zone_server_lagging",
        "gauge",
        "RRsets that were applied and that the server does not answer yet; absent when none.",
        ("zone", "server"),
        {(zone, lag.server): lag.count for zone, lag in lags},
    )
    yield Family(
        "dnslb_zone_server_lag_seconds",
        "gauge",
        "How long ago the oldest of them was applied.",
        ("zone", "server"),
        {(zone, lag.server): max(now.wall - lag.since_wall, 0.0) for zone, lag in lags},
    )
    yield _by(
        "dnslb_zone_unverified",
        "gauge",
        "1 for a zone of which nobody can say whether its changes are published.",
        "zone",
        {zone.name: 1 for zone in status.zones.values() if zone.unverified is not None},
    )


def _authority(status: Status, cluster: ClusterView, now: Now) -> Iterator[Family]:
    lease = status.lease
    held = lease is not None and lease.holds(now.boot)
    yield _one("dnslb_leader", "gauge", "1 on the instance that leads.", cluster.role == "leader")
    yield _one(
        "dnslb_leader_known",
        "gauge",
        "1 while this instance knows a leader.",
        cluster.leader is not None,
    )
    yield _one("dnslb_lease_held", "gauge", "1 while this instance may write.", held)
    if lease is not None:
        yield _one(
            "dnslb_lease_remaining_seconds",
            "gauge",
            "How long the lease is still good.",
            max(lease.good_until_boot - now.boot, 0.0),
        )
    if cluster.term is not None:
        yield _one("dnslb_term", "gauge", "The term of the cluster.", cluster.term)
    yield _one("dnslb_members", "gauge", "Members of the cluster.", len(cluster.members))


def _process(
    status: Status, counters: Counters, build: BuildInfo, now: Now
) -> Iterator[Family | Histogram]:
    yield counters.decided_to_applied_s
    yield counters.applied_to_published_s
    names = sorted({key.partition(":")[0] for key in status.counters})
    yield _by(
        "dnslb_controller_total",
        "counter",
        "What the controller has counted, by name.",
        "name",
        {name: total(status.counters, name) for name in names},
    )
    yield _one(
        "dnslb_kubernetes_errors_total",
        "counter",
        "Failed reads and writes of the Lease at the API server.",
        counters.kubernetes_errors,
    )
    yield _one(
        "dnslb_loop_stalls_total",
        "counter",
        "Stalls of the event loop above 100 ms.",
        total(status.counters, "loop_stalls"),
    )
    yield _one(
        "dnslb_loop_stall_seconds_max",
        "gauge",
        "The longest stall since the start.",
        counters.stalled_s_max,
    )
    yield Family(
        "dnslb_refused_total",
        "counter",
        "Clients not served, by listener and reason.",
        ("listener", "reason"),
        {key: float(count) for key, count in counters.refused.items()},
    )
    yield _one(
        "dnslb_reloads_total",
        "counter",
        "Configurations that came into force later.",
        counters.reloads,
    )
    yield _one(
        "dnslb_reloads_refused_total",
        "counter",
        "Reloads refused for their mistakes.",
        counters.reloads_refused,
    )
    yield _one("dnslb_dry_run", "gauge", "1 when nothing is written at all.", status.dry_run)
    yield _one(
        "dnslb_start_time_seconds", "gauge", "When this process started.", build.started.wall
    )
    labels = ("version", "election", "provider", "instance")
    values = (build.version, build.election, build.provider, build.instance_id)
    yield Family("dnslb_build_info", "gauge", "Always 1.", labels, {values: 1.0})
