"""Handing the leadership over: to whom, and what becomes of a term whose leader gave its lease up.

Not the candidacy of the heir (`elections`). Law (`safety.md` 1.5): the lease is given up for the
rest of the term before the heir is asked, and stays so whether it takes over or not. A leader that
nobody succeeds steps down by itself, since a term without a lease serves nobody.
"""

from __future__ import annotations

from dnslb.election.raft.engine import Engine
from dnslb.election.raft.ground import Ground
from dnslb.election.raft.messages import StandNow
from dnslb.errors import CommandRefused


class Handover:
    def __init__(self, ground: Ground, engine: Engine) -> None:
        self._ground = ground
        self._engine = engine
        self._released_at: float | None = None

    def end(self) -> None:
        """Another role or another term."""
        self._released_at = None

    def heir(self, target: str | None) -> str:
        """``target``, or whoever has most of the log. Raises `CommandRefused`."""
        engine, journal = self._engine, self._ground.journal
        able = {
            voter: engine.match_of(voter)
            for voter in journal.configuration.voters & engine.connected_peers
            if voter != self._ground.id
        }
        if target is None:
            if not able:
                raise CommandRefused("No other voter is connected.")
            target = max(able, key=lambda one: (able[one], one))
        if target not in able:
            raise CommandRefused(f"{target} is no other voter, or is not connected.")
        if able[target] != journal.last:
            raise CommandRefused(
                f"{target} has the log up to {able[target]} of {journal.last}; try again."
            )
        return target

    def begin(self, heir: str) -> None:
        ground = self._ground
        ground.book, release = ground.book.release(at=ground.now.boot)
        if self._released_at is None:
            self._released_at = ground.now.mono
        ground.send(heir, StandNow(self._engine.term, release.wait_s))

    def overdue(self) -> bool:
        patience_s = 2 * self._ground.timings.election_s_max
        return (
            self._engine.leading
            and self._released_at is not None
            and self._ground.now.mono > self._released_at + patience_s
        )
