"""What needs a person, worst first, each with the next step: one list for status and metrics.

Every row is one sentence that an operator can act on. Rows keep the instant at which they were
first true. Information is not a need: ``status --check`` counts critical and warning rows only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dnslb.decide import backoff, reason
from dnslb.decide.held import HeldChange, Trouble
from dnslb.decide.zone import Zone
from dnslb.model.instant import Now
from dnslb.model.operator import OperatorState, Override, Pause
from dnslb.model.status import SEVERITIES, AgentView, Attention, LoadBalancerView, Severity

ENDLESS_AFTER_S = 3600.0
ZONE_CRITICAL_AFTER_S = 300.0
KIND_MAX = 100
_SYNC = "see the sentence; dnslbctl sync tries again at once"


class Row(NamedTuple):
    """An attention row before it knows since when it has been true."""

    severity: Severity
    kind: str
    subject: str
    sentence: str
    next: str


class AttentionList:
    """Gives rows their age; the same (kind, subject) keeps it while it lasts."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._rows: list[Row] = []
        self._listed: tuple[Attention, ...] = ()

    def take(self, rows: list[Row], now: Now) -> tuple[Attention, ...]:
        """All rows of this moment, worst first, then oldest first; of one kind at most
        ``KIND_MAX`` by name, the rest as a number."""
        if rows == self._rows:
            return self._listed
        self._rows = rows
        rows = _capped(rows)
        since: dict[tuple[str, str], float] = {}
        listed = []
        for row in rows:
            key = (row.kind, row.subject)
            at = since.setdefault(key, self._since.get(key, now.wall))
            listed.append(
                Attention(row.severity, row.kind, row.subject, at, row.sentence, row.next)
            )
        self._since = since
        listed.sort(key=lambda a: (SEVERITIES.index(a.severity), a.since_wall, a.kind, a.subject))
        self._listed = tuple(listed)
        return self._listed


def _capped(rows: list[Row]) -> list[Row]:
    counts = Counter(row.kind for row in rows)
    if max(counts.values(), default=0) <= KIND_MAX:
        return rows
    kept: list[Row] = []
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row.kind] += 1
        if seen[row.kind] <= KIND_MAX:
            kept.append(row)
        elif seen[row.kind] == counts[row.kind]:
            more = counts[row.kind] - KIND_MAX
            text = f"{more} more of this kind ({row.kind}), {row.subject} among them"
            kept.append(Row(row.severity, row.kind, "more", text, "dnslbctl endpoints"))
    return kept


def of_loadbalancer(view: LoadBalancerView) -> list[Row]:
    next_step = f"dnslbctl why {view.name}"
    if view.frozen is not None:
        return [
            Row(
                "critical",
                "frozen",
                view.name,
                f"{view.name} is frozen, since its evaluation failed: {view.frozen}",
                "report this as a defect; a reload (SIGHUP) tries again",
            )
        ]
    rows = []
    if view.state == "down":
        shown = reason.listed(view.published or ())
        text = f"{view.name} is down: {view.sentence}; in DNS now: {shown}"
        rows.append(Row("critical", "all-down", view.name, text, next_step))
    elif view.state == "unknown":
        text = f"{view.name}: {view.sentence}"
        rows.append(Row("warning", "unknown", view.name, text, next_step))
    elif view.state == "degraded":
        text = f"{view.name}: {view.living} of {view.total} endpoints live"
        rows.append(Row("info", "degraded", view.name, text, next_step))
    if view.disputed and view.state != "unknown":
        names = reason.listed(view.disputed, 3)
        text = f"{view.name}: the agents disagree on {names}, so nothing changes there"
        rows.append(Row("info", "disagreement", view.name, text, next_step))
    return rows


def of_agents(agents: tuple[AgentView, ...], quorum: int, started: bool) -> list[Row]:
    """``started``: agents have had the time to report once."""
    rows = []
    fresh = sum(agent.fresh for agent in agents)
    if started and agents and fresh < quorum:
        rows.append(
            Row(
                "critical",
                "no-quorum-of-agents",
                "agents",
                f"{fresh} of {len(agents)} agents report and {quorum} must, so no verdict is "
                "possible and DNS stays as it is",
                "start the silent agents, or look at their network and certificates",
            )
        )
    for agent in agents:
        next_step = f"look at the agent {agent.name}: its process, network, certificate and clock"
        if agent.report is not None and agent.report.via == "etcd":
            # What stands there is dated by its healthd.
            next_step += ", and at its healthd's clock"
        if not agent.fresh and started:
            rows.append(Row("warning", "agent-silent", agent.name, agent.sentence, next_step))
        elif agent.suspect:
            rows.append(Row("warning", "agent-suspect", agent.name, agent.sentence, next_step))
    return rows


