"""Bringing those who write to rest: before a stop, and before the leadership is handed over.

Law (`safety.md` 1.5, 5.7): whoever is told that all is at rest may rely on it: no write is past the
gate, and none begins any more under that token.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from dnslb.daemon.write_gate import WriteGate
from dnslb.model.lease import FencingToken

log = logging.getLogger(__name__)

WRITE_S_MAX = 2.5
CUT_OFF_S_MAX = 0.3
STORE_S_MAX = 0.7


async def finish_writes(gate: WriteGate) -> bool:
    """Waits for the writes under way, and cuts off those that take too long; whether none was.
    The gate must let nobody through any more."""
    with trio.move_on_after(WRITE_S_MAX):
        await gate.wait_rest()
    if gate.under_way == 0:
        return True
    log.warning("the write under way is cut off; the zone will be read again")
    gate.cancel_all()
    with trio.move_on_after(CUT_OFF_S_MAX):
        await gate.wait_rest()
    return False


class RestingWorkers:
    """Implements `dnslb.election.surroundings.Workers`. ``wait_quiet``: until what the last write
    changed has been stored."""

    def __init__(self, gate: WriteGate, wait_quiet: Callable[[], Awaitable[None]]) -> None:
        self._gate = gate
        self._wait_quiet = wait_quiet

    async def rest(self, token: FencingToken) -> None:
        self._gate.bar(token)
        await finish_writes(self._gate)
        await self._gate.wait_rest()
        with trio.move_on_after(STORE_S_MAX):
            await self._wait_quiet()

    def resume(self, token: FencingToken) -> None:
        self._gate.bar(None)
