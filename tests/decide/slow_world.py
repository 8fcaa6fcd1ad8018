"""A world that answers nothing at once: what a controller wants waits until it is carried out.

Beside `world.World`: reads, writes, commits and searches wait in queues like those of the daemon
(one plan may wait per zone, a newer one replaces it), so that facts can overtake each other as
they do in life.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

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
    ReadZone,
    Recall,
    Resign,
    TakeFence,
)
from dnslb.decide.settings import GuardSettings, Settings
from dnslb.errors import FenceLost
from dnslb.model.capabilities import Capabilities
from dnslb.model.checkpoint import StoredState
from dnslb.model.command import Command, CommandKind
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import LoadBalancer
from dnslb.model.names import longest_zone
from dnslb.model.outcome import Failure, ReadOutcome, Receipt, WriteOutcome
from dnslb.model.plan import Plan
from dnslb.model.report import UNKNOWN, Report
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.model.status import Status
from dnslb.providers import marker
from tests.decide.world import balancer, endpoint

ZONES = ("example.org", "example.net")
AGENTS = ("a1", "a2", "a3")
FOREIGN = {
    RRsetKey("mail.example.org", "A"): (300, ("192.0.2.77",)),
    RRsetKey("example.org", "AAAA"): (300, ("2001:db8::78",)),
    RRsetKey("xwww.example.org", "A"): (60, ("192.0.2.79",)),
}
STEPS_AT_ONCE_MAX = 3000


def configurations() -> list[tuple[LoadBalancer, ...]]:
    """What reloads choose from: names and addresses come and go, policies differ."""
    www = [f"192.0.2.{i}" for i in range(1, 6)]
    tiers = [endpoint(f"tcp://192.0.2.{i}:80", priority=i // 12) for i in (10, 11, 12, 13)]
    api = balancer("api.example.org", *tiers, max_withdraw=0.5)
    net = balancer("www.example.net", "198.51.100.1", "2001:db8::1", min_published=1)
    gone = balancer("x.example.net", "198.51.100.7", "198.51.100.8", when_all_down="none")
    back = balancer(
        "x.example.net", "198.51.100.7", when_all_down="fallback", fallback=("203.0.113.1",)
    )
    return [
        (balancer("www.example.org", *www, max_withdraw=0.5), api, net, gone),
        (balancer("www.example.org", *www[1:], "192.0.2.6", min_published=2), api, net),
        (balancer("www.example.org", *www, when_all_down="all"), net, back),
        (api, net, gone),
    ]


@dataclass
class _Worker:
    """The zone worker's queue: reads in order, at most one plan that has not begun."""

    jobs: deque[TakeFence | ReadZone | Plan] = field(default_factory=deque)

    def apply(self, plan: Plan) -> Plan | None:
        replaced = next((job for job in self.jobs if isinstance(job, Plan)), None)
        if replaced is not None:
            self.jobs.remove(replaced)
        self.jobs.append(plan)
        return replaced


