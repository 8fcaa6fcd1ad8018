"""A leader's side of replication: what each member gets next, and what its answers mean.

Not who leads, and not which entries are committed: `engine` counts what is noted here.

Law: a member's answer is believed only for the term that it names, only from a member, and only
as far as this log goes. Every call carries the round, so that its answer prolongs the lease.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from dnslb.election.raft.engine import Engine
from dnslb.election.raft.ground import Ground
from dnslb.election.raft.journal import BrokenLog
from dnslb.election.raft.log import Entry, Snapshot
from dnslb.election.raft.messages import (
    BATCH_BYTES_MAX,
    CHUNK_BYTES_MAX,
    ENTRIES_MAX,
    Append,
    Chunk,
    Heard,
)

UNANSWERED_MAX = 8
"""Messages that a member may owe an answer to; from then on it gets heartbeats only."""


@dataclass
class _Progress:
    """``sequence``: of what was said last; ``answered``: the newest that was answered;
    ``void_to``: answers up to this one say where to try again on grounds that are gone.
    ``chunk``: the newest message that carried a piece of a snapshot, sent at ``chunk_at``."""

    sequence: int = 0
    answered: int = 0
    void_to: int = 0
    chunk: int = 0
    chunk_at: float = 0.0
    offset: int = 0
    heard_at: float | None = None


class Leading:
    """Lives as long as the process; `begin` starts each leadership."""

    def __init__(self, ground: Ground, engine: Engine) -> None:
        self._ground = ground
        self._engine = engine
        self._progress: dict[str, _Progress] = {}
        self._digest: tuple[int, int] = (0, 0)
        self.told_commit = 0
        self.told_last = 0

    def begin(self) -> None:
        """Elected: nothing is known of anybody yet."""
        for peer, before in self._progress.items():
            # Numbers go on, so that an answer from an earlier term can never fit.
            number = before.sequence
            self._progress[peer] = _Progress(number, number, number, number)

    def connected(self, peer: str) -> None:
        """A new stream: what was under way on the old one is lost."""
        one = self._of(peer)
        one.void_to = one.answered = one.chunk = one.sequence
        if self._engine.knows(peer):
            match = self._engine.match_of(peer)
            self._engine.set_next(peer, match + 1 if match else self._ground.journal.last + 1)

    def heard_at(self, peer: str) -> float | None:
        """When a member last answered in this leadership, on trio's clock."""
        return self._of(peer).heard_at

    def _of(self, peer: str) -> _Progress:
        return self._progress.setdefault(peer, _Progress())

    # ------------------------------------------------------------------------------- speaking

    def speak(self) -> None:
        """A new round to all connected members."""
        ground, engine = self._ground, self._engine
        engine.heartbeat_due_at = ground.now.mono + ground.timings.heartbeat_s
        ground.journal.note_lease(ground.timings.lease_s)
        ground.book = ground.book.begin_round(at=ground.now.boot)
        self.told_commit, self.told_last = engine.commit, ground.journal.last
        for member in ground.journal.configuration.members:
            if member.id != ground.id and member.id in engine.connected_peers:
                self._speak_to(member.id)

    def _speak_to(self, peer: str) -> None:
        journal, one = self._ground.journal, self._of(peer)
        after = self._engine.next_of(peer)
        if after <= journal.first:
            if not self._send_chunk(peer):
                self._send_heartbeat(peer, 1, 0)
            return
        if one.sequence - one.answered < UNANSWERED_MAX and after <= journal.last:
            self._send_entries(peer)
            return
        last_sent = after - 1
        term = journal.term_at(last_sent)
        if term is None:
            raise BrokenLog(f"{peer} was sent entries up to {last_sent}, which are not here")
        self._send_heartbeat(peer, last_sent, term)

    def _send_entries(self, peer: str) -> None:
        journal, engine = self._ground.journal, self._engine
        one = self._of(peer)
        while (after := engine.next_of(peer)) <= journal.last:
            if one.sequence - one.answered >= UNANSWERED_MAX:
                return
            entries = journal.read_from(after, bytes_max=BATCH_BYTES_MAX, count_max=ENTRIES_MAX)
            engine.set_next(peer, entries[-1].position + 1)
            self._append(peer, after - 1, journal.term_at(after - 1) or 0, entries)

    def _send_heartbeat(self, peer: str, prev: int, prev_term: int) -> None:
        self._append(peer, prev, prev_term, ())

    def _append(self, peer: str, prev: int, prev_term: int, entries: tuple[Entry, ...]) -> None:
        ground, one = self._ground, self._of(peer)
        one.sequence += 1
        ground.send(
            peer,
            Append(
                term=self._engine.term,
                round=ground.book.newest_round,
                lease_s=ground.timings.lease_s,
                sequence=one.sequence,
                commit=self._engine.commit,
                prev=prev,
                prev_term=prev_term,
                entries=entries,
            ),
        )

    def _send_chunk(self, peer: str) -> bool:
        """The piece of the snapshot that a member wants; not while one is under way to it, unless
        that is long ago."""
        ground, one = self._ground, self._of(peer)
        snapshot = ground.journal.snapshot
        if snapshot is None:
            raise BrokenLog(f"{peer} needs a snapshot and there is none")
        patience_s = ground.timings.election_s_max
        if one.chunk > one.answered and ground.now.mono < one.chunk_at + patience_s:
            return False
        offset = min(one.offset, len(snapshot.state))
        one.sequence += 1
        one.chunk, one.chunk_at = one.sequence, ground.now.mono
        ground.send(
            peer,
            Chunk(
                term=self._engine.term,
                round=ground.book.newest_round,
                lease_s=ground.timings.lease_s,
                sequence=one.sequence,
                index=snapshot.index,
                index_term=snapshot.term,
                configuration=snapshot.configuration,
                configuration_index=snapshot.configuration_index,
                size=len(snapshot.state),
                digest=self._digest_of(snapshot),
                offset=offset,
                data=snapshot.state[offset : offset + CHUNK_BYTES_MAX],
            ),
        )
        return True

    def _digest_of(self, snapshot: Snapshot) -> int:
        if self._digest[0] != snapshot.index:
            self._digest = (snapshot.index, zlib.crc32(snapshot.state))
        return self._digest[1]

    # ------------------------------------------------------------------------------ listening

    def hear(self, peer: str, heard: Heard) -> None:
        """An answer of this term, by a member; other answers must not get here."""
        ground, engine, one = self._ground, self._engine, self._of(peer)
        beyond = heard.matches and heard.next > ground.journal.last + 1
        if heard.sequence > one.sequence or beyond:
            raise BrokenLog(
                f"{peer} answers {heard.sequence} and has all up to {heard.next - 1}, it was told "
                f"{one.sequence} and {ground.journal.last}"
            )
        engine.answered(peer)
        one.heard_at = ground.now.mono
        ground.book = ground.book.acknowledge(peer, term=heard.term, number=heard.round)
        one.answered = max(one.answered, heard.sequence)
        match = engine.match_of(peer)
        if heard.matches:
            if heard.next - 1 > match:
                engine.set_match(peer, heard.next - 1)
                engine.set_next(peer, max(engine.next_of(peer), heard.next))
        elif heard.sequence > one.void_to:
            # All that was sent since rests on the same wrong guess: its answers say nothing new.
            one.void_to = one.sequence
            engine.set_next(peer, max(match + 1, min(heard.next, engine.next_of(peer) - 1), 2))
        snapshot = ground.journal.snapshot
        if snapshot is not None and heard.snapshot == snapshot.index:
            one.offset = heard.offset
        elif heard.snapshot == 0:
            one.offset = 0
        if engine.next_of(peer) <= ground.journal.last:
            self._continue(peer)

    def _continue(self, peer: str) -> None:
        """More at once, not at the next heartbeat, and under the newest round."""
        if peer not in self._engine.connected_peers:
            return
        if self._engine.next_of(peer) <= self._ground.journal.first:
            self._send_chunk(peer)
        else:
            self._send_entries(peer)
