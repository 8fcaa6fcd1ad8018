"""Proposals on their way, and what comes of each; carries committed commands to the machine.

Not the log that they wait in. Law: a ticket ends once: with the entry that it stands for, with
another one in its place, or not knowable, when a snapshot came in between. Losing the leadership
ends none, since the entry may still be committed by who leads next.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnslb.election.raft.ground import Finished, Ground, Outcome
from dnslb.election.raft.log import COMMAND_BYTES_MAX, REGULAR, Entry
from dnslb.errors import CommandRefused, StoreError

PENDING_MAX = 1024
"""Proposals that wait for their outcome, at most."""
FULL = f"{PENDING_MAX} commands wait already; try again later."
TOO_LONG = f"A command has at most {COMMAND_BYTES_MAX} bytes."


class Proposals:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._waiting: dict[int, tuple[int, int]] = {}
        self._issued = 0
        self.frozen: str | None = None

    @property
    def pending(self) -> int:
        """How many have no outcome yet."""
        return len(self._waiting)

    def refuse_unless_open(self, commands: Sequence[bytes]) -> None:
        """All of them or none."""
        if self.frozen is not None:
            raise CommandRefused(self.frozen)
        if self.pending + len(commands) > PENDING_MAX:
            raise CommandRefused(FULL)
        if any(len(command) > COMMAND_BYTES_MAX for command in commands):
            raise CommandRefused(TOO_LONG)

    def issue(self) -> int:
        """A ticket that was never given before."""
        self._issued += 1
        return self._issued

    def wait(self, ticket: int, entry: Entry) -> None:
        self._waiting[entry.position] = (ticket, entry.term)

    def apply(self, entry: Entry) -> None:
        """The next committed entry. What the machine raises is the answer to who proposed it: it
        raises the same on every member, so the log goes on."""
        result = self._run(entry) if entry.command[:1] == REGULAR else None
        ticket, term = self._waiting.pop(entry.position, (0, 0))
        if ticket:
            outcome: Outcome = "applied" if term == entry.term else "replaced"
            mine = result if outcome == "applied" else None
            self._ground.finished.append(Finished(ticket, entry.position, outcome, mine))

    def _run(self, entry: Entry) -> object:
        known = self._ground.command_version
        version = entry.command[1] if len(entry.command) > 1 else 0
        if version > known:
            raise StoreError(
                f"The log holds a command of version {version}, this dnslb knows {known}: start "
                "the newer one again."
            )
        try:
            return self._ground.machine.apply(entry.position, entry.command[2:])
        except Exception as e:  # noqa: BLE001 (whatever it is, it may not stop the log)
            return e

    def superseded(self, index: int) -> None:
        """A snapshot stands for all entries up to ``index``."""
        for position in [one for one in self._waiting if one <= index]:
            ticket, _ = self._waiting.pop(position)
            self._ground.finished.append(Finished(ticket, position, "unknown"))
