"""One instance alone: the lease is held from the start, without end.

Not an election. That no second daemon runs on the same ground is the state directory's lock
(`statedir`); that the zones are nobody else's is the owner's promise, and the fence's where the
provider has one.
"""

from __future__ import annotations

import secrets

import trio

from dnslb.election.statefile import StateFileStore
from dnslb.model.lease import FencingToken, Lease
from dnslb.ports.elector import PublishLease


class SingletonElector:
    """``owner_id``: as configured; without one the instance id stands for it."""

    def __init__(self, store: StateFileStore, *, instance_id: str, owner_id: str = "") -> None:
        self._store = store
        self._instance_id = instance_id
        self._owner_id = owner_id or instance_id
        self._nonce = secrets.token_hex(8)
        self._publish: PublishLease | None = None
        self._resigned = False

    async def run(self, publish_lease: PublishLease) -> None:
        """Raises `StoreError` when the state cannot be trusted or written."""
        ground = await self._store.begin_run()
        if self._resigned:
            publish_lease(None)
        else:
            token = FencingToken(self._owner_id, ground.epoch, 0, self._nonce)
            publish_lease(Lease(self._instance_id, token, clean_start=ground.clean_start))
            self._publish = publish_lease
        await trio.sleep_forever()

    async def resign(self, reason: str) -> None:
        """For good: nobody else could take over, so only a new start ends it."""
        await trio.lowlevel.checkpoint()
        self._resigned = True
        publish, self._publish = self._publish, None
        if publish is not None:
            publish(None)
