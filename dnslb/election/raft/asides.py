"""What members tell each other beside consensus: who they are, reports, commands to the leader.

Not promises, votes or entries (`messages`): nothing in here decides who leads or what is in the
log, and all of it may be lost. Pure: values and bytes.

Law: bytes become a value only if every field is of its type and within its bound. No instant
travels, only ages (`safety.md` 5.6).
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dnslb.election.raft.membership import MEMBERS_MAX
from dnslb.errors import InvalidValue
from dnslb.model.cluster import ClusterCommand, ClusterReply
from dnslb.model.command import Command, CommandReply
from dnslb.model.status import Severity

MONITORS_MAX = 100_000
TOLD_MESSAGES_MAX = 1000
NEEDS_MAX = 50
Name = Annotated[str, Meta(max_length=300)]
Sentence = Annotated[str, Meta(max_length=4000)]
MonitorId = Annotated[str, Meta(max_length=64)]
Age = Annotated[float, Meta(ge=0)]


class _Aside(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    pass


class Facts(_Aside, frozen=True, tag="facts"):
    """``version`` of the program; ``digest`` of what its configuration decides by."""

    version: Name
    digest: Name


class Monitors(_Aside, frozen=True, tag="monitors"):
    """The list by which the reports after it are to be read: the ids of what was checked."""

    ids: Annotated[tuple[MonitorId, ...], Meta(max_length=MONITORS_MAX)]


class Handed(_Aside, frozen=True, tag="report"):
    """An agent's report: a vote for each of the newest list. ``age_s``: since it arrived, and what
    it was old then; ``told_age_s``: by the agent's own time, uncorrected; None without one."""

    agent: Name
    votes: Annotated[bytes, Meta(max_length=MONITORS_MAX)]
    age_s: Age
    told_age_s: float | None
    complete: bool
    messages: Annotated[dict[int, Sentence], Meta(max_length=TOLD_MESSAGES_MAX)]


class AskRaft(_Aside, frozen=True, tag="ask-raft"):
    """A raft command for the leader, as it was given to another member."""

    ticket: int
    command: ClusterCommand


class AskCommand(_Aside, frozen=True, tag="ask-command"):
    """An operator's command for the leader."""

    ticket: int
    command: Command
    timeout_s: Annotated[float, Meta(ge=0, le=3600)]


class AskRead(_Aside, frozen=True, tag="ask-read"):
    """A question that only the leader can answer well: a path of the control API."""

    ticket: int
    path: Name
    parameters: Annotated[dict[Name, Name], Meta(max_length=16)]


class Need(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A row of the leader's attention list; ``age_s``: since when it is true."""

    severity: Severity
    kind: Name
    subject: Name
    age_s: Age
    sentence: Sentence
    next: Sentence


class Needs(_Aside, frozen=True, tag="needs"):
    """All that the leader sees a person is needed for."""

    rows: Annotated[tuple[Need, ...], Meta(max_length=NEEDS_MAX)]


class Standing(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a member stands with the leader: ``age_s`` since its newest answer, None without any;
    ``match``: up to where it has the leader's log."""

    id: Name
    age_s: Age | None
    match: Annotated[int, Meta(ge=0)]
    reached: bool | None


class Standings(_Aside, frozen=True, tag="standings"):
    """How each of the others stands; ``last``: the end of the leader's log."""

    last: Annotated[int, Meta(ge=0)]
    rows: Annotated[tuple[Standing, ...], Meta(max_length=MEMBERS_MAX)]


class Departed(_Aside, frozen=True, tag="departed"):
    """A member was taken out of the cluster: as whom asked, by which entry, how long ago."""

    id: Name
    by: Name
    index: int
    age_s: Age


class Answered(_Aside, frozen=True, tag="answered"):
    """What came of the ticket: one of the four. ``refusal`` is a sentence; ``leaderless``: the
    one who was asked does not lead (any more)."""

    ticket: int
    raft: ClusterReply | None = None
    command: CommandReply | None = None
    read: bytes | None = None
    refusal: Sentence | None = None
    leaderless: bool = False


Question = AskRaft | AskCommand | AskRead
Aside = Facts | Monitors | Handed | Needs | Standings | Departed | Question | Answered

to_bytes = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Aside).decode


def from_bytes(data: bytes) -> Aside:
    """Raises `InvalidValue`."""
    try:
        aside: Aside = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        raise InvalidValue(f"this is nothing that members tell each other: {e}") from e
    ages: tuple[float, ...] = ()
    if isinstance(aside, Handed):
        ages = (aside.age_s, aside.told_age_s or 0.0)
    elif isinstance(aside, Needs):
        ages = tuple(row.age_s for row in aside.rows)
    elif isinstance(aside, Departed):
        ages = (aside.age_s,)
    elif isinstance(aside, Standings):
        ages = tuple(row.age_s or 0.0 for row in aside.rows)
    if not all(map(math.isfinite, ages)):
        raise InvalidValue("an age is not a number of seconds")
    return aside
