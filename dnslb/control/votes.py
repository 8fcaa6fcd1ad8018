"""The agents' votes of one moment, found by endpoint.

A report holds a byte for each monitor of the list that it answers. Right after a reload that is
not the list in force, so votes are then found by the monitor itself.

Law: an agent without a fresh report votes unknown, whatever it said last.
"""

from __future__ import annotations

from typing import Final

from dnslb.api.messages import AgentVote, Vote
from dnslb.model.instant import Now
from dnslb.model.status import AgentView, EndpointView, Status

WORDS: Final[tuple[Vote, Vote, Vote]] = ("unknown", "up", "down")
LETTERS: Final = "?ud"


class Votes:
    """Reads one `Status` as of ``now``."""

    def __init__(self, status: Status, now: Now) -> None:
        self._monitors = status.monitors
        self._agents = status.agents
        self._ages = [
            None if agent.seen_mono is None else round(max(now.mono - agent.seen_mono, 0.0), 3)
            for agent in status.agents
        ]

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
        return votes

    def letters(self, view: EndpointView) -> str:
        """The same as one letter for each agent: u, d or ?."""
        return "".join(
            LETTERS[self._vote(agent, view.monitor_index)[0] or 0] if agent.fresh else "?"
            for agent in self._agents
        )
