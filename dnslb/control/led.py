"""The changes of the instance that may write, for whoever watches one that may not.

Law: it is asked at most once a second, and never waited for long. What it said last stays until it
says otherwise, or until this instance may write itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from dnslb.api import messages
from dnslb.api.codec import Malformed, decode
from dnslb.api.version import PREFIX
from dnslb.errors import CommandRefused, NoLeader, NotLeader
from dnslb.net.clock import Clock
from dnslb.ports.cluster import Cluster

ASK_EVERY_S, ASK_S_MAX = 1.0, 0.5
Elsewhere = Callable[[str, Mapping[str, str]], Awaitable[bytes | None]]
"""What the instance that may write answers to a path and its parameters; None where that is this
one. Raises `CommandRefused` where it cannot be asked."""


class LedChanges:
    """``elsewhere`` None: this instance stands alone."""

    def __init__(self, elsewhere: Elsewhere | None, cluster: Cluster, clock: Clock) -> None:
        self._elsewhere = elsewhere
        self._cluster = cluster
        self._clock = clock
        self._asked_at = float("-inf")
        self._known: list[messages.Change] | None = None

    async def newest(self) -> list[messages.Change] | None:
        """None: this instance's own changes are the truth. The same object as long as nothing in
        it is another."""
        now = self._clock.now().mono
        view = self._cluster.view()
        if self._elsewhere is None or view.role == "leader":
            self._known = None
        elif view.leader is not None and now >= self._asked_at + ASK_EVERY_S:
            self._asked_at = now
            with trio.move_on_after(ASK_S_MAX):
                said = await self._ask(self._elsewhere)
                self._known = self._known if said == self._known else said
        return self._known

    async def _ask(self, elsewhere: Elsewhere) -> list[messages.Change] | None:
        # All of them may be too much to hand on; what is open, and the last hour's, hardly ever.
        for parameters in ({"all": "1"}, {}):
            try:
                said = await elsewhere(f"{PREFIX}/changes", parameters)
                value: Any = None if said is None else decode(said)
            except (NoLeader, NotLeader, Malformed):
                break  # whoever asks for `changes` themselves is told why
            except CommandRefused:
                continue
            return value if value is None or isinstance(value, list) else self._known
        return self._known


def counted(message: messages.Status, changes: Sequence[messages.Change]) -> messages.Status:
    """The status with the counts of these changes instead of this instance's own."""
    states = [change["state"] for change in changes]
    return {
        **message,
        "pending_changes": states.count("pending") + states.count("applying"),
        "held_changes": states.count("held"),
    }
