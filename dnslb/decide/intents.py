"""What the controller wants done, each a value; carrying it out belongs to `dnslb.daemon`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnslb.model.checkpoint import StateChange
from dnslb.model.lease import FencingToken
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.plan import Plan
from dnslb.model.publication import Expected
from dnslb.model.rrset import RRsetKey
from dnslb.model.status import LogEntry, Status


@dataclass(frozen=True, slots=True)
class FindZones:
    """Ask the provider which zone serves each name; one `ZoneFound` for each."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeFence:
    """Put this token into the marker of a zone, before the zone is read under it; answered by
    `FenceTaken`."""

    zone: str
    token: FencingToken


@dataclass(frozen=True, slots=True)
class ReadZone:
    """Read these names of a zone; answered by `ZoneRead`. ``scan``: all of them have been read
    before and nothing waits for it, so it may take its time."""

    zone: str
    names: frozenset[str]
    scan: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """Write this plan through the lease gate; answered by `WriteEnded`. A newer plan for the
    same zone replaces one that has not begun."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Verify:
    """All that the servers of a zone should answer and were not seen to; replaces what was said
    of that zone before. Answered by `PublicationChecked` as there is news."""

    zone: str
    expected: Mapping[RRsetKey, Expected]


@dataclass(frozen=True, slots=True)
class Recall:
    """Nothing is to be changed in this zone any more: a plan that has not passed the lease gate
    is answered as not sent."""

    zone: str


@dataclass(frozen=True, slots=True)
class KeepMonitorList:
    """See to it, through the lease gate, that agents elsewhere find this list of what to check,
    until this is said anew. ``token`` None: leave what stands there to whoever may write."""

    monitors: MonitorList
    token: FencingToken | None


@dataclass(frozen=True, slots=True)
class Commit:
    """Make these changes durable, in this order; answered by `Committed` or `CommitFailed`."""

    ticket: int
    changes: tuple[StateChange, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a `CommandGiven`: in force (and for which load balancers and addresses), or
    refused and why; ``details`` are further sentences, one a line."""

    ticket: int
    ok: bool
    sentence: str
    lbs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resign:
    """Give the lease up: a provider says that another writer holds the fence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    entry: LogEntry


@dataclass(frozen=True, slots=True)
class PublishStatus:
    status: Status


Intent = (
    FindZones
    | TakeFence
    | ReadZone
    | Apply
    | Recall
    | Verify
    | KeepMonitorList
    | Commit
    | Answer
    | Resign
    | Log
    | PublishStatus
)
