"""What must outlive this process before a write is sent: owned RRsets and the guard's charges.

Counts versions: a write that rests on version *n* waits until a commit of at least *n* is durable
(`safety.md` 4.5). Composes the change to commit; committing is the daemon's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnslb.decide.guard import Guard
from dnslb.model.checkpoint import Checkpoint, Flaps, Member, Owned, RecordDecisions
from dnslb.model.instant import Now
from dnslb.model.rrset import RRsetKey


class Memory:
    """Authoritative while this instance holds the lease; loaded from the store before that."""

    def __init__(self) -> None:
        self.guard = Guard()
        self._owned: dict[RRsetKey, Owned] = {}
        self._changed: dict[RRsetKey, Owned | None] = {}
        self._charges: object = self.guard.charges
        self.version = 0
        self.committed = 0
        self.loads = 0

    @property
    def owned(self) -> Mapping[RRsetKey, Owned]:
        return self._owned

    def load(self, checkpoint: Checkpoint, guard_age_s: float, now: Now) -> None:
        """Takes over what a store holds; nothing of it needs committing again."""
        self.loads += 1
        self._owned = dict(checkpoint.owned)
        self.guard.restore(checkpoint.guard, guard_age_s, now)
        self._changed.clear()
        self._charges = self.guard.charges
        self.committed = self.version

    def remember(self, key: RRsetKey, owned: Owned | None) -> None:
        """Records that an RRset is ours (None: no longer), as of the next commit."""
        if self._owned.get(key) == owned:
            return
        if owned is None:
            self._owned.pop(key, None)
        else:
            self._owned[key] = owned
        self._changed[key] = owned
        self.version += 1

    def note_charges(self) -> None:
        """Call after the guard judged: new charges or episodes make a new version."""
        charges = self.guard.charges
        if charges != self._charges:
            self._charges = charges
            self.version += 1

    def to_record(self, flaps: Mapping[Member, Flaps], now: Now) -> RecordDecisions:
        """Everything not yet proposed to the store; remembered again if that fails."""
        record = RecordDecisions(dict(self._changed), self.guard.to_memory(flaps, now))
        self._changed.clear()
        return record

    def retry(self, record: RecordDecisions) -> None:
        """A commit failed: what it carried is proposed again with the next one."""
        for key, owned in record.owned.items():
            self._changed.setdefault(key, owned)
