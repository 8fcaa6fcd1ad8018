"""What changed between two moments, as the watch stream tells it; and the whole of one moment.

Pure. Load balancers' views are compared by identity, since the controller keeps a view until
something in it changes; votes are compared as bytes, since they may change places between agents
without changing any verdict.

Law: a delta applied to the older moment's picture gives the newer one's; what it costs follows
what changed, not what there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from dnslb.api import messages
from dnslb.api.codec import to_time
from dnslb.control import pieces, views
from dnslb.control.votes import Votes
from dnslb.model.cluster import ClusterView, MemberView
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.status import AgentView, EndpointView, LoadBalancerView, LogEntry, Status

LOOKED_PER_PIECE = 8
"""Looking at a row for a difference costs so much less than telling it."""
EVENTS_FIRST = 200
_HEAD = attrgetter(
    *("zone", "state", "published", "desired", "rule", "sentence", "frozen", "ttl"),
    "min_published",
)
"""What `pieces.watch_head` shows."""
_RUNNING = frozenset({"at", "uptime_seconds", "revision", "agents"})
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that a reader's picture is made of, at one moment. ``revision``: of the watched
    status; ``log_seq``: of the newest entry of ``log``; ``message``: the status, rendered; ``led``:
    the changes of the instance that may write, None where that is this one."""

    status: Status
    revision: int
    cluster: ClusterView
    log: tuple[LogEntry, ...]
    log_seq: int
    message: messages.Status
    now: Now
    led: list[messages.Change] | None = None


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
            "changes": _changes(sight),
            "orders": views.order_messages(sight.status),
            "events": _events(sight, sight.log_seq - len(sight.log) + first),
        }
    )
    yield b"event: snapshot\nid: %d\ndata: " % seq + head[:-1] + b',"lbs":'
    yield from pieces.watch_lb_pieces(sight.status, Votes(sight.status, sight.now))
    yield b"}\n\n"


