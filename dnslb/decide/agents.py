"""Whose word counts now: freshness, clock skew, full rounds and suspicion of each agent.

A silent or stale agent has no vote; it never says "down" (`safety.md` 4.1, 4.2). The younger of
two reports of one agent wins, whichever way they came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from dnslb.decide.settings import Settings
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import DOWN, UNKNOWN, UP, Report
from dnslb.model.status import AgentView

SKEW_MAX_S = 10.0
_SKEW_SAMPLES = 32


def fresh_until(report: Report, skew_s: float | None, age_s_max: float) -> float:
    """The monotonic instant at which ``report`` stops counting.

    Its arrival bounds it, unless it was found in a store; the sender's ``Time``, corrected by
    the skew, bounds it wherever there is one.
    """
    by_arrival = report.seen_mono + age_s_max
    if report.sent_wall is None:
        return by_arrival
    if skew_s is not None and abs(skew_s) > SKEW_MAX_S:
        return float("-inf")
    age_s = report.arrived_wall - report.sent_wall - (skew_s or 0.0)
    if report.stored and age_s < -SKEW_MAX_S:
        return float("-inf")
    by_time = report.arrived_mono - age_s + age_s_max
    return by_time if report.stored else min(by_arrival, by_time)


def _seen_mono(report: Report, skew_s: float | None) -> float:
    """When the agent saw this, on our monotonic clock; what was found in a store is as old as
    its ``Time`` says, however late it was found."""
    if not report.stored or report.sent_wall is None:
        return report.seen_mono
    age_s = report.arrived_wall - report.sent_wall - (skew_s or 0.0)
    return report.arrived_mono - max(0.0, age_s)


def _follows(report: Report, kept: Report | None) -> bool:
    """Whether one that was found in a store was written no earlier than ``kept``, by the same
    kind of ``Time``. That has whole seconds, so by our clock it can look older than it is."""
    return (
        report.stored
        and kept is not None
        and report.sent_wall is not None
        and kept.sent_wall is not None
        and report.sent_wall >= kept.sent_wall
        and report.arrived_mono >= kept.arrived_mono
    )


@dataclass(slots=True)
class _Agent:
    report: Report | None = None
    seen_mono: float = float("-inf")
    until_mono: float = float("-inf")
    complete_mono: float = float("-inf")
    skews: deque[float] = field(default_factory=lambda: deque(maxlen=_SKEW_SAMPLES))
    fresh: bool = False
    suspect: bool = False
    votes: bytes = b""
    votes_list: MonitorList | None = None

    @property
    def skew_s(self) -> float | None:
        return min(self.skews) if self.skews else None

    def note_skew(self, sample_s: float) -> None:
        """A report can be late for many reasons, but it comes before it was sent for one only: a
        clock that is ahead. Once that is put right, the samples from before prove nothing."""
        if sample_s >= -SKEW_MAX_S and self.skews and min(self.skews) < -SKEW_MAX_S:
            self.skews.clear()
        self.skews.append(sample_s)


class Witnesses(NamedTuple):
    """What fresh agents said, for the words of a sentence: (votes in the order of ``monitors``,
    report) of each."""

    monitors: MonitorList
    fresh: tuple[tuple[bytes, Report], ...]

    def why_down(self, index: int) -> str:
        """What the first agent that says "down" of this monitor gives as its reason, or ""."""
        for votes, report in self.fresh:
            if votes[index] != DOWN:
                continue
            place: int | None = index
            if report.monitors is not self.monitors:
                place = report.monitors.index_of.get(self.monitors.monitors[index])
            if place is not None and (message := report.messages.get(place)):
                return message
        return ""


class AgentLedger:
    """The newest report of each configured agent and what it is worth at an instant."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}
        self._age_s_max = 45.0
        self._monitors = MonitorList()

    def configure(self, settings: Settings) -> None:
        """Agents that leave are forgotten; votes are read anew against the new list."""
        self._agents = {name: self._agents.get(name, _Agent()) for name in settings.agents}
        self._age_s_max = settings.report_max_age_s
        self._monitors = settings.monitors
        for agent in self._agents.values():
            if agent.report is not None:
                agent.until_mono = fresh_until(agent.report, agent.skew_s, self._age_s_max)

    def take(self, report: Report) -> bool:
        """Keeps the report if its agent counts and nothing younger is known; says whether."""
        agent = self._agents.get(report.agent)
        if agent is None:
            return False
        seen_mono = _seen_mono(report, agent.skew_s)
        if seen_mono < agent.seen_mono and not _follows(report, agent.report):
            return False
        if report.sent_wall is not None and not report.stored and report.age_s == 0.0:
            agent.note_skew(report.arrived_wall - report.sent_wall)
        agent.report, agent.seen_mono = report, max(seen_mono, agent.seen_mono)
        agent.votes_list = None
        agent.until_mono = fresh_until(report, agent.skew_s, self._age_s_max)
        if report.complete and report.arrived_mono < agent.until_mono:
            agent.complete_mono = report.arrived_mono
        return True

    def refresh(self, now: Now) -> tuple[list[bytes], list[str]]:
        """The votes that count now, and a sentence for each agent that began to count or ceased
        to since last time."""
        votes: list[bytes] = []
        turned: list[str] = []
        for name, agent in self._agents.items():
            fresh = agent.report is not None and now.mono < agent.until_mono
            if fresh != agent.fresh:
                agent.fresh = fresh
                turned.append(_sentence(name, agent))
            if fresh:
                votes.append(self._votes_of(agent))
        self._mark_suspects()
        return votes, turned

    def _votes_of(self, agent: _Agent) -> bytes:
        """The agent's votes against the list in force, by monitor where its list was another."""
        assert agent.report is not None
        if agent.votes_list is not self._monitors:
            agent.votes = votes_against(agent.report, self._monitors)
            agent.votes_list = self._monitors
        return agent.votes

    def _mark_suspects(self) -> None:
        fresh = [agent for agent in self._agents.values() if agent.fresh]
        sees_life = [agent for agent in fresh if UP in agent.votes]
        for agent in fresh:
            agent.suspect = bool(
                sees_life and agent not in sees_life and agent.votes.count(DOWN) > 1
            )

    def void_rounds(self) -> None:
        """After a stall: what was told before it, were it a moment ago, is no round any more."""
        for agent in self._agents.values():
            agent.complete_mono = float("-inf")

    def rounds_since(self, since_mono: float) -> int:
        """How many agents have told a full round that arrived at or after this instant."""
        return sum(agent.complete_mono >= since_mono for agent in self._agents.values())

    def next_expiry(self) -> float | None:
        """The earliest instant at which a fresh agent falls silent."""
        return min((a.until_mono for a in self._agents.values() if a.fresh), default=None)

    def views(self) -> tuple[AgentView, ...]:
        return tuple(self._view(name, agent) for name, agent in self._agents.items())

    def _view(self, name: str, agent: _Agent) -> AgentView:
        report = agent.report
        return AgentView(
            name=name,
            fresh=agent.fresh,
            suspect=agent.suspect and agent.fresh,
            seen_mono=report.seen_mono if report else None,
            report=report,
            healthy=agent.votes.count(UP) if agent.fresh else 0,
            skew_s=agent.skew_s,
            sentence=_sentence(name, agent),
        )

    def witnesses(self) -> Witnesses:
        """The fresh reports of this moment, as an immutable value."""
        fresh = [(a.votes, a.report) for a in self._agents.values() if a.fresh and a.report]
        return Witnesses(self._monitors, tuple(fresh))


