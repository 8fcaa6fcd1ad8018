"""When this member stands, and whose votes count: what keeps elections calm and their leases sound.

Not the counting of votes, nor the vote that it gives (`engine`).

Law: only a voter of the newest configuration in its own log stands, with the incarnation that
stands there. A vote counts once, of a voter, with what is left of its promise. Asking beforehand
(Ongaro's thesis, 9.6), patience with a leader that was just heard, and haste when its stream
closes serve calm and speed alone: nothing in here touches a promise (`safety.md` 1.6).
"""

from __future__ import annotations

import math
import random

from dnslb.election.raft.engine import CANDIDATE, Engine
from dnslb.election.raft.ground import Ground
from dnslb.election.raft.lease import Release
from dnslb.election.raft.messages import Echo, Sound, StandNow, Vote

PATIENCE = 0.7
"""For this share of the shortest election timeout after a leader's call nobody is encouraged to
stand against it."""


class Elections:
    engine: Engine

    def __init__(self, ground: Ground, luck: random.Random) -> None:
        self._ground = ground
        self._luck = luck
        self._encouraged: set[str] = set()
        self._asked_until = -math.inf
        self._asked_term = 0
        self._voted_for_me: set[str] = set()
        self._patient_until = -math.inf
        self._release: Release | None = None
        self.leader_heard_at: float | None = None

    def election_s(self) -> float:
        timings = self._ground.timings
        return self._luck.uniform(timings.election_s_min, timings.election_s_max)

    def due_at(self) -> float:
        """When `may_stand` is to be asked, or asked again."""
        due = self.engine.election_due_at
        if not self._is_voter():
            return math.inf if self.engine.leader is None else due
        return due if due > self._ground.now.mono else max(due, self._asked_until)

    # ------------------------------------------------------------------------------- standing

    def may_stand(self) -> bool:
        """Called once the election deadline has passed."""
        ground = self._ground
        if not self._is_voter():
            # It never stands, but must not name a leader that is long dead either.
            self.engine.leader = None
            return False
        voters = ground.journal.configuration.voters
        if len(voters) == 1 or self._release is not None:
            return True
        term = self.engine.term + 1
        if self._asked_term == term and len(self._encouraged & voters) > len(voters) // 2:
            self._encouraged = set()
            return True
        if ground.now.mono >= self._asked_until:
            self._sound_out(term)
        return False

    def _is_voter(self) -> bool:
        journal = self._ground.journal
        me = journal.configuration.find(self._ground.id)
        return me is not None and me.suffrage == "voter" and me.incarnation == journal.incarnation

    def _sound_out(self, term: int) -> None:
        ground, engine = self._ground, self.engine
        self._asked_until = ground.now.mono + self.election_s()
        self._asked_term = term
        self._encouraged = {ground.id}
        engine.leader = None
        for peer in sorted(ground.journal.configuration.voters - {ground.id}):
            ground.send(peer, Sound(term, ground.journal.last, ground.journal.last_term))

    def stand_for(self, call: StandNow) -> None:
        """The leader asks to be succeeded: a candidacy within this very event, or none."""
        if not self._is_voter():
            return
        self._release = Release(call.term, call.wait_s)
        self.engine.election_due_at = -math.inf
        try:
            self.engine.turn()
        finally:
            self._release = None

    def stood(self, term: int) -> None:
        ground = self._ground
        ground.book = ground.book.stand(term, at=ground.now.boot, release=self._release)
        self._voted_for_me = {ground.id}
        self._encouraged = set()

    # ------------------------------------------------------------------------------ listening

    def hear(self, peer: str, message: Vote | Sound | Echo) -> None:
        match message:
            case Vote():
                self._hear_vote(peer, message)
            case Sound():
                self._encourage(peer, message)
            case Echo():
                if message.own_term > self.engine.term:
                    self.engine.step_down(message.own_term)
                elif message.would_vote and message.term == self._asked_term:
                    self._encouraged.add(peer)

    def _hear_vote(self, peer: str, vote: Vote) -> None:
        ground, engine = self._ground, self.engine
        if engine.role != CANDIDATE or vote.term != engine.term:
            return
        if peer in self._voted_for_me or peer not in ground.journal.configuration.voters:
            return
        self._voted_for_me.add(peer)
        ground.book = ground.book.vote(vote.term, left_s=vote.left_s, at=ground.now.boot)
        engine.hear_vote(peer, vote.term)

    def _encourage(self, peer: str, sound: Sound) -> None:
        ground, engine = self._ground, self.engine
        fresh = (sound.last_term, sound.last) >= (ground.journal.last_term, ground.journal.last)
        calm = engine.leading or ground.now.mono < self._patient_until
        would_vote = sound.term > engine.term and fresh and not calm
        ground.send(peer, Echo(sound.term, engine.term, would_vote))

    def heard_leader(self) -> None:
        now = self._ground.now.mono
        self.leader_heard_at = now
        self._patient_until = now + PATIENCE * self._ground.timings.election_s_min
        self._encouraged = set()
        self._asked_until = -math.inf

    def lost(self, peer: str) -> None:
        """A stream closed. If it was the leader's, its process is probably gone: stand soon."""
        if peer == self.engine.leader:
            self._patient_until = -math.inf
            soon = self._ground.now.mono + self._luck.uniform(0, self._ground.timings.heartbeat_s)
            self.engine.election_due_at = min(self.engine.election_due_at, soon)
