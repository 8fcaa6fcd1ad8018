"""The facts the controller receives, each a value; with `intents` its whole surface."""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.decide.settings import Settings
from dnslb.model.checkpoint import StoredState
from dnslb.model.command import Command
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.outcome import Failure, ReadOutcome, WriteOutcome
from dnslb.model.publication import Sighting
from dnslb.model.report import Report


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """A configuration is in force: the first one, or a reload."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class MembersCompared:
    """The members of the cluster told each other what they decide by: ``digest`` is that of the
    configuration that all voters have, "" where they differ or one was not heard."""

    digest: str


@dataclass(frozen=True, slots=True)
class ReportArrived:
    report: Report


@dataclass(frozen=True, slots=True)
class LoopStalled:
    """Our own event loop stood still; whatever was being checked meanwhile proves nothing."""

    stalled_s: float


@dataclass(frozen=True, slots=True)
class LeaseChanged:
    """The right to write was gained, prolonged or lost (None)."""

    lease: Lease | None


@dataclass(frozen=True, slots=True)
class StateLoaded:
    """The store's state at start, or as another member changed it. ``guard_age_s``: how long
    ago its guard memory was composed."""

    state: StoredState
    guard_age_s: float


@dataclass(frozen=True, slots=True)
class Committed:
    """A `Commit` intent is durable; ``state`` is the store's state with it applied."""

    ticket: int
    state: StoredState


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """``uncertain``: nobody knows whether it is in force."""

    ticket: int
    sentence: str
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class ZoneFound:
    """Which zone serves ``name``; None: the provider knows no zone for it."""

    name: str
    result: str | Failure | None


@dataclass(frozen=True, slots=True)
class FenceTaken:
    """A `TakeFence` intent is done; ``failure``: why the marker of the zone is not ours."""

    zone: str
    token: FencingToken
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ZoneRead:
    outcome: ReadOutcome


@dataclass(frozen=True, slots=True)
class WriteEnded:
    outcome: WriteOutcome


@dataclass(frozen=True, slots=True)
class PublicationChecked:
    """The verifier's word on a zone: what all of its servers answer now, and which lag."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class CommandGiven:
    """An operator's command; answered by an `Answer` with the same ticket."""

    ticket: int
    command: Command


@dataclass(frozen=True, slots=True)
class Woke:
    """The instant that `deadline()` named has come, or the loop just turns; nothing else new."""


Event = (
    SettingsChanged
    | MembersCompared
    | ReportArrived
    | LoopStalled
    | LeaseChanged
    | StateLoaded
    | Committed
    | CommitFailed
    | ZoneFound
    | FenceTaken
    | ZoneRead
    | WriteEnded
    | PublicationChecked
    | CommandGiven
    | Woke
)