class SlowWorld:
    """``compares``: the provider refuses a write whose RRset is not as it was read. ``fenced``:
    it compares the marker, too."""

    def __init__(self, compares: bool = True, fenced: bool = False) -> None:
        self.compares = compares
        self.capabilities = Capabilities(fenced=fenced, marked=fenced, shared=fenced)
        self.markers: dict[str, FencingToken] = {}
        self.now = Now(1000.0, 1000.0, 1_700_000_000.0)
        self.records: dict[RRsetKey, tuple[int, tuple[str, ...]]] = dict(FOREIGN)
        self.state = StoredState()
        self.state_age_at = self.now
        self.configurations = configurations()
        self.settings = self._settings(self.configurations[0])
        self.ever = {lb.name for lb in self.settings.loadbalancers}
        self.term = 0
        self.applied = 0
        self.begin()

    def _settings(self, lbs: tuple[LoadBalancer, ...]) -> Settings:
        guard = GuardSettings(max_withdraw_total=0.5, window_s=60.0, total_from=6)
        return Settings(
            lbs,
            AGENTS,
            provider="memory",
            guard=guard,
            upload_interval_s=1.0,
            capabilities=self.capabilities,
        )

    def begin(self) -> None:
        """A process starts from what is stored; whatever was queued in the old one is gone."""
        self.controller = Controller()
        self.workers: dict[str, _Worker] = {}
        self.searches: deque[str] = deque()
        self.commits: deque[Commit] = deque()
        self.open_commands: set[int] = set()
        self.reports: dict[str, Report] = {}
        self.silent: set[str] = set()
        self.rounds: set[str] = set()
        self.lease: Lease | None = None
        self.told_ours: dict[str, FencingToken] = {}
        self.tickets = 0
        self.since_stall: set[str] | None = None
        self.step(SettingsChanged(self.settings))
        self.step(StateLoaded(self.state, self.now.mono - self.state_age_at.mono))
        self.gain_lease()

    def on_plan(self, plan: Plan) -> None:
        """A plan is handed out."""

    def on_commit(self) -> None:
        """A commit became durable."""

    def step(self, event: Event) -> None:
        queue: deque[Event] = deque([event])
        for _ in range(STEPS_AT_ONCE_MAX):
            if not queue:
                due = self.controller.deadline()
                if due is None or due > self.now.mono:
                    return
                assert self.controller.is_busy, "due at once, with nothing to do"
                queue.append(Woke())
            for intent in self.controller.step(queue.popleft(), self.now):
                self._queue(intent, queue)
        raise AssertionError("never comes to rest")

    def _queue(self, intent: Intent, events: deque[Event]) -> None:
        match intent:
            case FindZones(names):
                self.searches.extend(names)
            case TakeFence(zone, token):
                assert self.lease is not None
                assert token == self.lease.token
                self.workers.setdefault(zone, _Worker()).jobs.append(intent)
            case ReadZone(zone, _):
                self.check_marker(zone)
                self.workers.setdefault(zone, _Worker()).jobs.append(intent)
            case Apply(plan):
                self.check_marker(plan.zone)
                self.on_plan(plan)
                replaced = self.workers.setdefault(plan.zone, _Worker()).apply(plan)
                if replaced is not None:
                    gated = Failure("gated", "replaced by a newer plan")
                    events.append(WriteEnded(WriteOutcome(replaced, gated)))
            case Recall(zone):
                worker = self.workers.setdefault(zone, _Worker())
                for plan in [job for job in worker.jobs if isinstance(job, Plan)]:
                    worker.jobs.remove(plan)
                    gated = Failure("gated", "nothing is to be changed any more")
                    events.append(WriteEnded(WriteOutcome(plan, gated)))
            case Commit():
                self.commits.append(intent)
            case Answer(ticket):
                self.open_commands.discard(ticket)
            case Resign():
                assert self.lease is not None
                assert any(m.term > self.term for m in self.markers.values()), "nobody is newer"
                self.lease = None

    def check_marker(self, zone: str) -> None:
        """Nothing is read or written before the marker is known to be this lease's."""
        if self.capabilities.marked:
            assert self.lease is not None
            assert self.told_ours.get(zone) == self.lease.token, "the marker is not ours"

    def _take_fence(self, job: TakeFence) -> Failure | None:
        if self.lease is None or job.token != self.lease.token:
            return Failure("gated", "not sent: another term")
        try:
            marker.check_take(job.zone, self.markers.get(job.zone), job.token)
        except FenceLost as e:
            return Failure("fenced", str(e))
        self.markers[job.zone] = job.token
        return None

    def take_away(self, zone: str) -> None:
        """Another instance of ours, elected meanwhile, takes the marker of a zone."""
        rival = FencingToken("owner", 1, self.term + 1, "rival")
        if (held := self.markers.get(zone)) is None or held.term <= self.term:
            self.markers[zone] = rival

    def work(self, zone: str, failure: Failure | None = None, landed: bool = False) -> None:
        """The zone's worker does its next job; ``landed``: done, though it reports a failure."""
        worker = self.workers.get(zone)
        if worker is None or not worker.jobs:
            return
        job = worker.jobs.popleft()
        if isinstance(job, TakeFence):
            taken = self._take_fence(job) if failure is None or landed else failure
            if taken is None and failure is None:
                self.told_ours[zone] = job.token
            self.step(FenceTaken(zone, job.token, failure or taken))
            return
        if isinstance(job, ReadZone):
            read = failure if failure and failure.kind != "gated" else self._read(job)
            self.step(ZoneRead(ReadOutcome(zone, read)))
            return
        result = failure or self._write(job)
        if failure is not None and landed:
            self._write(job)
        self.step(WriteEnded(WriteOutcome(job, result)))

    def _read(self, job: ReadZone) -> ZoneReading:
        rrsets = {
            key: RRset(key, ttl, values)
            for key, (ttl, values) in self.records.items()
            if key.name in job.names
        }
        return ZoneReading(job.zone, job.names, rrsets)

    def _write(self, plan: Plan) -> Receipt | Failure:
        if self.lease is None or plan.term != self.lease.term:
            return Failure("gated", "not sent: another term")
        if self.is_paused(plan):
            return Failure("gated", "not sent: paused")
        if self.capabilities.fenced and self.markers.get(plan.zone) != self.lease.token:
            return Failure("fenced", "another writer holds the fence")
        for change in plan.changes:
            before = change.before and (change.before.ttl, change.before.values)
            if self.compares and self.records.get(change.key) != before:
                return Failure("conflict", f"{change.key} is not as it was read")
        for change in plan.changes:
            if change.after is None:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = (change.after.ttl, change.after.values)
        self.applied += 1
        return Receipt()

    def is_paused(self, plan: Plan) -> bool:
        names = {"", plan.zone, *(change.key.name for change in plan.changes)}
        return not names.isdisjoint(self.state.operator.pauses)

    def commit(self, failure: str | None = None) -> None:
        if not self.commits:
            return
        commit = self.commits.popleft()
        if failure is not None:
            self.step(CommitFailed(commit.ticket, failure))
            return
        for change in commit.changes:
            self.state = self.state.apply(change)
        self.state_age_at = self.now
        self.on_commit()
        self.step(Committed(commit.ticket, self.state))

    def find(self) -> None:
        if self.searches:
            name = self.searches.popleft()
            self.step(ZoneFound(name, longest_zone(name, ZONES)))

    def drain(self) -> None:
        """Everything that waits is carried out, without a fault."""
        for _ in range(STEPS_AT_ONCE_MAX):
            if self.searches:
                self.find()
            elif self.commits:
                self.commit()
            elif busy := [zone for zone, worker in self.workers.items() if worker.jobs]:
                self.work(busy[0])
            else:
                return
        raise AssertionError("the queues are never empty")

    @property
    def status(self) -> Status:
        status = self.controller.status
        assert status is not None
        return status

    def gain_lease(self) -> None:
        newest = max((m.term for m in self.markers.values()), default=0)
        self.term = max(self.term, newest) + 1
        token = FencingToken("owner", 1, self.term, f"n{self.term}")
        self.lease = Lease("here", token, clean_start=True)
        self.step(LeaseChanged(self.lease))

    def wait(self, seconds: float, repeat: bool = True) -> None:
        """Time passes; agents repeat what they said every ten seconds."""
        end = self.now.mono + seconds
        again = self.now.mono + 10.0
        for _ in range(5000):
            due = self.controller.deadline()
            assert due is None or due > self.now.mono or self.controller.is_busy
            at = min(end, again, end if due is None else due)
            self.now = self.now.later(max(0.0, at - self.now.mono))
            if repeat and self.now.mono >= again:
                for agent in sorted(self.reports.keys() - self.silent):
                    self.report(agent, self.said(agent))
            if self.now.mono >= again:
                again += 10.0
            self.step(Woke())
            if self.now.mono >= end:
                return
        raise AssertionError("deadlines do not move on")

    def report(self, agent: str, votes: bytes) -> None:
        self.reports[agent] = Report(
            agent, self.settings.monitors, votes, self.now.mono, self.now.wall
        )
        self.silent.discard(agent)
        self.rounds.add(agent)
        if self.since_stall is not None:
            self.since_stall.add(agent)
        self.step(ReportArrived(self.reports[agent]))

    def command(self, kind: CommandKind, *subjects: str, **more: object) -> None:
        self.tickets += 1
        self.open_commands.add(self.tickets)
        command = Command(kind, subjects, "kim", "test", **more)  # type: ignore[arg-type]
        self.step(CommandGiven(self.tickets, command))

    def reload(self, lbs: tuple[LoadBalancer, ...]) -> None:
        self.settings = self._settings(lbs)
        self.ever |= {lb.name for lb in lbs}
        self.step(SettingsChanged(self.settings))
        for agent in sorted(self.reports.keys() - self.silent):
            self.report(agent, self.said(agent))

    def said(self, agent: str) -> bytes:
        """What the agent said last, as far as it concerns the monitors of now."""
        monitors = self.settings.monitors.monitors
        if (report := self.reports.get(agent)) is None:
            return bytes(len(monitors))
        places = [report.monitors.index_of.get(monitor) for monitor in monitors]
        return bytes(UNKNOWN if p is None else report.votes[p] for p in places)
