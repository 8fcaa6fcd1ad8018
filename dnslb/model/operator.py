"""What people said: overrides, pauses, approvals, drops and releases, and how each is recorded.

Every record names who, why and until when. Expiry is wall time, judged by the lease holder. A
change of this state is itself a value (`StateChange`), so every store applies the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

OverrideKind = Literal["drain", "force-up", "force-down"]
ANY_SCOPE = ""


@dataclass(frozen=True, slots=True)
class Override:
    """One endpoint (by its id) of one load balancer; ``expires_wall`` None means without end."""

    lb: str
    endpoint: str
    kind: OverrideKind
    reason: str
    by: str
    created_wall: float
    expires_wall: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.lb, self.endpoint)


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is written for ``scope``: everything (""), a zone, or a load balancer."""

    scope: str
    reason: str
    by: str
    created_wall: float
    expires_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to exactly the held change with this id."""

    held_id: str
    by: str
    created_wall: float


@dataclass(frozen=True, slots=True)
class OperatorState:
    """All that people said and that is still in force."""

    overrides: Mapping[tuple[str, str], Override] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    approvals: Mapping[str, Approval] = field(default_factory=dict)
    dropped: Mapping[str, Approval] = field(default_factory=dict)
    deletions: Mapping[str, Approval] = field(default_factory=dict)
    """Released names whose RRsets are to be deleted, each with who said so."""


@dataclass(frozen=True, slots=True)
class SetOverrides:
    overrides: tuple[Override, ...]

    def apply(self, state: OperatorState) -> OperatorState:
        return replace(state, overrides={**state.overrides, **{o.key: o for o in self.overrides}})


@dataclass(frozen=True, slots=True)
class ClearOverrides:
    keys: tuple[tuple[str, str], ...]

    def apply(self, state: OperatorState) -> OperatorState:
        kept = {k: o for k, o in state.overrides.items() if k not in self.keys}
        return replace(state, overrides=kept)


@dataclass(frozen=True, slots=True)
class SetPause:
    pause: Pause

    def apply(self, state: OperatorState) -> OperatorState:
        return replace(state, pauses={**state.pauses, self.pause.scope: self.pause})


@dataclass(frozen=True, slots=True)
class ClearPauses:
    scopes: tuple[str, ...]

    def apply(self, state: OperatorState) -> OperatorState:
        kept = {s: p for s, p in state.pauses.items() if s not in self.scopes}
        return replace(state, pauses=kept)


@dataclass(frozen=True, slots=True)
class Approve:
    approvals: tuple[Approval, ...]

    def apply(self, state: OperatorState) -> OperatorState:
        new = {a.held_id: a for a in self.approvals}
        dropped = {i: a for i, a in state.dropped.items() if i not in new}
        return replace(state, approvals={**state.approvals, **new}, dropped=dropped)


@dataclass(frozen=True, slots=True)
class Drop:
    drops: tuple[Approval, ...]

    def apply(self, state: OperatorState) -> OperatorState:
        new = {a.held_id: a for a in self.drops}
        approvals = {i: a for i, a in state.approvals.items() if i not in new}
        return replace(state, dropped={**state.dropped, **new}, approvals=approvals)


@dataclass(frozen=True, slots=True)
class Settle:
    """Consumed or dead decisions leave: held ids, and names whose deletion is done or void."""

    held_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def apply(self, state: OperatorState) -> OperatorState:
        return replace(
            state,
            approvals={i: a for i, a in state.approvals.items() if i not in self.held_ids},
            dropped={i: a for i, a in state.dropped.items() if i not in self.held_ids},
            deletions={n: a for n, a in state.deletions.items() if n not in self.names},
        )


@dataclass(frozen=True, slots=True)
class RequestDeletion:
    name: str
    by: Approval

    def apply(self, state: OperatorState) -> OperatorState:
        return replace(state, deletions={**state.deletions, self.name: self.by})


OperatorChange = (
    SetOverrides
    | ClearOverrides
    | SetPause
    | ClearPauses
    | Approve
    | Drop
    | Settle
    | RequestDeletion
)
