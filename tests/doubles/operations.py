"""A daemon that is only shown: hand-made pictures of it, and the ports that show them.

`lb`, `ep` and `picture` make values that are plausible, not decided: nothing here is the
controller. `Shown` satisfies the ports `Operations` and `Cluster`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnslb.control.views import InstanceInfo
from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand, ClusterReply, ClusterView, MemberView
from dnslb.model.command import Command, CommandReply
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, Monitor, MonitorList
from dnslb.model.operator import OperatorState
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.model.rrset import RRsetKey
from dnslb.model.status import (
    AgentView,
    Attention,
    ChangeView,
    Decision,
    EndpointView,
    LoadBalancerState,
    LoadBalancerView,
    LogEntry,
    Status,
    ZoneView,
)
from dnslb.model.verdict import Verdict, VerdictState
from dnslb.net.watchable import Watchable

WALL = 1_767_225_600.0  # 2026-01-01T00:00:00Z
NOW = Now(mono=1000.0, boot=2000.0, wall=WALL)
AGENTS = ("a1", "a2", "a3")
INFO = InstanceInfo(
    instance_id="here",
    version="0.1.0",
    election="singleton",
    port=8080,
    started=NOW.later(-3600.0),
    socket="/run/dnslb/here.sock",
    owner_id="example",
    provider="file",
)
ALONE = ClusterView(
    role="leader",
    term=0,
    leader=("here", ""),
    members=(MemberView("here", "", "voter", "leader", True, "0.1.0", "abcdef0123"),),
)


def ep(url: str, state: VerdictState = "up", *, agents: int = 3, **given: object) -> EndpointView:
    """An endpoint on which all agents agree, counted and published accordingly."""
    monitor = Monitor.from_url(url)
    counts = {"up": "living", "down": "dead", "unknown": "unknown"}[state]
    votes = [agents if state == word else 0 for word in ("up", "down", "unknown")]
    view = EndpointView(
        endpoint=Endpoint(monitor, monitor.host),
        verdict=Verdict(state, *votes),
        counts_as=counts,  # type: ignore[arg-type]
        since_wall=WALL - 60.0,
        override=None,
        published=state == "up",
        flaps=0,
        reason=f"{agents} of {agents} agents say {state}",
        monitor_index=None,
    )
    return view._replace(**given)  # type: ignore[arg-type]


def lb(
    name: str, *endpoints: EndpointView, state: LoadBalancerState = "healthy", **given: object
) -> LoadBalancerView:
    published = tuple(sorted(e.endpoint.address for e in endpoints if e.published))
    living = sum(e.counts_as == "living" for e in endpoints)
    view = LoadBalancerView(
        name=name,
        zone="example.org",
        state=state,
        living=living,
        total=len(endpoints),
        disputed=(),
        desired=published,
        published=published,
        rule="verdicts",
        sentence=f"{living} of {len(endpoints)} endpoints are living",
        frozen=None,
        history=(Decision(WALL - 600.0, published, "verdicts", "as it was"),),
        ttl=60,
        min_published=1,
        draw=lambda: endpoints,
    )
    return replace(view, **given)  # type: ignore[arg-type]


def agent(name: str, monitors: MonitorList, votes: bytes, **given: object) -> AgentView:
    """A fresh agent that said ``votes`` two seconds ago."""
    texts = {i: "connection refused" for i, vote in enumerate(votes) if vote == DOWN}
    report = Report(name, monitors, votes, NOW.mono - 2.0, NOW.wall - 2.0, messages=texts)
    view = AgentView(
        name=name,
        fresh=True,
        suspect=False,
        seen_mono=report.seen_mono,
        report=report,
        healthy=votes.count(UP),
        skew_s=0.0,
        sentence="reports",
    )
    return replace(view, **given)  # type: ignore[arg-type]


def picture(*loadbalancers: LoadBalancerView, **given: object) -> Status:
    """A status of these load balancers, whose agents said what the verdicts say."""
    configured = [
        LoadBalancer(view.name, tuple(e.endpoint for e in view.endpoints)) for view in loadbalancers
    ]
    monitors = MonitorList.of(configured)
    word = {"up": UP, "down": DOWN, "unknown": UNKNOWN}
    votes = bytearray(len(monitors))
    lbs: dict[str, LoadBalancerView] = {}
    for view in loadbalancers:
        found = []
        for endpoint in view.endpoints:
            index = monitors.index_of[endpoint.endpoint.monitor]
            votes[index] = word[endpoint.verdict.state]
            found.append(endpoint._replace(monitor_index=index))
        lbs[view.name] = replace(view, draw=lambda rows=tuple(found): rows)  # type: ignore[misc]
    status = Status(
        revision=1,
        at=NOW,
        monitors=monitors,
        loadbalancers=lbs,
        agents=tuple(agent(name, monitors, bytes(votes)) for name in AGENTS),
        zones={"example.org": ZoneView("example.org", WALL - 30, WALL - 90, False, 0, None, None)},
        changes=(),
        lease=Lease("here", FencingToken("example", 1, 0, "n")),
        gate=None,
        operator=OperatorState(),
        released=(),
        attention=(),
        dry_run=False,
        counters={},
    )
    return replace(status, **given)  # type: ignore[arg-type]


def row(
    severity: str = "critical", kind: str = "all-down", subject: str = "www.example.org"
) -> Attention:
    return Attention(
        severity,  # type: ignore[arg-type]
        kind,
        subject,
        WALL - 240.0,
        f"{subject} is down: all endpoints are dead",
        f"dnslbctl why {subject}",
    )


def change(id_: str = "c0ffee01", **given: object) -> ChangeView:
    view = ChangeView(
        id=id_,
        zone="example.org",
        key=RRsetKey("www.example.org", "A"),
        before=("192.0.2.1", "192.0.2.2"),
        after=("192.0.2.1",),
        ttl=60,
        reason="192.0.2.2 is down",
        cause="health",
        state="pending",
        created_wall=WALL - 5.0,
    )
    return replace(view, **given)  # type: ignore[arg-type]


@dataclass
class Shown:
    """The ports `Operations` and `Cluster` over pictures that a test sets.

    ``answer`` and ``cluster_answer``: what `perform` and `execute` reply, or raise; None: as a
    singleton does. ``commands``: what it was asked.
    """

    first: Status
    entries: Sequence[LogEntry] = ()
    members: ClusterView = ALONE
    answer: CommandReply | Exception = CommandReply(True, ("done",))
    cluster_answer: ClusterReply | Exception | None = None
    commands: list[tuple[Command, float]] = field(default_factory=list)
    cluster_commands: list[ClusterCommand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.status = Watchable(self.first)
        self.log: Watchable[tuple[LogEntry, ...]] = Watchable(())
        for entry in self.entries:
            self.say(entry)

    def show(self, status: Status) -> None:
        self.status.set(replace(status, revision=self.status.value.revision + 1))

    def say(self, entry: LogEntry, kept_max: int = 1000) -> None:
        self.log.set((*self.log.value, entry)[-kept_max:])

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        self.commands.append((command, timeout_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def execute(self, command: ClusterCommand) -> ClusterReply:
        self.cluster_commands.append(command)
        if isinstance(self.cluster_answer, Exception):
            raise self.cluster_answer
        if self.cluster_answer is not None:
            return self.cluster_answer
        raise CommandRefused(f"{command.name}: this instance is a singleton and has no members")

    def view(self) -> ClusterView:
        return self.members


def entry(message: str = "www.example.org is down", at: float = WALL, **fields: object) -> LogEntry:
    said: Mapping[str, object] = fields
    return LogEntry(at, "verdict", message, said)
