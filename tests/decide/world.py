"""A small world around the controller: zones in memory, a store, agents, a clock; synchronous.

Carries intents out at once unless told to hold them back; nothing sleeps and nothing is random.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dnslb.decide.controller import Controller
from dnslb.decide.events import (
    CommandGiven,
    CommitFailed,
    Committed,
    Event,
    FenceTaken,
    LeaseChanged,
    ReportArrived,
    SettingsChanged,
    StateLoaded,
    Woke,
    WriteEnded,
    ZoneFound,
    ZoneRead,
)
from dnslb.decide.intents import (
    Answer,
    Apply,
    Commit,
    FindZones,
    Intent,
    Log,
    PublishStatus,
    ReadZone,
    Recall,
    Resign,
    TakeFence,
    Verify,
)
from dnslb.decide.settings import Settings
from dnslb.errors import FenceLost, ProviderRefusal
from dnslb.model.checkpoint import PutInForce, StoredState
from dnslb.model.command import Command, CommandKind
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, Monitor, Policy
from dnslb.model.names import longest_zone
from dnslb.model.outcome import Failure, ReadOutcome, Receipt, WriteOutcome
from dnslb.model.plan import Plan
from dnslb.model.publication import Expected
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.model.status import Status
from dnslb.providers import marker

WORDS = {"up": UP, "down": DOWN, "unknown": UNKNOWN}


def endpoint(url: str, address: str | None = None, priority: int = 0) -> Endpoint:
    monitor = Monitor.from_url(url)
    return Endpoint(monitor, address or monitor.host, priority)


def balancer(name: str, *endpoints: str | Endpoint, **policy: object) -> LoadBalancer:
    """Endpoints as bare addresses (checked by tcp on port 80), URLs, or values."""
    made = []
    for one in endpoints:
        if isinstance(one, Endpoint):
            made.append(one)
        elif "://" in one:
            made.append(endpoint(one))
        else:
            made.append(endpoint(f"tcp://[{one}]:80" if ":" in one else f"tcp://{one}:80"))
    return LoadBalancer(name, tuple(made), Policy(**policy))  # type: ignore[arg-type]


@dataclass
class World:
    """``records``: what DNS holds, (name, type) → (ttl, values). ``fail_write``,
    ``fail_read``, ``fail_fence``, ``fail_commit``: what the next ones answer instead;
    ``uncertain``: whether that is known of a commit.
    ``fail_find``: why no zone can be asked for, until None is set. ``slow``: writes wait for
    `finish_writes`. ``markers``: zone → the token in it, ``fences``: how often one was to be
    taken."""

    settings: Settings
    zones: tuple[str, ...] = ("example.org",)
    records: dict[RRsetKey, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    cnames: dict[str, str] = field(default_factory=dict)
    state: StoredState = field(default_factory=StoredState)
    now: Now = Now(1000.0, 1000.0, 1_700_000_000.0)
    fail_write: deque[Failure] = field(default_factory=deque)
    fail_read: deque[Failure] = field(default_factory=deque)
    fail_find: str | None = None
    fail_commit: deque[str] = field(default_factory=deque)
    uncertain: bool = False
    slow: bool = False
    markers: dict[str, FencingToken] = field(default_factory=dict)
    fail_fence: deque[Failure] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.controller = Controller()
        self.log: list[tuple[str, str]] = []
        self.applied: list[Plan] = []
        self.waiting: list[Plan] = []
        self.answers: dict[int, Answer] = {}
        self.resigned: list[str] = []
        self.commits: list[Commit] = []
        self.expected: dict[str, dict[RRsetKey, Expected]] = {}
        self.hold_commits = False
        self.refuse_in_force: str | None = None
        self.commits_held: list[Commit] = []
        self.hold_reads = False
        self.reads_held: list[ReadZone] = []
        self.refused = 0
        self.fences = 0
        self._answers_lost: deque[bool] = deque()
        self._reads_refused: str | None = None
        self._writes_refused: Failure | None = None
        self._tickets = 0
        self._votes: dict[str, dict[str, int]] = {}

    @property
    def status(self) -> Status:
        status = self.controller.status
        assert status is not None
        return status

    def start(self, lease: bool = True, guard_age_s: float = 0.0) -> World:
        self.feed(SettingsChanged(self.settings))
        self.feed(StateLoaded(self.state, guard_age_s))
        if lease:
            self.feed(LeaseChanged(self.lease()))
        return self

    def lease(self, term: int = 0, nonce: str = "n1", clean: bool = True) -> Lease:
        return Lease("here", FencingToken("owner", 1, term, nonce), clean_start=clean)

    def feed(self, event: Event) -> list[Intent]:
        """Steps, then carries out what came out until nothing more comes."""
        if isinstance(event, LeaseChanged) and event.lease is not None:
            self.token = event.lease.token
        seen: list[Intent] = []
        queue = deque([event])
        for _ in range(100_000):
            if not queue:
                due = self.controller.deadline()
                if due is None or due > self.now.mono or not self.controller.is_busy:
                    return seen
                queue.append(Woke())
            intents = self.controller.step(queue.popleft(), self.now)
            seen += [i for i in intents if not isinstance(i, PublishStatus)]
            for intent in intents:
                queue.extend(self._carry_out(intent))
        raise AssertionError("the controller and the world never come to rest")

    def _carry_out(self, intent: Intent) -> Iterable[Event]:
        match intent:
            case FindZones(names):
                failure = Failure("temporary", self.fail_find) if self.fail_find else None
                return [ZoneFound(n, failure or longest_zone(n, self.zones)) for n in names]
            case TakeFence(zone, token):
                return [FenceTaken(zone, token, self._take_fence(zone, token))]
            case ReadZone() if self.hold_reads:
                self.reads_held.append(intent)
            case ReadZone(zone, names):
                return [ZoneRead(ReadOutcome(zone, self._read(zone, names)))]
            case Commit() if self.hold_commits:
                self.commits_held.append(intent)
            case Commit(ticket, changes):
                self.commits.append(intent)
                if self.fail_commit:
                    return [CommitFailed(ticket, self.fail_commit.popleft(), self.uncertain)]
                if self.refuse_in_force and any(isinstance(c, PutInForce) for c in changes):
                    return [CommitFailed(ticket, self.refuse_in_force)]
                for change in changes:
                    self.state = self.state.apply(change)
                return [Committed(ticket, self.state)]
            case Apply(plan):
                if self.slow:
                    self.waiting.append(plan)
                    return []
                return [self._write(plan)]
            case Verify(zone, expected):
                self.expected[zone] = dict(expected)
            case Recall(zone):
                recalled = [plan for plan in self.waiting if plan.zone == zone]
                self.waiting = [plan for plan in self.waiting if plan.zone != zone]
                gated = Failure("gated", "nothing is to be changed any more")
                return [WriteEnded(WriteOutcome(plan, gated)) for plan in recalled]
            case Answer(ticket):
                self.answers[ticket] = intent
            case Resign(why):
                self.resigned.append(why)
            case Log(entry):
                self.log.append((entry.kind, entry.message))
            case PublishStatus():
                pass
        return []

    def _take_fence(self, zone: str, token: FencingToken) -> Failure | None:
        self.fences += 1
        if self.fail_fence:
            return self.fail_fence.popleft()
        try:
            marker.check_take(zone, self.markers.get(zone), token)
        except FenceLost as e:
            return Failure("fenced", str(e))
        except ProviderRefusal as e:
            return Failure("refused", str(e))
        self.markers[zone] = token
        return None

    def _read(self, zone: str, names: frozenset[str]) -> ZoneReading | Failure:
        if self.fail_read:
            return self.fail_read.popleft()
        if self._reads_refused is not None:
            return Failure("temporary", self._reads_refused)
        rrsets = {
            key: RRset(key, ttl, values)
            for key, (ttl, values) in self.records.items()
            if key.name in names
        }
        cnames = {n: t for n, t in self.cnames.items() if n in names}
        return ZoneReading(zone, names, rrsets, cnames)

    def _write(self, plan: Plan) -> WriteEnded:
        if self.settings.capabilities.fenced and self.markers.get(plan.zone) != self.token:
            lost = Failure("fenced", f"another writer holds the fence of {plan.zone}")
            return WriteEnded(WriteOutcome(plan, lost))
        if self.fail_write:
            return WriteEnded(WriteOutcome(plan, self.fail_write.popleft()))
        if self._answers_lost:
            landed = self._answers_lost.popleft()
            if landed:
                self._write(plan)
            return WriteEnded(WriteOutcome(plan, Failure("unknown", "sent, and no answer came")))
        if self._writes_refused is not None:
            self.refused += 1
            return WriteEnded(WriteOutcome(plan, self._writes_refused))
        for change in plan.changes:
            before = change.before
            if self.records.get(change.key) != (before and (before.ttl, before.values)):
                conflict = Failure("conflict", f"{change.key} is not as it was read")
                return WriteEnded(WriteOutcome(plan, conflict))
        for change in plan.changes:
            if change.after is None:
                del self.records[change.key]
            else:
                self.records[change.key] = (change.after.ttl, change.after.values)
        self.applied.append(plan)
        return WriteEnded(WriteOutcome(plan, Receipt()))

    def refuse_reads(self, sentence: str | None) -> None:
        """Every read fails with this sentence, until None is given."""
        self._reads_refused = sentence

    def refuse_writes(self, failure: Failure | None) -> None:
        """Every write fails like this (counted in ``refused``), until None is given."""
        self._writes_refused = failure

    def lose_answers(self, landed: bool, count: int = 1) -> None:
        """The next writes are sent and never answered; whether they were done, ``landed`` says."""
        self._answers_lost.extend([landed] * count)

    def finish_read(self, reading: ZoneReading | None = None) -> None:
        """Answers the oldest read that was held back: with what stands now, or with what stood."""
        zone, names = self.reads_held[0].zone, self.reads_held.pop(0).names
        self.feed(ZoneRead(ReadOutcome(zone, reading or self._read(zone, names))))

    def finish_commits(self) -> None:
        """The store answers what was held back, in order."""
        self.hold_commits = False
        held, self.commits_held = self.commits_held, []
        for commit in held:
            for event in self._carry_out(commit):
                self.feed(event)

    def finish_writes(self) -> None:
        plans, self.waiting = self.waiting, []
        for plan in plans:
            self.feed(self._write(plan))

    def vote(self, agent: str, votes: Mapping[str, str] | str, **options: object) -> None:
        """``votes``: address → word, added to what the agent said before; or one word for all."""
        said = self._votes.setdefault(agent, {})
        monitors = self.settings.monitors
        for monitor in monitors.monitors:
            if isinstance(votes, str):
                said[monitor.host] = WORDS[votes]
            elif monitor.host in votes:
                said[monitor.host] = WORDS[votes[monitor.host]]
        listed = bytes(said.get(m.host, UNKNOWN) for m in monitors.monitors)
        texts = {i: "connection refused" for i, v in enumerate(listed) if v == DOWN}
        report = Report(agent, monitors, listed, self.now.mono, self.now.wall, messages=texts)
        self.feed(ReportArrived(replace(report, **options)))  # type: ignore[arg-type]

    def vote_all(self, votes: Mapping[str, str] | str) -> None:
        for agent in self.settings.agents:
            self.vote(agent, votes)

    def wait(self, seconds: float, keep_fresh: bool = True) -> None:
        """Time passes; the controller is woken at its deadlines, agents repeat what they said."""
        end = self.now.mono + seconds
        refresh = self.now.mono + 10.0
        for _ in range(10_000):
            due = self.controller.deadline()
            at = min(end, refresh if keep_fresh else end, end if due is None else max(due, 0.0))
            at = max(at, self.now.mono)
            self.now = self.now.later(at - self.now.mono)
            if keep_fresh and self.now.mono >= refresh:
                refresh += 10.0
                for agent in list(self._votes):
                    self.vote(agent, {})
            self.feed(Woke())
            if self.now.mono >= end:
                return
        raise AssertionError("the controller's deadlines do not move on")

    def command(
        self,
        kind: CommandKind,
        *subjects: str,
        by: str = "kim",
        reason: str = "test",
        **more: object,
    ) -> Answer:
        self._tickets += 1
        command = Command(kind, subjects, by, reason, **more)  # type: ignore[arg-type]
        self.feed(CommandGiven(self._tickets, command))
        return self.answers[self._tickets]

    def dns(self, name: str, rtype: str = "A") -> tuple[str, ...]:
        return self.records.get(RRsetKey(name, rtype), (0, ()))[1]

    def publish(self, name: str, *values: str, rtype: str = "A", ttl: int = 60) -> None:
        """Somebody writes into DNS by hand."""
        key = RRsetKey(name, rtype)
        if values:
            self.records[key] = (ttl, tuple(sorted(values)))
        else:
            self.records.pop(key, None)

    def kinds(self) -> list[str]:
        """The attention list, as kinds."""
        return [row.kind for row in self.status.attention]

    def held(self) -> list[str]:
        return [view.id for view in self.status.changes if view.state == "held"]


def settings(*loadbalancers: LoadBalancer, **options: object) -> Settings:
    """Three agents, a provider and no waiting between writes, unless said otherwise."""
    given: dict[str, object] = {
        "agents": ("a1", "a2", "a3"),
        "provider": "memory",
        "upload_interval_s": 0.0,
    }
    given.update(options)
    return Settings(loadbalancers=loadbalancers, **given)  # type: ignore[arg-type]
