"""What an elector asks of the daemon around it, whatever it elects by. Pure.

Not a port: nobody else implements or needs these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dnslb.model.command import Command, CommandReply
from dnslb.model.lease import FencingToken
from dnslb.ports.noticeboard import Noticeboard

Perform = Callable[[Command, float], Awaitable[CommandReply]]
Read = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
NewestEpoch = Callable[[], Awaitable[int]]


async def _no_marker() -> int:
    """Where no zone is published."""
    return 0


class Workers(Protocol):
    """Those who write under the lease."""

    async def rest(self, token: FencingToken) -> None:
        """Lets no write begin under ``token`` any more; returns when none is under way."""

    def resume(self, token: FencingToken) -> None:
        """Takes that back: the token is still in force."""


class Note(Protocol):
    """An entry of the event log."""

    def __call__(self, kind: str, message: str, **fields: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the daemon does. ``perform``: an operator's command, as the leader; ``read``: what it
    answers to a question, likewise. ``stop``: asks the daemon to end. ``voters``: who votes,
    whenever that changes; ``agreed``: the digest of the configuration that all of them have, ""
    where that is not so. ``newest_epoch``: of the markers of ours that can be read, 0 for none."""

    workers: Workers
    perform: Perform
    read: Read
    stop: Callable[[], None]
    note: Note
    notices: Noticeboard
    voters: Callable[[tuple[str, ...]], None]
    agreed: Callable[[str], None]
    newest_epoch: NewestEpoch = _no_marker
