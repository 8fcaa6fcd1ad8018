"""Whose votes count where the voters of the cluster are the agents (`safety.md` 4.1). Pure.

Law: whoever becomes a voter while we look on counts once it has told a full round; until then it
would only keep the others from a majority. Whoever was a voter before counts at once: of three
that start together none may decide alone. This instance itself always counts.
"""

from __future__ import annotations

from dnslb.model.report import Report


class VotingAgents:
    """``voters``: those who are known at the start."""

    def __init__(self, instance_id: str, voters: tuple[str, ...]) -> None:
        self._instance_id = instance_id
        self._voters = voters
        self._newcomers: frozenset[str] = frozenset()

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(one for one in self._voters if one not in self._newcomers)

    def change(self, voters: tuple[str, ...]) -> None:
        """The committed configuration has these voters now."""
        before = frozenset(self._voters)
        new = frozenset(voters) - before if before else frozenset()
        self._newcomers = (self._newcomers & frozenset(voters)) | (new - {self._instance_id})
        self._voters = voters

    def take(self, report: Report) -> bool:
        """Whether the agents are others now."""
        if report.agent not in self._newcomers or not report.complete:
            return False
        self._newcomers -= {report.agent}
        return True
