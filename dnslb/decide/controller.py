"""The heart: ``step(event, now) → intents`` and ``deadline()``; owns all decision state.

Facts come in as values together with the time; what is to be done goes out as values. It draws
no luck, reads no clock and touches nothing. What raises while one load balancer is evaluated
freezes that one; anything else that raises ends the process (`safety.md` 4.8).
"""

from __future__ import annotations

from dnslb.decide import attention, reason
from dnslb.decide.agents import AgentLedger
from dnslb.decide.balancer import Balancer
from dnslb.decide.desk import Desk, answer
from dnslb.decide.events import (
    CommandGiven,
    CommitFailed,
    Committed,
    Event,
    FenceTaken,
    LeaseChanged,
    LoopStalled,
    MembersCompared,
    PublicationChecked,
    ReportArrived,
    SettingsChanged,
    StateLoaded,
    Woke,
    WriteEnded,
    ZoneFound,
    ZoneRead,
)
from dnslb.decide.gate import Gate
from dnslb.decide.intents import Intent, KeepMonitorList, PublishStatus, Resign
from dnslb.decide.journal import Journal
from dnslb.decide.outcomes import Outcomes
from dnslb.decide.picture import Picture, Resigned
from dnslb.decide.settings import Settings
from dnslb.decide.store import Ended, Store
from dnslb.decide.tally import Tally, tally
from dnslb.decide.writer import Writer
from dnslb.decide.zones import Zones
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.status import Status

_TURNS_LOGGED_MAX = 20
_LOADBALANCER_WEIGHT = 4
_FOUND_WAIT_S = 0.25
"""Of thousands of names whose zones are being found, not each is a reason to plan anew."""
_ENDPOINTS_A_STEP = 1500
"""Evaluated in one step, so that no step holds the event loop for long."""


