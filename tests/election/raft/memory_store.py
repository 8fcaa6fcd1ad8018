"""A store in memory that can lose what was not yet durable, and can lie about that.

The double of the disk in simulations. Law: `commit` is all or nothing, as sqlite's; what is not
in `durable` when the machine stops is gone.
"""

from __future__ import annotations

from dnslb.election.raft.log import Batch, Entry, Facts, Snapshot, Stored
from dnslb.errors import StoreError


class PowerLost(BaseException):
    """The machine stopped in the middle of a write; not an error that anybody handles."""


class MemoryStore:
    """``incarnation`` as of a directory. `lose_next`: the machine stops before the next commit is
    durable (-1) or just after it, before anybody is told (+1). `lazy`: a disk that says "synced"
    and is not: so many commits are lost with the power. `full`: the disk takes nothing more."""

    def __init__(self, incarnation: str = "ab") -> None:
        self.durable = Stored(incarnation, Facts(), (), None)
        self.cached: list[Stored] = []
        self.batches: list[Batch] = []
        self.lose_next = 0
        self.lazy = 0
        self.full = False
        self.broken = False

    def load(self) -> Stored:
        return self.newest

    @property
    def newest(self) -> Stored:
        return self.cached[-1] if self.cached else self.durable

    def commit(self, batch: Batch) -> None:
        if self.full or self.broken:
            self.broken = True
            raise StoreError("the disk of this double is full")
        if self.lose_next < 0:
            raise PowerLost
        self.batches.append(batch)
        self.cached.append(applied(self.newest, batch))
        while len(self.cached) > self.lazy:
            self.durable = self.cached.pop(0)
        if self.lose_next > 0:
            raise PowerLost

    def close(self) -> None:
        self.broken = True

    def reopened(self) -> MemoryStore:
        """What a start finds after the power was lost."""
        again = MemoryStore(self.durable.incarnation)
        again.durable, again.lazy = self.durable, self.lazy
        return again


def applied(stored: Stored, batch: Batch) -> Stored:
    kept: list[Entry] = [
        entry for entry in stored.entries if batch.first <= entry.position < batch.rewrite_from
    ]
    facts: Facts = stored.facts if batch.facts is None else batch.facts
    snapshot: Snapshot | None = batch.snapshot or stored.snapshot
    incarnation = batch.incarnation or stored.incarnation
    return Stored(incarnation, facts, (*kept, *batch.entries), snapshot)
