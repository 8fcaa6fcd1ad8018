"""The replicated memory of decisions: what is ours, what the guard has spent, who flapped.

It survives restarts and changes of leader. It holds ages, never monotonic instants: `GuardMemory`
is composed whole at one moment, and whoever loads it adds what has passed since (`safety.md` 5.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dnslb.model.operator import OperatorChange, OperatorState
from dnslb.model.rrset import RRsetKey

EARLIER_MAX = 4
"""Intentions remembered of one RRset beside the newest; of more, the oldest are forgotten."""
Member = tuple[str, str]
"""A published address: (load balancer, address)."""


@dataclass(frozen=True, slots=True)
class Owned:
    """An RRset known as ours: what we last wrote or adopted, and what we were about to write.
    ``earlier``: what writes before that were to leave there, of which it is not known that they
    were not done.

    Empty values mean: known to be absent. A provider that shows any of these is as we left it.
    """

    zone: str
    ttl: int
    values: tuple[str, ...]
    intended: tuple[str, ...] | None = None
    earlier: tuple[tuple[str, ...], ...] = ()

    @property
    def may_show(self) -> tuple[tuple[str, ...], ...]:
        """All that may stand there by our own doing."""
        intended = () if self.intended is None else (self.intended,)
        return (self.values, *intended, *self.earlier)


@dataclass(frozen=True, slots=True)
class Window:
    """The withdrawal window: addresses published when it opened, and those withdrawn since."""

    age_s: float
    base: Mapping[str, int]
    withdrawn: frozenset[Member] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """Withdrawals from one RRset that wait for a person; an episode ends when none is left."""

    episode: int
    age_s: float
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Flaps:
    """``count`` returns lost within ten minutes; ages in seconds of the last return and of the
    last halving or increase."""

    count: int
    returned_age_s: float | None
    changed_age_s: float


@dataclass(frozen=True, slots=True)
class GuardMemory:
    window: Window | None = None
    held: Mapping[RRsetKey, Held] = field(default_factory=dict)
    flaps: Mapping[Member, Flaps] = field(default_factory=dict)
    episodes: int = 0


@dataclass(frozen=True, slots=True)
class Precedent:
    """The configuration that is in force in DNS, by which the last writer decided. ``digest`` of
    all of it, "" where nobody wrote yet; ``prints``: what is remembered of each load balancer, as
    `dnslb.decide.precedent` makes and reads it."""

    digest: str = ""
    prints: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    owned: Mapping[RRsetKey, Owned] = field(default_factory=dict)
    guard: GuardMemory = field(default_factory=GuardMemory)
    precedent: Precedent = field(default_factory=Precedent)


@dataclass(frozen=True, slots=True)
class RecordDecisions:
    """The lease holder's memory, before or after a write: RRsets that changed (None: no longer
    ours) and the guard's memory as of now."""

    owned: Mapping[RRsetKey, Owned | None]
    guard: GuardMemory

    def apply(self, checkpoint: Checkpoint) -> Checkpoint:
        kept = {k: o for k, o in checkpoint.owned.items() if k not in self.owned}
        kept.update({k: o for k, o in self.owned.items() if o is not None})
        return replace(checkpoint, owned=kept, guard=self.guard)


@dataclass(frozen=True, slots=True)
class PutInForce:
    """This configuration is the one by which is decided from now on."""

    precedent: Precedent

    def apply(self, checkpoint: Checkpoint) -> Checkpoint:
        return replace(checkpoint, precedent=self.precedent)


StateChange = OperatorChange | RecordDecisions | PutInForce


@dataclass(frozen=True, slots=True)
class StoredState:
    """Everything that a state store keeps."""

    operator: OperatorState = field(default_factory=OperatorState)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def apply(self, change: StateChange) -> StoredState:
        if isinstance(change, RecordDecisions | PutInForce):
            return replace(self, checkpoint=change.apply(self.checkpoint))
        return replace(self, operator=change.apply(self.operator))
