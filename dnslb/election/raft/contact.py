"""Who is in touch with whom: what the leader knows of each member, told to all and shown by all.

Only what people are shown: no lease, no vote and no entry rests on it.

Law: the leader's word counts while it leads and goes on speaking; without it a member says only
what it sees itself, which is whom it hears. A stream alone proves nobody alive: that of a stopped
process stays open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dnslb.election.raft.asides import Aside, Standing, Standings
from dnslb.election.raft.node import RaftNode
from dnslb.net.clock import Clock

LOST_AFTER_ELECTIONS = 2
"""A member that was silent for so many of the longest election time-outs is lost: any other would
have stood for election by then."""
TOLD_S_MAX = 3.0
"""How long the leader's last word counts; it speaks every second."""


@dataclass(frozen=True, slots=True)
class Contact:
    """``heard_s``: since the leader last heard it, or, of the leader, since it was last heard.
    ``reached`` None: nobody can say yet."""

    heard_s: float | None = None
    match: int | None = None
    lag: int | None = None
    reached: bool | None = None


class Contacts:
    """``send``: an aside to a peer."""

    def __init__(self, node: RaftNode, clock: Clock, send: Callable[[str, Aside], None]) -> None:
        self._node = node
        self._clock = clock
        self._send = send
        self._told: dict[str, Standing] = {}
        self._told_by, self._told_at, self._told_last = "", 0.0, 0

    @property
    def lost_after_s(self) -> float:
        """A member unheard for longer is lost."""
        return LOST_AFTER_ELECTIONS * self._node.member.settings.timings.election_s_max

    def tell(self) -> None:
        """The leader tells all others how each member stands."""
        member = self._node.member
        if member.role != "leader":
            return
        contacts = {one.id: self.of(one.id) for one in member.configuration.members}
        rows = tuple(
            Standing(name, known.heard_s, known.match or 0, known.reached)
            for name, known in contacts.items()
            if name != member.id
        )
        for peer in self._node.wire.peers:
            self._send(peer, Standings(member.journal.last, rows))

    def hear(self, peer: str, standings: Standings) -> None:
        self._told = {row.id: row for row in standings.rows}
        self._told_by, self._told_last = peer, standings.last
        self._told_at = self._clock.now().mono

    def of(self, name: str) -> Contact:
        """How the member of this id stands."""
        member, now = self._node.member, self._clock.now().mono
        ours = member.journal.last
        if member.role == "leader":
            if name == member.id:
                return Contact(None, ours, 0, True)
            match, heard_at = member.match_of(name), member.heard_at(name)
            heard_s, reached = self._judged(heard_at, name)
            return Contact(heard_s, match, max(0, ours - match), reached)
        told = self._told.get(name) if self._is_told(now) else None
        last = self._told_last
        if name == member.id:
            return Contact(None, ours, max(0, last - told.match) if told else None, True)
        if name == member.leader:
            heard_s, reached = self._judged(member.last_contact_at, name)
            return Contact(heard_s, reached=reached)
        if told is None:
            return Contact(reached=self._seen(name, now))
        heard_s = None if told.age_s is None else told.age_s + now - self._told_at
        return Contact(heard_s, told.match, max(0, last - told.match), told.reached)

    def _judged(self, heard_at: float | None, name: str) -> tuple[float | None, bool | None]:
        """Age, and whether it is reached. One that was not heard yet may be about to answer, as
        long as there is a stream to it."""
        if heard_at is None:
            return None, None if name in self._node.wire.peers else False
        heard_s = max(0.0, self._clock.now().mono - heard_at)
        return heard_s, heard_s <= self.lost_after_s

    def _seen(self, name: str, now: float) -> bool | None:
        """Whether it is reached, by the frames that come from it here. One that is silent on an
        open stream may be stopped, or may have had nothing to say."""
        if name not in self._node.wire.peers:
            return False
        heard_at = self._node.heard_at(name)
        return True if heard_at is not None and now - heard_at <= self.lost_after_s else None

    def _is_told(self, now: float) -> bool:
        fresh = now - self._told_at <= TOLD_S_MAX
        return fresh and self._told_by == self._node.member.leader
