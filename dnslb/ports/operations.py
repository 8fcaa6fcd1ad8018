"""What the control socket, metrics and console may see and ask of a running daemon."""

from __future__ import annotations

from typing import Protocol

from dnslb.model.command import Command, CommandReply
from dnslb.model.status import LogEntry, Status
from dnslb.ports.watched import Watched


class Operations(Protocol):
    @property
    def status(self) -> Watched[Status]:
        """The newest picture."""

    @property
    def log(self) -> Watched[tuple[LogEntry, ...]]:
        """The newest entries of the event log, oldest first; the revision counts all ever
        written, so a follower knows how many it has missed."""

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        """Carries a command out and waits, at most ``timeout_s``, until it shows in DNS or it is
        clear why it does not. Raises `CommandRefused` with the sentence when it is refused."""