@dataclass(frozen=True, slots=True)
class Delta:
    """What differs between two moments. ``parts``: the small keys of `messages.WatchDelta`;
    ``views``: load balancers whose view is another; ``voted``: by name, endpoints on which an
    agent changed its vote. Which rows that comes to is found while it is sent."""

    old: Status
    new: Status
    now: Now
    parts: dict[str, object]
    views: tuple[LoadBalancerView, ...] = ()
    voted: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing that a reader could see; sent all the same it is a heartbeat."""
        return not (self.parts or self.views or self.voted)

    def pieces(self, seq: int) -> Iterator[bytes]:
        """One event ``delta``, in pieces; an empty piece is a chance for others."""
        head = pieces.to_json({"seq": seq, "at": to_time(self.now.wall), **self.parts})
        yield b"event: delta\nid: %d\ndata: " % seq + head[:-1]
        votes = Votes(self.new, self.now)
        lbs: list[bytes] = []
        yield from self._row_pieces(votes, lbs)
        if lbs:
            yield b',"lbs":{' + b",".join(lbs) + b"}"
        yield b"}\n\n"

    def _row_pieces(self, votes: Votes, lbs: list[bytes]) -> Iterator[bytes]:
        """The key ``rows``, if any; what belongs below ``lbs`` is added there."""
        per_piece = pieces.per_piece(self.new)
        piece: list[bytes] = []
        lead, looked = b',"rows":{', 0
        for view in self._touched():
            indexes = self._rows_of(view, votes, lbs)
            for place, index in enumerate(indexes):
                opening = b"," if place else lead + pieces.to_json(view.name) + b":{"
                row = pieces.to_json(pieces.watch_row(view.endpoints[index], votes))
                piece.append(opening + b'"%d":' % index + row)
                if len(piece) >= per_piece:
                    yield b"".join(piece)
                    piece, looked = [], 0
            if indexes:
                piece.append(b"}")
                lead = b","
            looked += view.total
            if looked >= LOOKED_PER_PIECE * per_piece:
                yield b"".join(piece)
                piece, looked = [], 0
        yield b"".join(piece) + (b"}" if lead == b"," else b"")

    def _touched(self) -> Iterator[LoadBalancerView]:
        yield from self.views
        other = self.voted.keys() - {view.name for view in self.views}
        yield from (self.new.loadbalancers[name] for name in sorted(other))

    def _rows_of(self, view: LoadBalancerView, votes: Votes, lbs: list[bytes]) -> list[int]:
        """Places of the rows that are others; a load balancer with other endpoints is told whole
        instead."""
        voted = {i for i in self.voted.get(view.name, ()) if i < len(view.endpoints)}
        known = self.old.loadbalancers.get(view.name)
        if known is view:
            return sorted(voted)
        name = pieces.to_json(view.name) + b":"
        changed = None if known is None else _changed_rows(known.endpoints, view.endpoints)
        if known is None or changed is None:
            rows = [pieces.watch_row(endpoint, votes) for endpoint in view.endpoints]
            lbs.append(name + pieces.to_json({**pieces.watch_head(view), "rows": rows}))
            return []
        if _HEAD(known) != _HEAD(view):
            lbs.append(name + pieces.to_json(pieces.watch_head(view)))
        return sorted(voted.union(changed)) if voted else changed


def delta_between(old: Sight, new: Sight, places: Places, *, ages: bool = True) -> Delta | None:
    """None: what an agent's votes are cannot be compared, so a snapshot is due. ``ages``: whether
    a member is told for nothing but how long ago it was heard, which is always another."""
    parts: dict[str, object] = {}
    if old.message is not new.message and _lasting(old.message) != _lasting(new.message):
        parts["status"] = _status(new)
    if old.status.agents is not new.status.agents and old.status.agents != new.status.agents:
        parts["agents"] = _agents(new)
    if _members(old, ages=ages) != _members(new, ages=ages):
        parts["members"] = views.member_messages(new.cluster)
    ours = old.led is None and new.led is None
    if old.status.changes != new.status.changes if ours else old.led is not new.led:
        parts["changes"] = _changes(new)
    if old.status.operator != new.status.operator:
        parts["orders"] = views.order_messages(new.status)
    if events := _events(new, old.log_seq):
        parts["events"] = events
    if old.status is new.status:
        return Delta(old.status, new.status, new.now, parts)
    monitors = _changed_votes(old.status, new.status)
    if monitors is None or (monitors and not places.knows(new.status)):
        return None
    before, after = old.status.loadbalancers, new.status.loadbalancers
    if gone := [name for name in before if name not in after]:
        parts["gone"] = gone
    # A view is the same object until something in it changed.
    changed = tuple(view for name, view in after.items() if before.get(name) is not view)
    voted: dict[str, set[int]] = {}
    for monitor in monitors:
        for name, index in places.of(monitor):
            if name in after:
                voted.setdefault(name, set()).add(index)
    frozen = {name: frozenset(indexes) for name, indexes in voted.items()}
    return Delta(old.status, new.status, new.now, parts, changed, frozen)


def _members(sight: Sight, *, ages: bool) -> tuple[MemberView, ...]:
    members = sight.cluster.members
    return members if ages else tuple(replace(one, last_contact_s=None) for one in members)


def _changed_rows(old: Sequence[EndpointView], new: Sequence[EndpointView]) -> list[int] | None:
    """Places of those that are others than before; None when they are of other endpoints."""
    if len(old) != len(new):
        return None
    changed = []
    for index, (was, is_) in enumerate(zip(old, new, strict=True)):
        if was is not is_ and was != is_:
            if was.endpoint is not is_.endpoint and was.endpoint != is_.endpoint:
                return None
            changed.append(index)
    return changed


def _changed_votes(old: Status, new: Status) -> list[int] | None:
    """Monitors on which an agent changed its vote; None when votes cannot be compared."""
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


def _changes(sight: Sight) -> list[messages.Change]:
    if sight.led is not None:
        return sight.led
    return [views.change_message(change) for change in sight.status.changes]


def _agents(sight: Sight) -> list[messages.Agent]:
    return [views.agent_message(agent, sight.now) for agent in sight.status.agents]


def _events(sight: Sight, after: int) -> list[dict[str, object]]:
    """Log entries with a sequence number above ``after`` that are still kept."""
    first = sight.log_seq - len(sight.log) + 1
    start = max(after + 1 - first, 0)
    entries = enumerate(sight.log[start:], first + start)
    return [views.event_message(seq, entry) for seq, entry in entries]