def votes_against(report: Report, monitors: MonitorList) -> bytes:
    """``report``'s votes in the order of ``monitors``; unknown where it says nothing."""
    if report.monitors is monitors or report.monitors == monitors:
        return report.votes
    theirs = report.monitors.index_of
    places = (theirs.get(monitor) for monitor in monitors.monitors)
    return bytes(UNKNOWN if place is None else report.votes[place] for place in places)


def _sentence(name: str, agent: _Agent) -> str:
    skew = agent.skew_s
    if skew is not None and abs(skew) > SKEW_MAX_S:
        return (
            f"the clock behind {name}'s reports is {abs(skew):.0f} s "
            f"{'behind' if skew > 0 else 'ahead of'} ours, so none of them counts"
        )
    if agent.report is None:
        return f"{name} has not reported yet"
    if not agent.fresh:
        return _why_not_fresh(name, agent.report, agent)
    if agent.suspect:
        return f"{name} sees everything down while others do not: its own network may be broken"
    return f"{name} reports"


def _why_not_fresh(name: str, report: Report, agent: _Agent) -> str:
    if report.sent_wall is None or agent.until_mono > report.arrived_mono:
        return f"{name} is silent, so it has no vote"
    # It never counted: who looks for a silent agent would find one that reports.
    age_s = report.arrived_wall - report.sent_wall - (agent.skew_s or 0.0)
    when = f"{age_s:.0f} s old when it came" if age_s > 0 else f"dated {-age_s:.0f} s ahead"
    return f"the newest report of {name} was {when}, so it has no vote"
