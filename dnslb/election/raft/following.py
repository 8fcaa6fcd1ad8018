"""A member's side of replication: what a leader's call does to its log, and what it answers.

Not whether the caller is the leader: `core` has seen to that, and to the promise.

Law: what fits is never taken back, whatever is missing from the message; only what was held
against the message is acknowledged, and only that is taken as committed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from dnslb.election.raft.engine import Engine
from dnslb.election.raft.ground import Ground
from dnslb.election.raft.journal import BrokenLog
from dnslb.election.raft.log import Entry, Snapshot
from dnslb.election.raft.messages import Append, Chunk, Heard


@dataclass
class _Incoming:
    """A snapshot that comes in pieces; ``key`` names which one."""

    key: tuple[str, int, int, int, int] = ("", 0, 0, 0, 0)
    data: bytearray = field(default_factory=bytearray)


class Following:
    def __init__(self, ground: Ground, engine: Engine) -> None:
        self._ground = ground
        self._engine = engine
        self._incoming = _Incoming()

    def append(self, leader: str, call: Append) -> None:
        """Entries, or a heartbeat."""
        journal = self._ground.journal
        prev, prev_term, entries = call.prev, call.prev_term, call.entries
        end = prev + len(entries)
        if any(entry.position != prev + 1 + i for i, entry in enumerate(entries)):
            # Not a log: nothing is acknowledged.
            return
        if prev < journal.first:
            # Below the beginning of this log all is committed, hence the same everywhere.
            entries = entries[journal.first - prev :]
            prev, prev_term = journal.first, journal.entries[0].term
        known = journal.term_at(prev)
        if known is not None and known != prev_term and prev <= self._engine.commit:
            raise BrokenLog(
                f"{leader} has another entry {prev} than the one that is committed here"
            )
        if known != prev_term:
            self._answer(leader, call, self._where_to_try(prev), matches=False)
            return
        self._take(prev, entries)
        self._engine.raise_commit(min(call.commit, end))
        self._answer(leader, call, end + 1, matches=True)

    def _where_to_try(self, prev: int) -> int:
        """Before the term that does not fit, as a whole: one question a term, not one an entry."""
        journal = self._ground.journal
        if prev > journal.last:
            return journal.last + 1
        term = journal.term_at(prev)
        while prev > journal.facts.commit and journal.term_at(prev - 1) == term:
            prev -= 1
        return prev

    def _take(self, prev: int, entries: tuple[Entry, ...]) -> None:
        """Appends what is new; takes back only from where an entry contradicts."""
        journal = self._ground.journal
        fits = 0
        while fits < len(entries) and journal.term_at(prev + 1 + fits) == entries[fits].term:
            fits += 1
        new = entries[fits:]
        if not new:
            return
        before = journal.configuration
        if journal.last >= new[0].position:
            journal.cut_from(new[0].position)
        journal.append(*new)
        if journal.configuration != before:
            self._engine.use(journal.configuration)

    def chunk(self, leader: str, call: Chunk) -> None:
        """A piece of a snapshot."""
        if call.index <= self._engine.commit:
            self._incoming = _Incoming()
            self._answer(leader, call, call.index + 1, matches=True)
            return
        key = (leader, call.term, call.index, call.size, call.digest)
        if self._incoming.key != key:
            self._incoming = _Incoming(key)
        data = self._incoming.data
        if call.offset == len(data) and len(data) + len(call.data) <= call.size:
            data += call.data
        if len(data) == call.size and zlib.crc32(data) == call.digest:
            self._install(call, bytes(data))
            self._answer(leader, call, call.index + 1, matches=True)
            return
        if len(data) >= call.size:
            data.clear()
        self._answer(leader, call, 1, matches=True, offset=len(data))

    def _install(self, call: Chunk, state: bytes) -> None:
        ground, engine = self._ground, self._engine
        self._incoming = _Incoming()
        ground.machine.load(state)
        ground.journal.install(
            Snapshot(
                call.index, call.index_term, call.configuration, call.configuration_index, state
            )
        )
        engine.restored(call.index)
        engine.use(ground.journal.configuration)

    def _answer(
        self, leader: str, call: Append | Chunk, after: int, *, matches: bool, offset: int = 0
    ) -> None:
        index = call.index if isinstance(call, Chunk) and after <= call.index else 0
        heard = Heard(
            call.term, call.round, call.sequence, after, matches, snapshot=index, offset=offset
        )
        self._ground.send(leader, heard)
