"""The replicated memory of decisions: its commands as bytes, and the machine that applies them.

Not the log (`journal`), and not who may propose. Pure: every member that applies the same commands
holds the same state, whenever it does so.

Law (`safety.md` 5.6): no monotonic instant is in here. A command says by whom it was proposed, and
what the wall clock showed there; how old the guard's memory is, is judged by whoever holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from dnslb.election import state_codec
from dnslb.election.state_codec import Saved
from dnslb.errors import InvalidValue, StoreError
from dnslb.model.checkpoint import PutInForce, RecordDecisions, StateChange, StoredState
from dnslb.model.operator import (
    Approve,
    ClearOverrides,
    ClearPauses,
    Drop,
    RequestDeletion,
    SetOverrides,
    SetPause,
    Settle,
)

VERSION = 2
"""Of the language of commands. Whoever adds a kind or a field raises it, and says so in `_SINCE`: a
leader proposes only what every member has announced, now or before (`safety.md` 5.5)."""


@dataclass(frozen=True, slots=True)
class TakeMarkers:
    """The markers of these zones held this cluster's token once, so they are known as ours."""

    zones: tuple[str, ...]


Replicated = StateChange | TakeMarkers

_KINDS: dict[str, type[Replicated]] = {
    "approve": Approve,
    "clear-overrides": ClearOverrides,
    "clear-pauses": ClearPauses,
    "decisions": RecordDecisions,
    "deletion": RequestDeletion,
    "drop": Drop,
    "markers": TakeMarkers,
    "overrides": SetOverrides,
    "pause": SetPause,
    "put-in-force": PutInForce,
    "settle": Settle,
}
_SINCE = {"put-in-force": 2}
"""The version in which a kind came; 1 for all others."""
_NAMES = {kind: name for name, kind in _KINDS.items()}
_encode = msgspec.msgpack.Encoder().encode
_decoders = {name: msgspec.msgpack.Decoder(kind).decode for name, kind in _KINDS.items()}


class _Command(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    by: str
    wall: float
    changes: list[tuple[str, msgspec.Raw]]


class _Snapshot(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    saved: bytes
    marked: list[str]
    language: int = 1


_command = msgspec.msgpack.Decoder(_Command).decode
_snapshot = msgspec.msgpack.Decoder(_Snapshot).decode


def language_of(changes: tuple[Replicated, ...]) -> int:
    """The oldest version in which they can be said."""
    return max((_SINCE.get(_NAMES[type(one)], 1) for one in changes), default=1)


def to_bytes(changes: tuple[Replicated, ...], *, by: str, wall: float) -> bytes:
    """``by``: the proposer's nonce. Raises `StoreError` for what could not be read back."""
    try:
        listed = [(_NAMES[type(one)], msgspec.Raw(_encode(one))) for one in changes]
        data = _encode(_Command(by, wall, listed))
        if from_bytes(data)[2] != changes:
            raise StoreError("The change cannot be replicated: it would not be read back the same.")
    except (InvalidValue, msgspec.MsgspecError, TypeError, ValueError, OverflowError) as e:
        raise StoreError(f"The change cannot be replicated: {e}.") from e
    return data


def from_bytes(data: bytes) -> tuple[str, float, tuple[Replicated, ...]]:
    """By whom, at which wall time there, and the changes. Raises `InvalidValue`."""
    try:
        command = _command(data)
        changes = tuple(_decoders[name](bytes(raw)) for name, raw in command.changes)
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as e:
        raise InvalidValue(f"this is no command of version {VERSION}: {e}") from e
    return command.by, command.wall, changes


class DecisionMachine:
    """``version`` counts what changed the state, ``composed`` what changed the guard's memory,
    which was composed when the proposer's wall clock showed ``composed_wall``; ``by``: who
    proposed the newest change, "" for a snapshot. ``marked``: zones whose markers are ours.
    ``language``: the newest version in which something was ever said. All members knew it then,
    and whoever was added since had to, so that nobody needs to announce it again."""

    def __init__(self) -> None:
        self.state = StoredState()
        self.marked: frozenset[str] = frozenset()
        self.language = 1
        self.version = 0
        self.by = ""
        self.composed = 0
        self.composed_wall = 0.0

    def apply(self, index: int, data: bytes) -> StoredState:
        """All of the command or none of it."""
        by, wall, changes = from_bytes(data)
        state, marked, decided = self.state, self.marked, False
        for change in changes:
            if isinstance(change, TakeMarkers):
                marked |= frozenset(change.zones)
            else:
                state = state.apply(change)
                decided = decided or isinstance(change, RecordDecisions)
        self.state, self.marked = state, marked
        self.language = max(self.language, language_of(changes))
        self.version += 1
        self.by = by
        if decided:
            self.composed += 1
            self.composed_wall = wall
        return state

    def save(self) -> bytes:
        saved = Saved(self.state, guard_wall=self.composed_wall)
        return _encode(_Snapshot(state_codec.to_bytes(saved), sorted(self.marked), self.language))

    def load(self, state: bytes) -> None:
        """Raises `StoreError`."""
        try:
            snapshot = _snapshot(state)
        except (msgspec.MsgspecError, ValueError, RecursionError) as e:
            raise StoreError(f"The snapshot of the replicated state cannot be read: {e}.") from e
        saved = state_codec.from_bytes(snapshot.saved, "The snapshot of the replicated state")
        self.state, self.marked = saved.state, frozenset(snapshot.marked)
        self.language = snapshot.language
        self.version += 1
        self.by = ""
        self.composed += 1
        self.composed_wall = saved.guard_wall
