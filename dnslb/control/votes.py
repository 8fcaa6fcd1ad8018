"""The agents' votes of one moment, found by endpoint.

A report holds a byte for each monitor of the list that it answers. Right after a reload that is
not the list in force, so votes are then found by the monitor itself.

Round trips are no part of a `Status`: they change with every check, and a picture that changed
as often would wake everybody who watches. They are asked for when an answer is made.

Law: an agent without a fresh report votes unknown, whatever it said last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, NamedTuple

from dnslb.api.messages import AgentVote, Vote
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Monitor
from dnslb.model.status import AgentView, EndpointView, Status

WORDS: Final[tuple[Vote, Vote, Vote]] = ("unknown", "up", "down")
LETTERS: Final = "?ud"
_TO_LETTERS: Final = LETTERS.encode().ljust(256, b"?")

RoundTrip = Callable[[Monitor], float | None]
"""Seconds that the answer to the last check of a monitor took; None: nobody knows."""


def unmeasured(monitor: Monitor) -> None:
    """The `RoundTrip` of an instance that checks nothing itself."""


class OwnAgent(NamedTuple):
    """The agent of this very instance, whose checks are the only ones it can time."""

    name: str
    round_trip_s: RoundTrip


class Votes:
    """Reads one `Status` as of ``now``. ``own``: whose round trips are told besides."""

    def __init__(self, status: Status, now: Now, own: OwnAgent | None = None) -> None:
        self._own = own
        self._monitors = status.monitors
        self._agents = status.agents
        self._ages = [
            None if agent.seen_mono is None else round(max(now.mono - agent.seen_mono, 0.0), 3)
            for agent in status.agents
        ]

    @cached_property
    def _letters(self) -> list[str]:
        """For each agent a letter for each monitor; "" where they have to be found one by one."""
        found = []
        for agent in self._agents:
            report = agent.report
            if report is None or not agent.fresh:
                found.append("?" * len(self._monitors))
            elif report.monitors is self._monitors:
                found.append(report.votes.translate(_TO_LETTERS).decode("ascii"))
            else:
                found.append("")
        return found

    def _vote(self, agent: AgentView, monitor_index: int | None) -> tuple[int | None, str]:
        """The last word of an agent on a monitor, None without any, and its message."""
        report = agent.report
        if report is None:
            return None, "no report yet"
        index = monitor_index
        if index is not None and report.monitors is not self._monitors:
            index = report.monitors.index_of.get(self._monitors.monitors[index])
        if index is None:
            return None, "not checked yet"
        return report.votes[index], report.messages.get(index, "")

    def of(self, view: EndpointView) -> dict[str, AgentVote]:
        """Each agent's vote, its age in seconds, and what the agent says about it."""
        votes: dict[str, AgentVote] = {}
        for agent, age_s in zip(self._agents, self._ages, strict=True):
            vote, message = self._vote(agent, view.monitor_index)
            word = WORDS[vote or 0]
            if vote is not None and not agent.fresh:
                message = f"no fresh report; its last word was {word}"
                word = "unknown"
            votes[agent.name] = {"vote": word, "age_seconds": age_s, "message": message}
        own = self._own
        if own is not None and own.name in votes:
            trip_s = own.round_trip_s(view.endpoint.monitor)
            if trip_s is not None:
                votes[own.name]["round_trip_seconds"] = round(trip_s, 6)
        return votes

    def letters(self, view: EndpointView) -> str:
        """The same as one letter for each agent: u, d or ?."""
        index = view.monitor_index
        if index is None:
            return "?" * len(self._agents)
        return "".join(
            [
                letters[index] if letters else LETTERS[self._vote(agent, index)[0] or 0]
                for letters, agent in zip(self._letters, self._agents, strict=True)
            ]
        )