class Controller:
    """One per process. Call `step` for every event, and again when `deadline` has come."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._agents = AgentLedger()
        self._tally = Tally()
        self._witnesses = self._agents.witnesses()
        self._votes: list[bytes] | None = None
        self._balancers: dict[str, Balancer] = {}
        self._by_monitor: list[list[str]] = []
        self._zones = Zones()
        self._store = Store()
        self._gate = Gate()
        self._journal = Journal()
        self._writer = Writer(self._zones, self._store, self._journal)
        self._desk = Desk(self._store, self._zones, self._writer, self._journal)
        self._outcomes = Outcomes(self._zones, self._writer, self._journal)
        self._picture = Picture()
        self._lease: Lease | None = None
        self._resigned: Resigned | None = None
        self._dirty: set[str] = set()
        self._evaluated: set[str] = set()
        self._due: dict[str, float] = {}
        self._out: list[Intent] = []
        self._planned_mono = float("-inf")
        self._plan_waits = False
        self._last_deadline: float | None = None

    @property
    def status(self) -> Status | None:
        """The newest picture; None before the first step."""
        return self._picture.status

    def step(self, event: Event, now: Now) -> list[Intent]:
        """Takes one fact, decides anew whatever it concerns, and returns what is to be done."""
        self._out = []
        self._take(event, now)
        self._plan_waits = (
            isinstance(event, ZoneFound)
            and self._zones.is_searching
            and now.mono < self._planned_mono + _FOUND_WAIT_S
        )
        self._evaluate(now)
        return self._out

    @property
    def is_busy(self) -> bool:
        """Whether the last step left something over for the next one, due at once."""
        return bool(self._dirty)

    def deadline(self) -> float | None:
        """The monotonic instant at which `Woke` is wanted, if nothing happens before."""
        return self._last_deadline

    def _take(self, event: Event, now: Now) -> None:
        match event:
            case Woke():
                pass
            case ReportArrived(report):
                self._journal.count("reports")
                if not self._agents.take(report):
                    self._journal.count("reports_ignored")
            case FenceTaken() | ZoneRead() | WriteEnded() | PublicationChecked():
                noted = self._outcomes.take(event, now)
                self._dirty |= noted.names & self._balancers.keys()
                if noted.fenced is not None:
                    self._resign(noted.fenced, now)
            case ZoneFound(name):
                self._outcomes.take(event, now)
                if name in self._balancers:
                    self._balancers[name].zone = self._zones.of_owner.get(name)
                    self._dirty.add(name)
            case Committed(ticket, state):
                before, after = self._store.operator.overrides, state.operator.overrides
                changed = {k for k in {*before, *after} if before.get(k) != after.get(k)}
                self._dirty |= {lb for lb, _ in changed} & self._balancers.keys()
                self._finish(self._store.committed(ticket, state), now)
            case CommitFailed(ticket, sentence, uncertain):
                self._journal.count("commit_failures")
                self._journal.log("state-store", f"decisions could not be stored: {sentence}", now)
                self._finish(self._store.failed(ticket, sentence, now, uncertain), now)
            case CommandGiven(ticket, _):
                self._take_command(event, now)
            case LoopStalled(stalled_s):
                self._journal.count("loop_stalls")
                self._agents.void_rounds()
                self._gate.stalled(now)
                self._journal.log(
                    "stall", f"our own event loop stood still for {stalled_s:.2f} s", now
                )
            case LeaseChanged(lease):
                self._take_lease(lease, now)
            case StateLoaded(state, guard_age_s):
                self._store.load(state, guard_age_s, now, force=self._lease is None)
                self._rest_on_memory(now)
            case SettingsChanged(settings):
                self._configure(settings, now)
            case MembersCompared(digest):
                self._writer.precedence.take_agreed(digest)

    def _configure(self, settings: Settings, now: Now) -> None:
        self._settings = settings
        self._gate.start(now)
        self._agents.configure(settings)
        old, self._balancers = self._balancers, {}
        monitors = settings.monitors
        for lb in settings.loadbalancers:
            balancer = old.get(lb.name)
            if balancer is None:
                balancer = Balancer(lb, monitors)
            else:
                balancer.reconfigure(lb, monitors)
            balancer.zone = self._zones.of_owner.get(lb.name)
            self._balancers[lb.name] = balancer
        self._by_monitor = [[] for _ in monitors.monitors]
        for name, balancer in self._balancers.items():
            for index in set(balancer.indexes):
                self._by_monitor[index].append(name)
        self._votes = None
        self._due = {}
        self._dirty = set(self._balancers)
        self._writer.configure(settings, leads=self._lease is not None)
        self._restore_flaps(now)
        self._want_zones()
        self._zones.retry()
        if self._lease is not None:
            self._keep_monitor_list()

    def _keep_monitor_list(self) -> None:
        """Said at each change of list or lease; the keeping itself is the worker's."""
        if self._settings.keeps_monitor_list:
            token = self._lease.token if self._lease is not None else None
            self._out.append(KeepMonitorList(self._settings.monitors, token))

    def _want_zones(self) -> None:
        """Configured names, and those that were ours and are released."""
        if self._settings.provider is None:
            return
        for key, owned in self._store.memory.owned.items():
            if key.name not in self._zones.of_owner:
                self._zones.place(key.name, owned.zone)
        names = set(self._balancers) | {key.name for key in self._store.memory.owned}
        self._zones.want(names)
        for name, balancer in self._balancers.items():
            balancer.zone = self._zones.of_owner.get(name)

    def _rest_on_memory(self, now: Now) -> None:
        """What is stored was loaded or taken over: everything is looked at again."""
        self._restore_flaps(now)
        self._want_zones()
        self._dirty |= self._balancers.keys()

    def _restore_flaps(self, now: Now) -> None:
        if not self._balancers:
            return
        for (lb, address), flaps in self._store.take_flaps().items():
            balancer = self._balancers.get(lb)
            if balancer is not None and address in balancer.dampers:
                balancer.dampers[address].restore(flaps, self._store.guard_age_s(now), now.mono)

    def _take_lease(self, lease: Lease | None, now: Now) -> None:
        if lease is not None and self._resigned is not None:
            if lease.token == self._resigned.token:
                lease = None
            else:
                self._resigned = None
        held, self._lease = self._lease, lease
        if lease is None:
            if held is not None:
                self._writer.lay_down()
                self._keep_monitor_list()
                self._journal.log("lease", "the right to write is gone; nothing is written", now)
            return
        if held is not None and held.token == lease.token:
            return
        capabilities = self._settings.capabilities
        calm = capabilities.fenced or lease.clean_start
        wait_s = 0.0 if calm else capabilities.write_s_max
        self._keep_monitor_list()
        self._zones.take_over(now.mono + wait_s)
        self._store.take_over(now)
        self._rest_on_memory(now)
        self._journal.log("lease", f"{lease.holder} may write now (term {lease.term})", now)

    def _resign(self, why: str, now: Now) -> None:
        """Another writer holds the fence: nothing more is written under this token, also before
        the elector has given the lease up."""
        if self._lease is not None:
            self._resigned = Resigned(self._lease.token, why)
            self._out.append(Resign(why))
            self._take_lease(None, now)

    def _take_command(self, event: CommandGiven, now: Now) -> None:
        refusal = None
        if self._settings.dry_run:
            refusal = "this is a dry run: nothing is steered here"
        elif self._lease is None:
            refusal = "this instance does not lead; ask the one that does"
        intent, accepted = self._desk.take(event, self._balancers, refusal, now)
        self._out.append(intent)
        if accepted is not None and accepted.forget:
            self._want_zones()

    def _finish(self, ended: Ended | None, now: Now) -> None:
        """A commit is over: look again at what it concerns, and tell who waits."""
        if self._store.take_over_late(now):
            self._rest_on_memory(now)
        if ended is None:
            return
        self._dirty |= set(ended.accepted.lbs) & self._balancers.keys()
        self._out.append(answer(ended))

    def _evaluate(self, now: Now) -> None:
        """Tally to desired for whatever changed; then, for the lease holder, what may go out."""
        self._tally_votes(now)
        self._dirty |= {name for name, due in self._due.items() if due <= now.mono}
        dirty = self._take_slice()
        for name in dirty:
            self._evaluate_one(self._balancers[name], now)
        self._evaluated.update(
            name for name in dirty if not self._writer.is_settled(self._balancers[name])
        )
        self._gate.refresh(self._agents, self._settings, now)
        if not (self._dirty or self._plan_waits):
            self._plan(now)
        leads = self._lease is not None
        if not (leads or self._settings.dry_run or self._resigned is not None):
            self._zones.lay_down()
        self._out += self._writer.verify(leads, now)
        self._out += self._journal.take()
        status = self._picture.draw(
            self._settings,
            self._balancers,
            dirty,
            self._agents,
            self._zones,
            self._writer,
            self._store,
            self._gate,
            self._lease,
            self._resigned,
            self._tally,
            self._journal.counters,
            now,
        )
        self._out.append(PublishStatus(status))
        self._last_deadline = self._next_deadline(now)

    def _take_slice(self) -> list[str]:
        """As many load balancers as fit into one step; the rest is for the next one at once."""
        names: list[str] = []
        room = _ENDPOINTS_A_STEP
        for name in sorted(self._dirty):
            names.append(name)
            room -= len(self._balancers[name].indexes) + _LOADBALANCER_WEIGHT
            if room <= 0:
                break
        self._dirty.difference_update(names)
        return names

    def _plan(self, now: Now) -> None:
        """What may go out, once everything that changed has been evaluated: never before, since
        the guard must see a failure whole."""
        self._planned_mono = now.mono
        evaluated, self._evaluated = self._evaluated, set()
        evaluated &= self._balancers.keys()
        leads = self._lease is not None
        if not self._store.is_ready or not (leads or self._settings.dry_run):
            return
        if self._settings.provider is not None:
            self._out += self._zones.requests(self._settings, self._marker_token(), now)
            self._out += self._writer.round(
                evaluated, self._balancers, self._lease, self._gate, self._settings, now
            )
        if leads:
            self._out += self._store.upkeep(self._writer.ledger, self._zones, now)

    def _marker_token(self) -> FencingToken | None:
        """What the marker of each zone must hold before the zone is read."""
        marked = self._settings.capabilities.marked
        return self._lease.token if marked and self._lease is not None else None

    def _tally_votes(self, now: Now) -> None:
        votes, turned = self._agents.refresh(now)
        for sentence in turned:
            self._journal.log("agent", sentence, now)
        if votes == self._votes:
            return
        self._votes = votes
        self._witnesses = self._agents.witnesses()
        older = self._tally
        monitors, agents = self._settings.monitors, len(self._settings.agents)
        self._tally = tally(votes, len(monitors), agents)
        for index in self._tally.changed_since(older):
            self._dirty.update(self._by_monitor[index])

    def _evaluate_one(self, balancer: Balancer, now: Now) -> None:
        name = balancer.lb.name
        self._due.pop(name, None)
        published = self._published(name)
        if balancer.frozen is not None:
            balancer.freeze(balancer.frozen, published)
            return
        try:
            balancer.evaluate(self._tally, self._witnesses, self._store.operator, published, now)
        except Exception as e:  # noqa: BLE001  the boundary of safety.md 4.8
            sentence = f"{type(e).__name__}: {e}"
            balancer.freeze(sentence, published)
            self._journal.count("frozen")
            self._journal.log("frozen", f"{name} is frozen: {sentence}", now)
            return
        if balancer.due_mono is not None:
            self._due[name] = balancer.due_mono
        for endpoint, sentence in balancer.turned[:_TURNS_LOGGED_MAX]:
            self._journal.log("verdict", f"{endpoint.spoken}: {sentence}", now, lb=name)
        if (more := len(balancer.turned) - _TURNS_LOGGED_MAX) > 0:
            self._journal.log(
                "verdict", f"{reason.plural(more, 'more endpoint')} turned", now, lb=name
            )

    def _published(self, name: str) -> tuple[str, ...] | None:
        """What stands in DNS: as read or written; who may not write reads not, but remembers."""
        read, known = self._zones.published(name), self._store.remembered(name)
        reads = self._lease is not None or self._settings.dry_run
        return read if read is not None and (reads or known is None) else known

    def _next_deadline(self, now: Now) -> float | None:
        if self._dirty:
            return now.mono
        due = [
            self._agents.next_expiry(),
            min(self._due.values(), default=None),
            self._zones.next_due(self._settings, now.mono),
        ]
        if self._lease is not None:
            due += [self._writer.due_mono, self._store.next_due(now)]
        if (wait := attention.endless_due(self._store.operator, now)) is not None:
            due.append(now.mono + wait)
        if self._plan_waits:
            due.append(self._planned_mono + _FOUND_WAIT_S)
        if self._picture.started_due is not None:
            due.append(self._picture.started_due)
        # What was due has been looked at in this step; if nothing came of it, no hurry helps.
        soonest = min((at for at in due if at is not None and at > now.mono), default=float("inf"))
        return None if soonest == float("inf") else soonest
