"""The picture that a watcher keeps of one daemon: snapshots and deltas in, what to show out.

Pure. Not the looks: rows of text are made from it by whoever draws. It counts nothing that the
daemon counts, and decides nothing.

Law: after each event the picture equals the daemon's at that moment. Work is in proportion to
what changed, not to what there is.
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from dnslb.api.codec import from_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dnslb.api import messages

EVENTS_MAX = 2000
OPEN = ("held", "failed", "applying", "pending", "applied")
"""States of changes that are not at their end, the most urgent first."""
Key = tuple[str, str]
"""An endpoint: the name of its load balancer, and `Row.id`."""
_PARTS = frozenset({"status", "agents", "members", "changes", "orders", "events", "rows"})
_STATES = ("down", "unknown", "degraded", "healthy")


class Row(NamedTuple):
    """One endpoint, as `messages.WATCH_ROW` has it."""

    endpoint: str
    address: str
    state: messages.Vote
    counts_as: str
    published: bool
    since: str
    votes: str
    override: messages.EndpointOverride | None
    priority: int
    flaps: int
    reason: str

    @property
    def id(self) -> str:
        """What tells it from the others of its load balancer; commands take it as an endpoint."""
        if f"://{self.address}:" in self.endpoint or f"://[{self.address}]:" in self.endpoint:
            return self.endpoint
        return f"{self.endpoint}={self.address}"

    @property
    def disputed(self) -> bool:
        return "u" in self.votes and "d" in self.votes

    @property
    def urgency(self) -> int:
        """What needs to be seen first comes first."""
        if self.state == "down":
            return 0 if self.override is None else 2
        if self.state == "unknown":
            return 1
        return 2 if self.override is not None else 3 if self.disputed else 4


class Balancer:
    """One load balancer with its rows; what is made from them is made anew only when it must."""

    __slots__ = ("_living", "_order", "_urgency", "head", "name", "places", "rows")

    def __init__(self, name: str, head: messages.WatchLoadBalancer, rows: list[Row]) -> None:
        self.name = name
        self.head = head
        self.rows = rows
        self.places: dict[Key, int] = {(name, row.id): i for i, row in enumerate(rows)}
        self._order: list[Key] | None = None
        self._living: int | None = None
        self._urgency: tuple[bool, int, int, str] | None = None

    def take(self, head: messages.WatchLoadBalancer) -> None:
        """Everything but the rows."""
        self.head = head
        self._urgency = None

    def put(self, index: int, row: Row) -> None:
        """Another state of the same endpoint."""
        if 0 <= index < len(self.rows):
            before, self.rows[index] = self.rows[index], row
            self._living = None
            if before.urgency != row.urgency:
                self._order = self._urgency = None

    @property
    def ordered(self) -> list[Key]:
        """The key of each row, the most urgent first."""
        if self._order is None:
            rows = self.rows
            keys = [*self.places]
            indexes = sorted(range(len(keys)), key=lambda i: (rows[i].urgency, rows[i].priority))
            self._order = [keys[i] for i in indexes]
        return self._order

    @property
    def urgency(self) -> tuple[bool, int, int, str]:
        """Sorts load balancers, the most urgent first."""
        if self._urgency is None:
            first = min([row.urgency for row in self.rows], default=9)
            state = self.head["state"]
            known = _STATES.index(state) if state in _STATES else 0
            self._urgency = (self.head["frozen"] is None, known, first, self.name)
        return self._urgency

    @property
    def living_count(self) -> int:
        """How many endpoints count as living."""
        if self._living is None:
            self._living = sum([row.counts_as == "living" for row in self.rows])
        return self._living

    def living(self, without: Iterable[Row] = ()) -> frozenset[str]:
        """Addresses all of whose endpoints count as living, but those that ``without`` serves."""
        leaving = {row.address for row in without}
        dead = {row.address for row in self.rows if row.counts_as != "living"}
        return frozenset(row.address for row in self.rows) - dead - leaving


class Picture:
    """Empty until the first snapshot: ask `known` before anything else."""

    def __init__(self) -> None:
        self.known = False
        self.at = ""
        self.status: messages.Status
        self.agents: list[messages.Agent] = []
        self.members: list[messages.Member] = []
        self.changes: list[messages.Change] = []
        self.orders: list[messages.StandingOrder] = []
        self.lbs: dict[str, Balancer] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._open: dict[str, list[messages.Change]] = {}
        self._sorted: list[Balancer] = []
        self._to_row: Callable[[list[Any]], Row] = Row._make
        self._words: dict[str, str] = {}

    # ------------------------------------------------------------------------------------ events

    def apply(self, event: dict[str, Any]) -> frozenset[str]:
        """Takes one event of the watch stream; returns which parts changed: "status", "agents",
        "members", "changes", "orders", "events", "rows" and "names" (other load balancers
        or endpoints than before). Raises KeyError and the like on what is no event."""
        if "row" in event:
            self._to_row = _reader(event["row"])
            self._drop_other_events(event["events"])
        self.at = event["at"]
        for part in ("status", "agents", "members", "changes", "orders"):
            if part in event:
                setattr(self, part, event[part])
        last = self.events[-1]["seq"] if self.events else 0
        self.events.extend(one for one in event.get("events", ()) if one["seq"] > last)
        if "changes" in event:
            self._open = {}
            for change in self.changes:
                if change["state"] in OPEN:
                    self._open.setdefault(change["name"], []).append(change)
        changed = _PARTS & event.keys()
        if "lbs" in event or "gone" in event:
            changed |= {"rows"}
            if self._take_balancers(event):
                changed |= {"names"}
        for name, rows in event.get("rows", {}).items():
            if (balancer := self.lbs.get(name)) is not None:
                for index, values in rows.items():
                    balancer.put(int(index), self._row(values))
        self.known = True
        return changed

    def _drop_other_events(self, newest: list[dict[str, Any]]) -> None:
        """A snapshot has the newest events: ours go on with them, unless another start of the
        daemon numbers its own."""
        ours = {event["seq"]: event for event in self.events}
        if not any(ours.get(event["seq"]) == event for event in newest):
            self.events.clear()

    def _take_balancers(self, event: dict[str, Any]) -> bool:
        """Whether there are other load balancers or endpoints than before."""
        heads: dict[str, messages.WatchLoadBalancer] = event.get("lbs", {})
        gone = [*event.get("gone", ())]
        if "row" in event:
            gone += [name for name in self.lbs if name not in heads]
        others = False
        for name, head in heads.items():
            rows = head.pop("rows", None)
            known = self.lbs.get(name)
            if known is not None:
                known.take(head)
            if rows is not None and not (known and self._take_rows(known, rows)):
                self.lbs[name] = Balancer(name, head, [self._row(values) for values in rows])
                others = True
        for name in gone:
            others |= self.lbs.pop(name, None) is not None
        if others:
            self._sorted = [*self.lbs.values()]
        return others

    def _take_rows(self, known: Balancer, rows: list[list[Any]]) -> bool:
        """Takes rows of the same endpoints; False when they are others. Most of them are as they
        were, whenever the daemon sends a snapshot because much changed."""
        if len(rows) != len(known.rows):
            return False
        found = [*map(self._to_row, rows)]
        pairs = [*zip(known.rows, found, strict=True)]
        if any(a.endpoint != b.endpoint or a.address != b.address for a, b in pairs):
            return False
        for index, (before, row) in enumerate(pairs):
            if before != row:
                known.put(index, self._shared(row))
        return True

    def _row(self, values: list[Any]) -> Row:
        return self._shared(self._to_row(values))

    def _shared(self, row: Row) -> Row:
        """The same row; of ten thousand reasons, which are mostly the same few, each once."""
        word = self._words.setdefault
        if len(self._words) > 50_000:
            self._words.clear()
        return row._replace(
            state=word(row.state, row.state),  # type: ignore[arg-type]
            counts_as=word(row.counts_as, row.counts_as),
            votes=word(row.votes, row.votes),
            reason=word(row.reason, row.reason),
        )

    # ------------------------------------------------------------------------------------ looking

    def open_changes(self, name: str) -> list[messages.Change]:
        """Changes of this name that are not at their end."""
        return self._open.get(name, [])

    def held_change(self, id_: str) -> messages.Change | None:
        return next((c for c in self.changes if c["id"] == id_ and c["state"] == "held"), None)

    def find(self, key: Key) -> Row | None:
        """An endpoint by the name of its load balancer and `Row.id`."""
        if (balancer := self.lbs.get(key[0])) is None:
            return None
        place = balancer.places.get(key)
        return None if place is None else balancer.rows[place]

    def balancers(self, by_name: bool = False) -> list[Balancer]:
        """All of them, the most urgent first or by name."""
        # Sorting what is nearly sorted costs next to nothing, and little moves at a time.
        if by_name:
            self._sorted.sort(key=attrgetter("name"))
        else:
            self._sorted.sort(key=attrgetter("urgency"))
        return self._sorted

    def now_s(self, later_s: float = 0.0) -> float:
        """The daemon's wall clock, ``later_s`` after the newest event."""
        return from_time(self.at) + later_s if self.at else later_s

    def voters(self) -> list[messages.Member]:
        return [member for member in self.members if member["suffrage"] == "voter"]


def _reader(names: list[str]) -> Callable[[list[Any]], Row]:
    """Reads rows whose fields have these names; more than ours may be there, in any order."""
    known = tuple(Row._fields)
    if tuple(names[: len(known)]) == known:
        if len(names) == len(known):
            return Row._make
        return lambda values: Row._make(values[: len(known)])
    pick = itemgetter(*(names.index(name) for name in known))
    return lambda values: Row._make(pick(values))
