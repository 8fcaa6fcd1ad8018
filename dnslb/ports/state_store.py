"""Where decisions and what operators said outlive a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dnslb.model.checkpoint import StateChange, StoredState

PublishState = Callable[[StoredState, float], None]
"""Called with the state and the age in seconds of its guard memory."""


class StateStore(Protocol):
    async def run(self, publish_state: PublishState) -> None:
        """Loads (raises `StoreError` when what is there cannot be trusted), publishes the state,
        then runs until cancelled, publishing whatever others change."""

    async def propose(self, changes: tuple[StateChange, ...]) -> StoredState:
        """Makes the changes durable, all or none, and returns the state with them applied.
        Raises `StoreError` when that failed; then nothing is in force, but where it is a
        `StoreUncertain`."""
