"""The state file as bytes and back: JSON with a format number and a digest. Pure.

Law: what cannot be trusted is refused with a sentence, never read as an empty state; and what
`to_bytes` gave, `from_bytes` reads back equal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from dnslb.errors import StoreError
from dnslb.model.checkpoint import (
    Checkpoint,
    Flaps,
    GuardMemory,
    Held,
    Member,
    Owned,
    Precedent,
    StoredState,
    Window,
)
from dnslb.model.operator import Approval, OperatorState, Override, Pause
from dnslb.model.rrset import RRsetKey

FORMAT = 1
FILE_WAY_OUT = "put a copy from before in its place, or move the file away to begin anew"


@dataclass(frozen=True, slots=True)
class Saved:
    """What one state file says. ``epoch`` 0: none minted yet. ``clean_stop``: the last run ended
    with nothing under way. ``guard_wall``: when the guard's memory was composed; ``saved_wall``:
    when the file was written; both in seconds of the wall clock."""

    state: StoredState = field(default_factory=StoredState)
    epoch: int = 0
    clean_stop: bool = False
    saved_wall: float = 0.0
    guard_wall: float = 0.0


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    digest: str
    content: msgspec.Raw


class _Format(msgspec.Struct):
    format: int


class _Window(msgspec.Struct, forbid_unknown_fields=True):
    age_s: float
    base: dict[str, int]
    withdrawn: list[Member]


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """Keys that are pairs stand as the first two members of a row."""

    epoch: int
    clean_stop: bool
    saved_wall: float
    guard_wall: float
    overrides: list[Override]
    pauses: dict[str, Pause]
    approvals: dict[str, Approval]
    dropped: dict[str, Approval]
    deletions: dict[str, Approval]
    owned: list[tuple[str, str, Owned]]
    window: _Window | None
    held: list[tuple[str, str, Held]]
    flaps: list[tuple[str, str, Flaps]]
    episodes: int
    precedent: Precedent = msgspec.field(default_factory=Precedent)


_encoder = msgspec.json.Encoder(order="deterministic")
_envelopes = msgspec.json.Decoder(_Envelope)
_contents = msgspec.json.Decoder(_Content)
_formats = msgspec.json.Decoder(_Format)


def to_bytes(saved: Saved) -> bytes:
    """Raises `StoreError` for a value that could not be read back."""
    try:
        content = _encoder.encode(_to_content(saved))
        if _from_content(_contents.decode(content)) != saved:
            raise StoreError("The state cannot be written: it would not be read back the same.")
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as e:
        raise StoreError(f"The state cannot be written as JSON: {e}.") from e
    envelope = _Envelope(FORMAT, _digest(content), msgspec.Raw(content))
    return _encoder.encode(envelope) + b"\n"


def from_bytes(data: bytes, place: str, way_out: str = FILE_WAY_OUT) -> Saved:
    """Raises `StoreError`, naming ``place`` and what a person can do."""
    advice = (
        "dnslb does not start over by itself, since it would forget overrides, pauses and held "
        f"changes; {way_out}"
    )
    try:
        number = _formats.decode(data).format
        if number != FORMAT:
            raise StoreError(
                f"{place} has format {number}, this dnslb reads {FORMAT}: it was written by "
                f"another version; start that one. {advice}."
            )
        envelope = _envelopes.decode(data)
        if _digest(bytes(envelope.content)) != envelope.digest:
            raise StoreError(f"{place} is damaged: its digest does not fit its content. {advice}.")
        return _from_content(_contents.decode(envelope.content))
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        if isinstance(e, StoreError):
            raise
        raise StoreError(f"{place} is damaged: {e}. {advice}.") from e


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _to_content(saved: Saved) -> _Content:
    operator, checkpoint = saved.state.operator, saved.state.checkpoint
    guard = checkpoint.guard
    window = guard.window
    return _Content(
        epoch=saved.epoch,
        clean_stop=saved.clean_stop,
        saved_wall=saved.saved_wall,
        guard_wall=saved.guard_wall,
        overrides=list(operator.overrides.values()),
        pauses=dict(operator.pauses),
        approvals=dict(operator.approvals),
        dropped=dict(operator.dropped),
        deletions=dict(operator.deletions),
        owned=[(*key, owned) for key, owned in checkpoint.owned.items()],
        window=None
        if window is None
        else _Window(window.age_s, dict(window.base), sorted(window.withdrawn)),
        held=[(*key, held) for key, held in guard.held.items()],
        flaps=[(*member, flaps) for member, flaps in guard.flaps.items()],
        episodes=guard.episodes,
        precedent=checkpoint.precedent,
    )


def _from_content(content: _Content) -> Saved:
    window = content.window
    guard = GuardMemory(
        window=None
        if window is None
        else Window(window.age_s, window.base, frozenset(window.withdrawn)),
        held={RRsetKey(name, rtype): held for name, rtype, held in content.held},
        flaps={(lb, address): flaps for lb, address, flaps in content.flaps},
        episodes=content.episodes,
    )
    operator = OperatorState(
        overrides={override.key: override for override in content.overrides},
        pauses=content.pauses,
        approvals=content.approvals,
        dropped=content.dropped,
        deletions=content.deletions,
    )
    owned = {RRsetKey(name, rtype): one for name, rtype, one in content.owned}
    return Saved(
        state=StoredState(operator, Checkpoint(owned, guard, content.precedent)),
        epoch=content.epoch,
        clean_stop=content.clean_stop,
        saved_wall=content.saved_wall,
        guard_wall=content.guard_wall,
    )
