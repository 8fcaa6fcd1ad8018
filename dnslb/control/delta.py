"""What changed between two moments, as the watch stream tells it; and the whole of one moment.

Pure. Load balancers' views are compared by identity, since the controller keeps a view until
something in it changes; votes are compared as bytes, since they may change places between agents
without changing any verdict.

Law: a delta applied to the older moment's picture gives the newer one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dnslb.api import messages
from dnslb.api.codec import to_time
from dnslb.control import pieces, views
from dnslb.control.votes import Votes
from dnslb.model.cluster import ClusterView
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.status import AgentView, LoadBalancerView, LogEntry, Status

ROWS_MAX = 500
"""A delta with more rows than this would hold the loop: a snapshot is streamed instead."""
EVENTS_FIRST = 200
_RUNNING = frozenset({"at", "uptime_seconds", "revision", "agents"})
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that a reader's picture is made of, at one moment. ``revision``: of the watched
    status; ``log_seq``: of the newest entry of ``log``; ``message``: the status, rendered."""

    status: Status
    revision: int
    cluster: ClusterView
    log: tuple[LogEntry, ...]
    log_seq: int
    message: messages.Status
    now: Now


class Places:
    """Which endpoints one monitor speaks for; kept as long as the configuration is the same."""

    def __init__(self) -> None:
        self._monitors: MonitorList | None = None
        self._by_monitor: dict[int, list[Place]] = {}

    def learn(self, status: Status) -> Iterator[None]:
        """Looks at every load balancer of a new configuration, one at a turn."""
        if status.monitors is self._monitors:
            return
        found: dict[int, list[Place]] = {}
        for view in status.loadbalancers.values():
            for i, endpoint in enumerate(view.endpoints):
                if endpoint.monitor_index is not None:
                    found.setdefault(endpoint.monitor_index, []).append((view.name, i))
            yield
        self._monitors, self._by_monitor = status.monitors, found

    def knows(self, status: Status) -> bool:
        return status.monitors is self._monitors

    def of(self, monitor_index: int) -> list[Place]:
        return self._by_monitor.get(monitor_index, [])


def snapshot_pieces(seq: int, sight: Sight) -> Iterator[bytes]:
    """One event ``snapshot``, in pieces; a reader's picture starts anew with it."""
    first = max(len(sight.log) - EVENTS_FIRST, 0)
    head = pieces.to_json(
        {
            "seq": seq,
            "at": to_time(sight.now.wall),
            "row": messages.WATCH_ROW,
            "status": _status(sight),
            "agents": _agents(sight),
            "members": views.member_messages(sight.cluster),
            "changes": [views.change_message(change) for change in sight.status.changes],
            "orders": views.order_messages(sight.status),
            "events": _events(sight, sight.log_seq - len(sight.log) + first),
        }
    )
    yield b"event: snapshot\nid: %d\ndata: " % seq + head[:-1] + b',"lbs":'
    yield from pieces.watch_lb_pieces(sight.status, Votes(sight.status, sight.now))
    yield b"}\n\n"


def delta_event(seq: int, delta: dict[str, object], now: Now) -> bytes:
    """One event ``delta``; without content it is a heartbeat."""
    data = pieces.to_json({"seq": seq, "at": to_time(now.wall), **delta})
    return b"event: delta\nid: %d\ndata: " % seq + data + b"\n\n"


def delta_between(old: Sight, new: Sight, places: Places) -> dict[str, object] | None:
    """The keys of `messages.WatchDelta` that changed; None: so much that a snapshot is due."""
    delta: dict[str, object] = {}
    if old.message is not new.message and _lasting(old.message) != _lasting(new.message):
        delta["status"] = _status(new)
    if old.status.agents is not new.status.agents and old.status.agents != new.status.agents:
        delta["agents"] = _agents(new)
    if old.cluster.members != new.cluster.members:
        delta["members"] = views.member_messages(new.cluster)
    if old.status.changes != new.status.changes:
        delta["changes"] = [views.change_message(change) for change in new.status.changes]
    if old.status.operator != new.status.operator:
        delta["orders"] = views.order_messages(new.status)
    if events := _events(new, old.log_seq):
        delta["events"] = events
    if old.status is not new.status and not _add_rows(delta, old, new, places):
        return None
    return delta


