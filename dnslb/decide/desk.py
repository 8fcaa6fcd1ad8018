"""Where operators' commands come in and answers go out: judge, propose, tell.

A command is answered when it is in force, which is when its commit is durable; never before.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnslb.decide.balancer import Balancer
from dnslb.decide.commands import Accepted, Sight, judge
from dnslb.decide.events import CommandGiven
from dnslb.decide.intents import Answer, Intent
from dnslb.decide.journal import Journal
from dnslb.decide.store import Ended, Store
from dnslb.decide.writer import Writer
from dnslb.decide.zones import Zones
from dnslb.errors import CommandRefused
from dnslb.model.instant import Now


class Desk:
    """One per controller."""

    def __init__(self, store: Store, zones: Zones, writer: Writer, journal: Journal) -> None:
        self._store = store
        self._zones = zones
        self._writer = writer
        self._journal = journal

    def take(
        self,
        event: CommandGiven,
        balancers: Mapping[str, Balancer],
        refusal: str | None,
        now: Now,
    ) -> tuple[Intent, Accepted | None]:
        """The commit or the answer, and what was accepted. ``refusal``: why nothing is."""
        command = event.command
        try:
            if refusal is not None:
                raise CommandRefused(refusal)
            accepted = judge(command, self._sight(balancers), now)
        except CommandRefused as e:
            self._journal.log("refused", f"{command.kind} by {command.by}: {e}", now)
            return Answer(event.ticket, False, str(e)), None
        text = f"{command.by}: {accepted.sentence}"
        self._journal.log("command", text, now, reason=command.reason, by=command.by)
        if accepted.reread:
            self._zones.reread(accepted.reread)
        memory = self._store.memory
        for key in [k for k in memory.owned if k.name in accepted.forget]:
            memory.remember(key, None)
        if accepted.changes:
            return self._store.propose_command(event.ticket, accepted), accepted
        return answer(Ended(event.ticket, accepted, None)), accepted

    def _sight(self, balancers: Mapping[str, Balancer]) -> Sight:
        store, held = self._store, self._writer.ledger.held
        zones = frozenset(self._zones.by_name)
        in_force_with = self._writer.precedence.approved
        return Sight(balancers, zones, store.operator, held, store.memory.owned, in_force_with)


def answer(ended: Ended) -> Answer:
    """The last word on a command: in force, or not done and why, or not known."""
    ticket, accepted, error, uncertain = ended
    if error is not None and uncertain:
        return Answer(ticket, False, error)
    if error is not None:
        return Answer(ticket, False, f"not done, nothing was changed: {error}")
    return Answer(ticket, True, accepted.sentence, accepted.lbs, accepted.addresses)
