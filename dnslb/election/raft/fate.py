"""Waiting for what becomes of a proposal, not for ever: whoever lost the leadership may never know.

Law: None means that it may or may not be in force; it is never called done or failed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from dnslb.election.raft.ground import Finished
from dnslb.election.raft.node import RaftNode
from dnslb.errors import CommandRefused, StoreError

UNDECIDED_S = 5.0
"""How long a proposal waits once its proposer does not lead any more."""
LOOK_S = 1.0


async def fate_of(node: RaftNode, propose: Callable[[], Awaitable[Finished]]) -> Finished | None:
    """Raises what ``propose`` raises: `CommandRefused`, `StoreError`."""
    term = node.member.term
    fates: list[Finished | CommandRefused | StoreError] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            try:
                fates.append(await propose())
            except (CommandRefused, StoreError) as error:
                fates.append(error)
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait)
        left_s = UNDECIDED_S
        while left_s > 0:
            await trio.sleep(LOOK_S)
            if node.member.role != "leader" or node.member.term != term:
                left_s -= LOOK_S
        nursery.cancel_scope.cancel()
    if not fates:
        return None
    if isinstance(fates[0], Exception):
        raise fates[0]
    return fates[0]