def of_held(held: Iterable[HeldChange]) -> list[Row]:
    rows = []
    for change in held:
        if change.dropped_by is not None:
            text = f"{change.dropped_by} decided to leave {change.key} as it is: {change.sentence}"
            rows.append(Row("info", "dropped", change.id, text, f"dnslbctl approve {change.id}"))
            continue
        severity: Severity = "critical" if change.kind == "withdrawal" else "warning"
        next_step = f"dnslbctl approve {change.id}, or dnslbctl drop {change.id} to leave it"
        if change.kind == "configuration":
            next_step = f"give all voters the same configuration and reload them; or {next_step}"
        rows.append(Row(severity, f"held-{change.kind}", change.id, change.sentence, next_step))
    return rows


def of_troubles(troubles: Iterable[Trouble]) -> list[Row]:
    return [Row("warning", t.kind, t.subject, t.sentence, t.next) for t in troubles]


def of_zone(zone: Zone, now: Now) -> list[Row]:
    trouble = zone.trouble
    if trouble is None:
        return []
    text = f"zone {zone.name}: {trouble.error}"
    if trouble.failures > 1:
        text += f" (failed {trouble.failures} times)"
    return [Row(_severity(trouble.since_wall, now), "zone-error", zone.name, text, _SYNC)]


def of_publication(zone: Zone) -> list[Row]:
    """Servers that are overdue; and, where nobody can be asked, that nothing can be said."""
    rows = [
        Row(
            "warning",
            "not-published",
            f"{zone.name} at {lag.server}",
            f"zone {zone.name}: {reason.of_lag(lag)}",
            "look at that server and the way to it; name whom to ask by -verify-servers"
            if lag.silent
            else "look at the transfer of the zone to that server: NOTIFY, TSIG, serial, its log",
        )
        for lag in zone.lagging
        if lag.overdue
    ]
    if zone.unverified is not None:
        text = f"zone {zone.name}: what was applied cannot be verified: {zone.unverified}"
        step = "name the servers to ask with -verify-servers, or set it to off"
        rows.append(Row("info", "not-verified", zone.name, text, step))
    return rows


def of_unserved(name: str) -> Row:
    return Row(
        "warning",
        "no-zone",
        name,
        f"{name} is not published: the provider has no zone for it",
        "create the zone at the provider, or take the name out of the configuration",
    )


def of_unasked(troubles: Mapping[str, backoff.Trouble], now: Now) -> list[Row]:
    """Names whose zone could not be asked for: one row for all that fail alike."""
    alike: dict[str, list[str]] = {}
    for name, trouble in troubles.items():
        alike.setdefault(trouble.error, []).append(name)
    rows = []
    for error, names in alike.items():
        since_wall = min(troubles[name].since_wall for name in names)
        text = f"{reason.listed(names, 3)}: nothing is read or written there: {error}"
        rows.append(Row(_severity(since_wall, now), "zone-unknown", names[0], text, _SYNC))
    return rows


def _severity(since_wall: float, now: Now) -> Severity:
    """Of a provider's failure: the longer it lasts, the worse."""
    return "critical" if now.wall - since_wall > ZONE_CRITICAL_AFTER_S else "warning"


def of_released(names: Iterable[str]) -> list[Row]:
    return [
        Row(
            "warning",
            "released",
            name,
            f"{name} left the configuration; its records stay in DNS as they are",
            f"dnslbctl release {name} to forget it, or with --delete to remove its records",
        )
        for name in names
    ]


def of_operator(operator: OperatorState, now: Now) -> list[Row]:
    """Pauses at once; overrides without an end after an hour."""
    rows = []
    for pause in operator.pauses.values():
        where = pause.scope or "everything"
        text = f"changes of {where} are paused by {pause.by}: {pause.reason}"
        endless = pause.expires_wall is None and now.wall - pause.created_wall >= ENDLESS_AFTER_S
        severity: Severity = "warning" if endless else "info"
        step = f"dnslbctl resume{' ' + pause.scope if pause.scope else ''}"
        rows.append(Row(severity, "paused", where, text, step))
    for override in operator.overrides.values():
        if override.expires_wall is not None or now.wall - override.created_wall < ENDLESS_AFTER_S:
            continue
        text = f"{override.endpoint} in {override.lb} is {reason.spoken(override)}, without an end"
        step = f"dnslbctl --lb {override.lb} clear {override.endpoint}"
        rows.append(Row("warning", f"endless-{override.kind}", override.endpoint, text, step))
    return rows


def endless_due(operator: OperatorState, now: Now) -> float | None:
    """Seconds until the next override or pause without an end becomes a row."""
    records: list[Override | Pause] = [*operator.overrides.values(), *operator.pauses.values()]
    waits = [r.created_wall + ENDLESS_AFTER_S - now.wall for r in records if r.expires_wall is None]
    return min((wait for wait in waits if wait > 0), default=None)


def of_resigned(why: str) -> Row:
    return Row(
        "critical",
        "resigned",
        "dnslb",
        f"this instance gave up the right to write, so it writes nothing: {why}",
        "find the other writer; when there is none, restart this instance",
    )


def of_store(sentence: str) -> Row:
    return Row(
        "critical",
        "state-store",
        "state",
        f"decisions cannot be made durable, so nothing is written to DNS: {sentence}",
        "free disk space or repair the state directory; dnslb goes on by itself",
    )
