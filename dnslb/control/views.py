"""The one translation from the model to the API: values in, plain objects as in `messages` out.

Pure: no socket, no clock; the present is an argument. Big answers are rendered an endpoint at a
time, so that whoever streams them can let the event loop turn in between.

Law: an age is computed here and nowhere else, from instants of one clock; what is not known is
null, never zero and never empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.api import messages
from dnslb.api.codec import to_time
from dnslb.model.cluster import ClusterView
from dnslb.model.instant import Now
from dnslb.model.operator import Approval, Pause
from dnslb.model.status import (
    AgentView,
    ChangeView,
    Decision,
    EndpointView,
    LoadBalancerView,
    LogEntry,
    Status,
    ZoneView,
)

TROUBLED_MAX = 20
ENDED_SHOWN_S = 3600.0
STATE_ORDER = ("down", "unknown", "degraded", "healthy")
_OPEN = frozenset({"pending", "held", "applying", "failed"})


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """What is true of this process from its start to its end.

    ``started``: the instant on all three clocks.
    ``address``: where members and clients elsewhere reach it, "" when nobody does.
    """

    instance_id: str
    version: str
    election: str
    port: int
    started: Now
    socket: str = ""
    owner_id: str | None = None
    provider: str | None = None
    fenced: bool = False
    address: str = ""


def time_or_none(wall_s: float | None) -> str | None:
    return None if wall_s is None else to_time(wall_s)


# -------------------------------------------------------------------------------------- status


def status_message(
    info: InstanceInfo, status: Status, cluster: ClusterView, now: Now
) -> messages.Status:
    lbs = list(status.loadbalancers.values())
    states = [view.state for view in lbs]
    changes = [change.state for change in status.changes]
    leader = cluster.leader
    troubled = sorted(
        (view for view in lbs if view.state != "healthy"),
        key=lambda view: (view.frozen is None, STATE_ORDER.index(view.state), view.name),
    )
    return {
        "instance_id": info.instance_id,
        "owner_id": info.owner_id,
        "version": info.version,
        "election": info.election,
        "role": cluster.role,
        "leader": None if leader is None else {"id": leader[0], "address": leader[1]},
        "term": cluster.term,
        "provider": info.provider,
        "fenced": info.fenced,
        "paused": status.paused,
        "dry_run": status.dry_run,
        "uptime_seconds": round(now.boot - info.started.boot, 3),
        "port": info.port,
        "loadbalancers": {
            "total": len(lbs),
            "healthy": states.count("healthy"),
            "degraded": states.count("degraded"),
            "down": states.count("down"),
            "unknown": states.count("unknown"),
        },
        "pending_changes": changes.count("pending") + changes.count("applying"),
        "held_changes": changes.count("held"),
        "stale": leader is None,
        "attention": [
            {
                "severity": row.severity,
                "kind": row.kind,
                "subject": row.subject,
                "since": to_time(row.since_wall),
                "sentence": row.sentence,
                "next": row.next,
            }
            for row in status.attention
        ],
        "at": to_time(now.wall),
        "revision": status.revision,
        "cluster_id": cluster.cluster_id,
        "socket": info.socket,
        # The counts that the views carry: looking at each endpoint would draw ten thousand.
        "endpoints": {
            "total": sum(view.total for view in lbs),
            "living": sum(view.living for view in lbs),
        },
        "published_addresses": sum(len(view.published or ()) for view in lbs),
        "unread_names": sum(view.published is None for view in lbs),
        "troubled": [summary_message(view) for view in troubled[:TROUBLED_MAX]],
        "agents": [agent_message(agent, now) for agent in status.agents],
        "zones": [zone_message(zone) for zone in status.zones.values()],
        "pauses": [pause_message(pause) for pause in status.operator.pauses.values()],
        "gate": status.gate,
        "released": list(status.released),
    }


def summary_message(view: LoadBalancerView) -> messages.LoadBalancerSummary:
    return {
        "name": view.name,
        "zone": view.zone,
        "state": view.state,
        "published": None if view.published is None else list(view.published),
        "desired": list(view.desired),
        "endpoints": {"total": view.total, "living": view.living},
        "rule": view.rule,
        "sentence": view.sentence,
        "frozen": view.frozen,
    }


def agent_message(agent: AgentView, now: Now) -> messages.Agent:
    age_s = None if agent.seen_mono is None else max(now.mono - agent.seen_mono, 0.0)
    return {
        "name": agent.name,
        "fresh": agent.fresh,
        "suspect": agent.suspect,
        "age_seconds": None if age_s is None else round(age_s, 3),
        "seen_at": None if age_s is None else to_time(now.wall - age_s),
        "healthy": agent.healthy,
        "skew_seconds": agent.skew_s,
        "sentence": agent.sentence,
    }


def zone_message(zone: ZoneView) -> messages.Zone:
    return {
        "name": zone.name,
        "last_read_at": time_or_none(zone.last_read_wall),
        "last_success_at": time_or_none(zone.last_success_wall),
        "in_flight": zone.in_flight,
        "failures": zone.failures,
        "error": zone.error,
        "blocked": zone.blocked,
        "lagging": [
            {
                "server": lag.server,
                "silent": lag.silent,
                "sentence": lag.sentence,
                "names": list(lag.names),
                "count": lag.count,
                "since": to_time(lag.since_wall),
                "overdue": lag.overdue,
            }
            for lag in zone.lagging
        ],
        "unasked": list(zone.unasked),
        "unverified": zone.unverified,
    }


def pause_message(pause: Pause) -> messages.Pause:
    return {
        "scope": pause.scope,
        "reason": pause.reason,
        "by": pause.by,
        "created_at": to_time(pause.created_wall),
        "expires_at": time_or_none(pause.expires_wall),
    }


def member_messages(cluster: ClusterView) -> list[messages.Member]:
    return [
        {
            "id": member.id,
            "address": member.address,
            "suffrage": member.suffrage,
            "role": member.role,
            "self": member.is_self,
            "last_contact_seconds": member.last_contact_s,
            "match_index": member.match_index,
            "lag": member.lag,
            "reached": member.reached,
            "version": member.version,
            "config_digest": member.config_digest,
        }
        for member in cluster.members
    ]


# ----------------------------------------------------------------------------------- endpoints


def endpoint_message(
    lb: str, view: EndpointView, votes: Mapping[str, messages.AgentVote]
) -> messages.Endpoint:
    return {
        "lb": lb,
        "endpoint": view.endpoint.label,
        "address": view.endpoint.address,
        "state": view.verdict.state,
        "override": override_message(view),
        "published": view.published,
        "since": to_time(view.since_wall),
        "votes": dict(votes),
        "reason": view.reason,
        "counts_as": view.counts_as,
        "priority": view.endpoint.priority,
        "flaps": view.flaps,
    }


def override_message(view: EndpointView) -> messages.EndpointOverride | None:
    if (override := view.override) is None:
        return None
    return {
        "kind": override.kind,
        "reason": override.reason,
        "by": override.by,
        "expires_at": time_or_none(override.expires_wall),
    }


# ----------------------------------------------------------------------- changes, orders, events


def is_shown(change: ChangeView, now: Now) -> bool:
    """Whether ``changes`` without ``--all`` lists it: open, or ended within the last hour."""
    if change.state in _OPEN:
        return True
    ended = change.published_wall or change.applied_wall or change.created_wall
    return change.state != "superseded" and now.wall - ended <= ENDED_SHOWN_S


def change_message(change: ChangeView) -> messages.Change:
    return {
        "id": change.id,
        "zone": change.zone,
        "name": change.key.name,
        "type": change.key.rtype,
        "before": list(change.before),
        "after": list(change.after),
        "ttl": change.ttl,
        "reason": change.reason,
        "state": change.state,
        "created_at": to_time(change.created_wall),
        "not_before": time_or_none(change.not_before_wall),
        "attempts": change.attempts,
        "error": change.error,
        "applied_at": time_or_none(change.applied_wall),
        "published_at": time_or_none(change.published_wall),
        "cause": change.cause,
        "plan_id": change.plan_id,
    }


def order_messages(status: Status) -> list[messages.StandingOrder]:
    """Everything that people said and that is still in force, overrides first."""
    operator = status.operator
    rows: list[messages.StandingOrder] = [
        {
            "kind": override.kind,
            "subject": override.endpoint,
            "lb": override.lb,
            "endpoint": override.endpoint,
            "reason": override.reason,
            "by": override.by,
            "created_at": to_time(override.created_wall),
            "expires_at": time_or_none(override.expires_wall),
        }
        for override in operator.overrides.values()
    ]
    rows += [
        {
            "kind": "pause",
            "subject": pause.scope or "all DNS changes",
            "lb": None,
            "endpoint": None,
            "reason": pause.reason,
            "by": pause.by,
            "created_at": to_time(pause.created_wall),
            "expires_at": time_or_none(pause.expires_wall),
        }
        for pause in operator.pauses.values()
    ]
    rows += [_approval_message("approve", id_, a) for id_, a in operator.approvals.items()]
    rows += [_approval_message("drop", id_, a) for id_, a in operator.dropped.items()]
    rows += [_approval_message("delete", name, a) for name, a in operator.deletions.items()]
    return rows


def _approval_message(kind: str, subject: str, approval: Approval) -> messages.StandingOrder:
    return {
        "kind": kind,  # type: ignore[typeddict-item]
        "subject": subject,
        "lb": None,
        "endpoint": None,
        "reason": "",
        "by": approval.by,
        "created_at": to_time(approval.created_wall),
        "expires_at": None,
    }


def event_message(seq: int, entry: LogEntry) -> dict[str, object]:
    """The entry's own fields stand beside the four that every event has."""
    return {
        **entry.fields,
        "seq": seq,
        "at": to_time(entry.at_wall),
        "kind": entry.kind,
        "message": entry.message,
    }


def decision_message(decision: Decision) -> messages.PastDecision:
    return {
        "at": to_time(decision.at_wall),
        "desired": list(decision.desired),
        "rule": decision.rule,
        "sentence": decision.sentence,
    }
