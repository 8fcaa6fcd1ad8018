"""What became of a read or of a write, as values; the only backward edge to the controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dnslb.model.plan import Plan
from dnslb.model.rrset import RRset, ZoneReading

FailureKind = Literal["temporary", "refused", "conflict", "unknown", "fenced", "gated"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider accepted a plan. ``rrsets``: what now stands, with fresh bases; ``basis``: the
    zone's new one. ``notices``: what went wrong beside it (a reload command), never fatal."""

    rrsets: tuple[RRset, ...] = ()
    basis: object = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why it was not done. ``gated``: not sent, since the lease may have been lost.

    ``jitter`` in [0, 1) is drawn by the worker, so that the controller draws no luck.
    """

    kind: FailureKind
    sentence: str
    retry_after_s: float | None = None
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    plan: Plan
    result: Receipt | Failure
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    zone: str
    result: ZoneReading | Failure
