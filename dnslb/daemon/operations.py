"""What the control socket, the metrics and the console may see and ask; see `ports.operations`.

Hands commands to the controller through the mailbox and waits for what becomes of them. Judges
nothing: whether a command may be is the controller's word.

Law: a command that was handed over is answered, or said to be of unknown outcome; never both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count

import trio

from dnslb.daemon.event_log import EventLog
from dnslb.daemon.settlement import is_settled, published_of, sentences
from dnslb.decide.events import CommandGiven, Event
from dnslb.decide.intents import Answer
from dnslb.errors import CommandRefused
from dnslb.model.command import Command, CommandReply
from dnslb.model.status import LogEntry, Status
from dnslb.net.clock import Clock
from dnslb.net.watchable import Watchable
from dnslb.ports.operations import Operations
from dnslb.ports.watched import Watched

COMMANDS_MAX = 100
"""How many may wait at once; operators and scripts are few."""


class DaemonOperations:
    """Implements `dnslb.ports.operations.Operations`."""

    def __init__(
        self,
        status: Watchable[Status],
        log: EventLog,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._status = status
        self._log = log
        self._clock = clock
        self._tell = tell
        self._tickets = count(1)
        self._waiting: dict[int, tuple[trio.Event, list[Answer]]] = {}
        self.stopping = False

    @property
    def status(self) -> Watched[Status]:
        return self._status

    @property
    def log(self) -> Watched[tuple[LogEntry, ...]]:
        return self._log

    def answer(self, answer: Answer) -> None:
        """The controller's word on a command; nobody may be waiting for it any more."""
        if (waiting := self._waiting.get(answer.ticket)) is not None:
            event, box = waiting
            box.append(answer)
            event.set()

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        before = published_of(self._status.value)
        given_wall = self._clock.now().wall
        answer: Answer | None = None
        settled = False
        with trio.move_on_after(timeout_s):
            answer = await self._ask(command)
            if not answer.ok:
                raise CommandRefused(answer.sentence)
            found = answer
            await self._status.wait_value(
                lambda status: is_settled(status, command, found, given_wall)
            )
            settled = True
        if answer is None:
            sentence = (
                f"no answer within {timeout_s:g} s: it may or may not be done; "
                "look at dnslbctl status and dnslbctl events"
            )
            return CommandReply(False, (sentence,))
        detail = sentences(before, self._status.value, command, answer)
        late = () if settled else (f"not all of it shows in DNS after {timeout_s:g} s",)
        return CommandReply(True, (answer.sentence, *detail, *late))

    async def _ask(self, command: Command) -> Answer:
        if self.stopping:
            raise CommandRefused("this instance is stopping; nothing was changed")
        if len(self._waiting) >= COMMANDS_MAX:
            raise CommandRefused(
                f"{COMMANDS_MAX} commands wait already; nothing was changed, try again"
            )
        ticket = next(self._tickets)
        event, box = trio.Event(), list[Answer]()
        self._waiting[ticket] = (event, box)
        try:
            self._tell(CommandGiven(ticket, command))
            await event.wait()
        finally:
            del self._waiting[ticket]
        return box[0]


class LeaderOperations:
    """`Operations` in a cluster: what is seen is this member's, commands go to the leader.
    ``perform``: there, or here where this member leads."""

    def __init__(
        self, local: Operations, perform: Callable[[Command, float], Awaitable[CommandReply]]
    ) -> None:
        self._local = local
        self._perform = perform

    @property
    def status(self) -> Watched[Status]:
        return self._local.status

    @property
    def log(self) -> Watched[tuple[LogEntry, ...]]:
        return self._local.log

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        return await self._perform(command, timeout_s)
