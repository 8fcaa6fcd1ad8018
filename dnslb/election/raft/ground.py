"""What the parts of one member share while they handle one event: its log, lease book and clock.

Not a part itself: `core` opens and closes events, `leading` and `following` work in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from dnslb.election.raft.journal import Journal
from dnslb.election.raft.lease import LeaseBook
from dnslb.election.raft.messages import Message
from dnslb.election.raft.timings import Timings
from dnslb.model.instant import Now

Outcome = Literal["applied", "replaced", "unknown"]


class Machine(Protocol):
    """The replicated state. Decides by its arguments alone: no clock, no luck."""

    def apply(self, index: int, data: bytes) -> object:
        """Carries a command out; what it returns, or raises, is the answer to who proposed it."""

    def save(self) -> bytes: ...

    def load(self, state: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """How a proposal ended, by the number it was given. ``replaced``: another entry stands in its
    place. ``unknown``: a snapshot came in between, so it may stand or not. ``result``: the
    machine's, or the exception that it raised."""

    ticket: int
    index: int
    outcome: Outcome
    result: object = None


@dataclass(frozen=True, slots=True)
class Effects:
    """What to do after an event, once all that it rests on is durable."""

    frames: tuple[tuple[str, Message], ...] = ()
    finished: tuple[Finished, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """``command_version``: the newest language of commands that the machine knows.
    ``compact_every``: applied entries after which a snapshot is taken; ``keep`` of them stay in
    the log, for members that are only a little behind."""

    timings: Timings
    command_version: int = 1
    compact_every: int = 8192
    keep: int = 1024


@dataclass
class Ground:
    """``book`` is replaced, never changed. ``command_version``: the newest language of commands
    that this program knows."""

    id: str
    timings: Timings
    journal: Journal
    machine: Machine
    command_version: int
    book: LeaseBook
    now: Now
    frames: list[tuple[str, Message]] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)

    def send(self, peer: str, message: Message) -> None:
        self.frames.append((peer, message))

    def promise(self, lease_s: float) -> None:
        """Before an acknowledgement: the promise, and the length that a restart must know."""
        self.journal.note_lease(lease_s)
        self.book = self.book.promise(at=self.now.boot, lease_s=lease_s)
