"""Log, vote, snapshot and promises of one member in memory, and what of them is not yet durable.

Not a file: `sync` hands what changed to a `Store`, as one batch.

Law (`safety.md` 5.1): whoever lets something leave the node calls `sync` first. What cannot
happen in Raft (a gap, a vote given twice, a term that falls, a committed entry taken back) raises
`BrokenLog` before it gets anywhere: the process must stop.
"""

from __future__ import annotations

from msgspec.structs import replace

from dnslb.election.raft.log import (
    FIRST,
    NO_OP,
    Batch,
    Entry,
    Snapshot,
    Store,
    change_of,
)
from dnslb.election.raft.membership import Configuration


class BrokenLog(AssertionError):
    """Consensus is broken, here or at a peer; going on could lose decisions."""


class Journal:
    """``configuration``: the newest in the log, committed or not, else the snapshot's; it stood at
    ``configuration_index``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        stored = store.load()
        self.incarnation = stored.incarnation
        self.facts = stored.facts
        self.snapshot = stored.snapshot
        self._entries = list(stored.entries or (FIRST,))
        self._durable_first = self._entries[0].position
        self._durable_last = self.last if stored.entries else 0
        self._rewrite_from = self._durable_last + 1
        self._durable_facts = self._old_facts = stored.facts
        self._new_snapshot: Snapshot | None = None
        self._changes: list[tuple[int, Configuration]] = []
        self._read_changes(self._entries)

    # -------------------------------------------------------------------------------- reading

    @property
    def first(self) -> int:
        return self._entries[0].position

    @property
    def last(self) -> int:
        return self._entries[-1].position

    @property
    def last_term(self) -> int:
        return self._entries[-1].term

    @property
    def entries(self) -> list[Entry]:
        """Not to be changed by whoever reads it."""
        return self._entries

    def term_at(self, index: int) -> int | None:
        """None for an index that the log does not hold."""
        place = index - self.first
        return self._entries[place].term if 0 <= place < len(self._entries) else None

    def read_from(self, index: int, *, bytes_max: int, count_max: int) -> tuple[Entry, ...]:
        """At least one entry where there is one, however large; ``index`` above `first`."""
        chosen: list[Entry] = []
        size = 0
        for entry in self._entries[index - self.first : index - self.first + count_max]:
            size += len(entry.command)
            if chosen and size > bytes_max:
                break
            chosen.append(entry)
        return tuple(chosen)

    @property
    def configuration(self) -> Configuration:
        if self._changes:
            return self._changes[-1][1]
        return self.snapshot.configuration if self.snapshot else Configuration()

    @property
    def configuration_index(self) -> int:
        if self._changes:
            return self._changes[-1][0]
        return self.snapshot.configuration_index if self.snapshot else 0

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The one in force at a log index, and where it stands."""
        for place, configuration in reversed(self._changes):
            if place <= index:
                return place, configuration
        if self.snapshot:
            return self.snapshot.configuration_index, self.snapshot.configuration
        return 0, Configuration()

    # ------------------------------------------------------------------------------- the log

    def append(self, *entries: Entry) -> None:
        for entry in entries:
            if entry.position != self.last + 1:
                raise BrokenLog(f"entry {entry.position} cannot follow entry {self.last}")
            if entry.term < self.last_term:
                raise BrokenLog(f"an entry of term {entry.term} after one of {self.last_term}")
            self._entries.append(entry)
        self._read_changes(entries)

    def cut_from(self, index: int) -> None:
        """Takes entries back from ``index`` on."""
        if index <= max(self.facts.commit, self.first):
            raise BrokenLog(f"entry {index} is to be taken back, {self.facts.commit} is committed")
        del self._entries[index - self.first :]
        self._changes = [one for one in self._changes if one[0] < index]
        self._rewrite_from = min(self._rewrite_from, index)

    def _read_changes(self, entries: list[Entry] | tuple[Entry, ...]) -> None:
        for entry in entries:
            change = change_of(entry.command)
            if change is not None:
                self._adopt_cluster(change.new.cluster_id)
                self._changes.append((entry.position, change.new))

    def _adopt_cluster(self, cluster_id: str) -> None:
        if self.facts.cluster_id not in ("", cluster_id):
            raise BrokenLog(
                f"this directory belongs to cluster {self.facts.cluster_id}, the log to "
                f"{cluster_id}"
            )
        self.facts = replace(self.facts, cluster_id=cluster_id)

    # -------------------------------------------------------------------- vote, commit, lease

    def set_term(self, term: int, voted: str) -> None:
        facts = self.facts
        if term < facts.term:
            raise BrokenLog(f"term {term} after term {facts.term}")
        if term == facts.term and facts.voted not in ("", voted):
            raise BrokenLog(f"voted for {facts.voted} and {voted} in term {term}")
        self.facts = replace(facts, term=term, voted=voted)

    def set_commit(self, index: int) -> None:
        """Written along with the next batch: any committed index will do after a restart."""
        if not self.facts.commit <= index <= self.last:
            raise BrokenLog(
                f"commit index {index} after {self.facts.commit}, with a log up to {self.last}"
            )
        self.facts = replace(self.facts, commit=index)

    def note_lease(self, lease_s: float) -> None:
        """To be called before a lease of that length is acknowledged or asked for."""
        if lease_s > self.facts.largest_lease_s:
            self.facts = replace(self.facts, largest_lease_s=lease_s)

    # ------------------------------------------------------------------------------ snapshots

    def compact(self, snapshot: Snapshot, *, keep: int) -> None:
        """``snapshot`` stands for the log up to its index; so many entries before that stay, for
        members that are only a little behind."""
        if self.term_at(snapshot.index) != snapshot.term or snapshot.index > self.facts.commit:
            raise BrokenLog(f"a snapshot of entry {snapshot.index}, which is not committed here")
        self._new_snapshot = self.snapshot = snapshot
        del self._entries[: max(0, snapshot.index - keep - self.first)]
        self._changes = [one for one in self._changes if one[0] >= self.first]

    def install(self, snapshot: Snapshot) -> None:
        """A leader's snapshot of what is not committed here. What follows it in the log stays
        when it fits, so that nothing acknowledged is lost."""
        if snapshot.index <= self.facts.commit:
            raise BrokenLog(f"an old snapshot of entry {snapshot.index}")
        self._adopt_cluster(snapshot.configuration.cluster_id)
        self._new_snapshot = self.snapshot = snapshot
        if self.term_at(snapshot.index) == snapshot.term:
            del self._entries[: snapshot.index - self.first]
        else:
            self._entries = [Entry(NO_OP, snapshot.index, snapshot.term)]
            self._rewrite_from = 0
        self._changes = [one for one in self._changes if one[0] > snapshot.index]
        if self.last == snapshot.index:
            self._changes = []
        self.facts = replace(self.facts, commit=snapshot.index)

    # ------------------------------------------------------------------------------- durable

    @property
    def dirty(self) -> bool:
        return (
            self._facts_are_news()
            or self._rewrite_from <= max(self.last, self._durable_last)
            or self.first != self._durable_first
            or self._new_snapshot is not None
        )

    def _facts_are_news(self) -> bool:
        """The commit index alone is worth no write."""
        facts, durable = self.facts, self._durable_facts
        if facts is durable or facts is self._old_facts:
            return False
        if replace(facts, commit=durable.commit) != durable:
            return True
        self._old_facts = facts
        return False

    def sync(self) -> None:
        """Makes all of it durable; raises `StoreError`, after which nothing counts."""
        if not self.dirty:
            return
        begin = max(self._rewrite_from, self.first)
        batch = Batch(
            first=self.first,
            rewrite_from=begin,
            entries=tuple(self._entries[begin - self.first :]),
            facts=self.facts if self.facts != self._durable_facts else None,
            snapshot=self._new_snapshot,
        )
        self._store.commit(batch)
        self._durable_first, self._durable_last = self.first, self.last
        self._durable_facts = self._old_facts = self.facts
        self._rewrite_from = self.last + 1
        self._new_snapshot = None

    def close(self) -> None:
        self._store.close()
