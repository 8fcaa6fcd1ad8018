"""Who was taken out of the cluster and by whom, and whether this member was: as far as it is known.

Decides nothing: that an instance which is no member votes for nobody and leads nobody is consensus.
The leader that took a member out tells all others, and the one that it took out while there still
is a stream to it; whoever comes later is told by the refusal of its greeting.

Law: only what somebody said is told, and it is forgotten once a leader speaks to this member again.
"""

from __future__ import annotations

from collections.abc import Callable

from dnslb.api.codec import to_time
from dnslb.election.raft.asides import Aside, Departed
from dnslb.election.raft.frames import Rebuff
from dnslb.election.raft.node import RaftNode
from dnslb.election.surroundings import Note
from dnslb.net.clock import Clock

REMEMBERED_MAX = 64


class Parting:
    """``send``: an aside to a peer."""

    def __init__(
        self, node: RaftNode, clock: Clock, note: Note, send: Callable[[str, Aside], None]
    ) -> None:
        self._node = node
        self._clock = clock
        self._note = note
        self._send = send
        self._ours: tuple[float, str] | None = None

    def took_out(self, member_id: str, by: str, index: int) -> None:
        """This leader did, as ``by`` asked."""
        self._remember(Departed(member_id, by[:300], index, 0.0))
        for peer in self._node.wire.peers:
            self._send(peer, Departed(member_id, by[:300], index, 0.0))

    def hear(self, departed: Departed) -> None:
        words = self._remember(departed)
        if departed.id == self._node.member.id:
            cluster = self._node.member.configuration.cluster_id
            self._mark(f"{departed.id} was taken out of the cluster {cluster} {words}")

    def _remember(self, departed: Departed) -> str:
        at = to_time(round(self._clock.now().wall - departed.age_s))
        words = f"by {departed.by} at {at} (index {departed.index})"
        known = self._node.departed
        known.pop(departed.id, None)
        known[departed.id] = words
        while len(known) > REMEMBERED_MAX:
            del known[next(iter(known))]
        return words

    def refused(self, rebuff: Rebuff) -> None:
        """A leader of our own cluster does not know this member any more."""
        before = self.sentence
        if before is None:
            cluster = self._node.member.configuration.cluster_id
            us = self._node.member.id
            before = f"{us} is no member of the cluster {cluster} any more: {rebuff.sentence}"
            self._node.departed[us] = f"({rebuff.sentence})"
        self._mark(before)

    def _mark(self, sentence: str) -> None:
        is_news = self.sentence is None
        self._ours = (self._clock.now().mono, sentence)
        if is_news:
            self._note("membership", sentence)

    @property
    def sentence(self) -> str | None:
        """That this member was taken out; None as far as nobody said so."""
        member = self._node.member
        if self._ours is None:
            return None
        heard_at = member.last_contact_at
        if member.role == "leader" or (heard_at is not None and heard_at > self._ours[0]):
            self._ours = None
            self._node.departed.pop(member.id, None)
            return None
        return self._ours[1]
