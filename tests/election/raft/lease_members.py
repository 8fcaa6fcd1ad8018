"""Members and messages of the model of leases (`lease_model`): values, and no rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dnslb.election.raft.lease import LeaseBook

Config = frozenset[str]


class Overlap(AssertionError):
    """Two members may write at one instant."""


class Message(NamedTuple):
    kind: str
    source: str
    target: str
    sent_at: float
    term: int
    number: int = 0
    length: int = 0
    last_term: int = 0
    value_s: float = 0.0
    log: tuple[tuple[int, Config | None], ...] = ()
    accepted: bool = True


@dataclass(eq=False)
class Member:
    id: str
    rate: float
    offset: float
    book: LeaseBook
    log: tuple[tuple[int, Config | None], ...]
    term: int = 0
    voted: str | None = None
    votes: set[str] = field(default_factory=set)
    match: dict[str, int] = field(default_factory=dict)
    commit: int = 0
    largest_s: float = 0.0
    asked_at: float = 0.0

    def clock(self, true_s: float) -> float:
        return self.offset + self.rate * true_s

    def true_s(self, clock: float) -> float:
        return (clock - self.offset) / self.rate

    def config(self, upto: int | None = None) -> Config:
        for _, config in reversed(self.log if upto is None else self.log[:upto]):
            if config is not None:
                return config
        raise AssertionError("no configuration")