def _add_rows(delta: dict[str, object], old: Sight, new: Sight, places: Places) -> bool:
    """Adds ``lbs``, ``rows`` and ``gone``; False when they would be too much."""
    monitors = _changed_votes(old.status, new.status)
    if monitors is None or (monitors and not places.knows(new.status)):
        return False
    before, after = old.status.loadbalancers, new.status.loadbalancers
    changed = {place for index in monitors for place in places.of(index) if place[0] in after}
    # Views are drawn when looked at: too many at once would hold the loop.
    if sum(v.total for n, v in after.items() if before.get(n) is not v) > 4 * ROWS_MAX:
        return False
    whole: list[LoadBalancerView] = []
    lbs: dict[str, messages.WatchLoadBalancer] = {}
    for name, view in after.items():
        known = before.get(name)
        if known is view:
            continue
        if known is None or not _same_endpoints(known, view):
            whole.append(view)
            continue
        if pieces.watch_head(known) != (head := pieces.watch_head(view)):
            lbs[name] = head
        pairs = enumerate(zip(known.endpoints, view.endpoints, strict=True))
        changed.update((name, i) for i, (was, now) in pairs if was is not now and was != now)
    if len(changed) + sum(len(view.endpoints) for view in whole) > ROWS_MAX:
        return False
    votes = Votes(new.status, new.now)
    rows: dict[str, dict[str, messages.WatchRow]] = {}
    for view in whole:
        all_rows = [pieces.watch_row(endpoint, votes) for endpoint in view.endpoints]
        lbs[view.name] = {**pieces.watch_head(view), "rows": all_rows}
    for name, index in sorted(changed):
        if "rows" not in lbs.get(name, {}) and index < len(after[name].endpoints):
            row = pieces.watch_row(after[name].endpoints[index], votes)
            rows.setdefault(name, {})[str(index)] = row
    found = {"lbs": lbs, "rows": rows, "gone": [name for name in before if name not in after]}
    delta.update({key: value for key, value in found.items() if value})
    return True


def _same_endpoints(old: LoadBalancerView, new: LoadBalancerView) -> bool:
    if len(old.endpoints) != len(new.endpoints):
        return False
    pairs = zip(old.endpoints, new.endpoints, strict=True)
    return all(a.endpoint is b.endpoint or a.endpoint == b.endpoint for a, b in pairs)


def _changed_votes(old: Status, new: Status) -> list[int] | None:
    """Monitors on which an agent changed its vote; None when votes cannot be compared, or when
    there are too many."""
    if old.monitors is not new.monitors or len(old.agents) != len(new.agents):
        return None
    changed: set[int] = set()
    for was, now in zip(old.agents, new.agents, strict=True):
        if was is now:
            continue
        if not _comparable(was, now):
            return None
        if was.report is not None and now.report is not None:
            a, b = was.report.votes, now.report.votes
            if a is not b and a != b:
                changed.update(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
                if len(changed) > ROWS_MAX:
                    return None
    return sorted(changed)


def _comparable(was: AgentView, now: AgentView) -> bool:
    if was.name != now.name or was.fresh != now.fresh:
        return False
    if was.report is None or now.report is None:
        return was.report is now.report
    return was.report.monitors is now.report.monitors


def _status(sight: Sight) -> dict[str, object]:
    return {key: value for key, value in sight.message.items() if key != "agents"}


def _lasting(message: messages.Status) -> dict[str, object]:
    return {key: value for key, value in message.items() if key not in _RUNNING}


def _agents(sight: Sight) -> list[messages.Agent]:
    return [views.agent_message(agent, sight.now) for agent in sight.status.agents]


def _events(sight: Sight, after: int) -> list[dict[str, object]]:
    """Log entries with a sequence number above ``after`` that are still kept."""
    first = sight.log_seq - len(sight.log) + 1
    start = max(after + 1 - first, 0)
    entries = enumerate(sight.log[start:], first + start)
    return [views.event_message(seq, entry) for seq, entry in entries]
