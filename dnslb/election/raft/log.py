"""What the cluster agrees on, entry by entry, and what one member must not forget. Pure values.

Not where they are kept (`store`), nor the copy in memory (`journal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec import Struct

from dnslb.election.raft import membership
from dnslb.election.raft.membership import Change, Configuration

REGULAR = b"\x00"
NO_OP = b"\x01"
MEMBERSHIP = b"\x02"
OPAQUE = b"\x04"
"""The first byte of a command, as pysyncobj has it (3 is its own); OPAQUE is applied as nothing."""

COMMAND_BYTES_MAX = 1024 * 1024
STATE_BYTES_MAX = 64 * 1024 * 1024
VERSION_MAX = 255


class Entry(NamedTuple):
    """In the order of pysyncobj. The first byte of ``command`` is its kind."""

    command: bytes
    position: int
    term: int


FIRST = Entry(NO_OP, 1, 0)
"""Every log begins with it, so that there is always an entry before the next one."""


def regular(data: bytes, version: int) -> bytes:
    """A command for the state machine, with the version of its language."""
    return REGULAR + bytes((version,)) + data


def opaque(data: bytes) -> bytes:
    """A command that is kept in the log and applied as nothing; of no bytes: a barrier."""
    return OPAQUE + data if data else NO_OP


def change_of(command: bytes) -> Change | None:
    """The change of members in a command; None for any other command."""
    return membership.from_bytes(command[1:]) if command[:1] == MEMBERSHIP else None


def change_command(change: Change) -> bytes:
    return MEMBERSHIP + membership.to_bytes(change)


def bootstrap(configuration: Configuration) -> Entry:
    """The first entry after `FIRST` in a new cluster."""
    return Entry(change_command(Change(Configuration(), configuration)), 2, 0)


class Facts(Struct, frozen=True):
    """``voted``: for whom in ``term``, "" for nobody. ``commit``: an index that is known to be
    committed, perhaps not the newest. ``largest_lease_s``: the longest lease ever acknowledged.
    ``cluster_id``: of the cluster that this directory belongs to, "" while it waits."""

    term: int = 0
    voted: str = ""
    commit: int = 1
    largest_lease_s: float = 0.0
    cluster_id: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after entry ``index`` (of ``term``), and the configuration then in force, which
    stood at ``configuration_index``."""

    index: int
    term: int
    configuration: Configuration
    configuration_index: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What one event changed. Entries below ``first`` go; so do those from ``rewrite_from`` on,
    where ``entries`` stand instead. None: as it was. ``incarnation``: with facts, and
    only when a recovery makes the directory another member's."""

    first: int
    rewrite_from: int
    entries: tuple[Entry, ...] = ()
    facts: Facts | None = None
    snapshot: Snapshot | None = None
    incarnation: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store says at start. ``incarnation`` was minted with it, or by a recovery."""

    incarnation: str
    facts: Facts
    entries: tuple[Entry, ...]
    snapshot: Snapshot | None


class Store(Protocol):
    """Durable ground. Only `commit` changes it: whole, or not at all."""

    def load(self) -> Stored: ...

    def commit(self, batch: Batch) -> None:
        """Returns when it is durable. Raises `StoreError` when it may not be; then nothing that
        rests on it may leave, and the store is of no use any more."""

    def close(self) -> None: ...
