"""What members say to each other, as values and as bytes. Pure.

Not the frames that carry them, nor the hello before them (`frames`). Bytes become a message only
if every field is of its type and within its bound; nothing in here can run code, as pickle does.

Law (`safety.md` 1.2 to 1.5): each call of a leader names its term and round and the lease that it
asks for; each answer names the term and round that it answers; a vote says what is left of its
voter's promise. Only durations travel, never instants.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dnslb.election.raft.log import COMMAND_BYTES_MAX, STATE_BYTES_MAX, Entry
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.timings import LEASE_S_MAX, PROMISE_S_MAX
from dnslb.errors import InvalidValue

Count = Annotated[int, Meta(ge=0, lt=2**62)]
LeaseLength = Annotated[float, Meta(gt=0, le=LEASE_S_MAX)]
Remainder = Annotated[float, Meta(ge=0, le=PROMISE_S_MAX)]

ENTRIES_MAX = 1024
BATCH_BYTES_MAX = 1024 * 1024
"""Entries of one message end with the one that passes this: a message has at most this and one
whole command more."""
CHUNK_BYTES_MAX = 256 * 1024
BESIDE_BYTES_MAX = 2 * 1024 * 1024
MESSAGE_BYTES_MAX = BATCH_BYTES_MAX + COMMAND_BYTES_MAX + ENTRIES_MAX * 32 + 64 * 1024


class _Said(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    term: Count


class Append(_Said, frozen=True, tag="append"):
    """A leader's entries after ``prev``, or none: a heartbeat. ``sequence`` counts what it says
    to this member; ``commit``: up to where it knows that all is committed."""

    round: Count
    lease_s: LeaseLength
    sequence: Count
    commit: Count
    prev: Count
    prev_term: Count
    entries: Annotated[tuple[Entry, ...], Meta(max_length=ENTRIES_MAX)] = ()


class Chunk(_Said, frozen=True, tag="chunk"):
    """A piece of a leader's snapshot, from ``offset`` of ``size`` bytes with that CRC-32."""

    round: Count
    lease_s: LeaseLength
    sequence: Count
    index: Count
    index_term: Count
    configuration: Configuration
    configuration_index: Count
    size: Annotated[int, Meta(ge=0, le=STATE_BYTES_MAX)]
    digest: Count
    offset: Count
    data: Annotated[bytes, Meta(max_length=CHUNK_BYTES_MAX)]


class Heard(_Said, frozen=True, tag="heard"):
    """The answer to both. ``next``: the entry that is wanted next; ``matches``: all before it is
    known to be as the leader has it, else it is where to try. ``offset``: how much of its snapshot
    ``snapshot`` is here, 0 and 0 where there is none under way."""

    round: Count
    sequence: Count
    next: Count
    matches: bool
    snapshot: Count = 0
    offset: Count = 0


class Ask(_Said, frozen=True, tag="ask"):
    """Asks for a vote in ``term``, with the end of its log."""

    last: Count
    last_term: Count


class Vote(_Said, frozen=True, tag="vote"):
    """Granted. ``left_s``: what is left of the voter's promise at this moment."""

    left_s: Remainder


class Sound(_Said, frozen=True, tag="sound"):
    """Would I be voted for in ``term``? Changes nothing at who is asked (Ongaro's thesis, 9.6)."""

    last: Count
    last_term: Count


class Echo(_Said, frozen=True, tag="echo"):
    """The answer: whether, for ``term``, and the term of who answers."""

    own_term: Count
    would_vote: bool


class Outdated(_Said, frozen=True, tag="outdated"):
    """Your term is older than ``term``."""


class StandNow(_Said, frozen=True, tag="stand-now"):
    """The leader of ``term`` gave its lease up and asks to be succeeded at once; ``wait_s`` is
    what it still had to wait itself."""

    wait_s: Remainder


class Beside(Struct, frozen=True, tag="beside", array_like=True, forbid_unknown_fields=True):
    """Nothing of consensus: what else members tell each other (`asides`). May be lost."""

    data: Annotated[bytes, Meta(max_length=BESIDE_BYTES_MAX)]


Message = Append | Chunk | Heard | Ask | Vote | Sound | Echo | Outdated | StandNow | Beside

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def to_bytes(message: Message) -> bytes:
    return _encode(message)


def from_bytes(data: bytes) -> Message:
    """Raises `InvalidValue`."""
    try:
        message: Message = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        raise InvalidValue(f"this is no message of a member: {e}") from e
    if isinstance(message, Append):
        for entry in message.entries:
            if not 0 < len(entry.command) <= COMMAND_BYTES_MAX:
                raise InvalidValue("a command is empty or too long")
    return message
