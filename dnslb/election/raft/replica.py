"""The state store of a cluster: changes proposed by the leader, published by everybody.

Not the log, nor the machine that applies it (`machine`). Implements `dnslb.ports.state_store`.

Law: a proposal is answered when it is committed and applied, or with why that is not so or not
known; a member that does not lead proposes nothing. What others changed is published in the turn
in which it was applied, hence before a lease that rests on it.
"""

from __future__ import annotations

import trio

from dnslb.election.raft import machine as commands
from dnslb.election.raft.fate import fate_of
from dnslb.election.raft.ground import Finished
from dnslb.election.raft.machine import DecisionMachine, Replicated
from dnslb.election.raft.node import RaftNode
from dnslb.errors import CommandRefused, StoreError, StoreUncertain
from dnslb.model.checkpoint import StateChange, StoredState
from dnslb.net.clock import Clock
from dnslb.ports.state_store import PublishState


class Replica:
    """``nonce``: of this process. Call `look` after every event of the node."""

    def __init__(self, node: RaftNode, machine: DecisionMachine, clock: Clock, nonce: str) -> None:
        self._node = node
        self._machine = machine
        self._clock = clock
        self._nonce = nonce
        self._publish: PublishState | None = None
        self._seen = 0
        self._lost_track = False
        self._composed = 0
        self._composed_boot = 0.0
        self._start_wall = clock.now().wall
        self._look_at_memory()

    # ---------------------------------------------------------------------------- the guard's age

    def _look_at_memory(self) -> None:
        """Anchors the age of a guard memory that is new here: what was composed before this
        process began is as old as the wall clock says; what comes later has just been composed,
        whatever clock its leader has."""
        machine = self._machine
        if machine.composed == self._composed:
            return
        self._composed = machine.composed
        now = self._clock.now()
        age_s = 0.0
        if 0 < machine.composed_wall < self._start_wall:
            age_s = now.wall - machine.composed_wall
        self._composed_boot = now.boot - age_s

    @property
    def _guard_age_s(self) -> float:
        return max(0.0, self._clock.now().boot - self._composed_boot) if self._composed else 0.0

    # -------------------------------------------------------------------------------- publishing

    def look(self) -> None:
        """Publishes what is new, but for what `propose` here is about to answer."""
        self._look_at_memory()
        machine = self._machine
        if machine.version == self._seen or self._publish is None:
            return
        self._seen = machine.version
        if machine.by != self._nonce or self._lost_track:
            self._publish(machine.state, self._guard_age_s)

    async def run(self, publish_state: PublishState) -> None:
        self._publish = publish_state
        self._seen = self._machine.version
        publish_state(self._machine.state, self._guard_age_s)
        await trio.sleep_forever()

    # --------------------------------------------------------------------------------- proposing

    async def propose(self, changes: tuple[StateChange, ...]) -> StoredState:
        state = (await self.replicate(changes)).result
        assert isinstance(state, StoredState)
        return state

    async def replicate(self, changes: tuple[Replicated, ...]) -> Finished:
        """Once it is applied here. Raises `StoreError`."""
        if not self._node.member.ready:
            raise StoreError("This member does not lead (any more), so nothing was changed.")
        data = commands.to_bytes(changes, by=self._nonce, wall=self._clock.now().wall)
        version, spoken = commands.language_of(changes), self._machine.language
        try:
            finished = await fate_of(
                self._node, lambda: self._node.propose(data, version=version, spoken=spoken)
            )
        except CommandRefused as error:
            raise StoreError(f"Nothing was changed: {error}") from error
        if finished is None:
            self._lost_track = True
            raise StoreUncertain(
                "The leadership was lost before the cluster agreed: it may or may not be in force."
            )
        if finished.outcome == "replaced":
            raise StoreError("Another leader decided otherwise, so nothing was changed.")
        if finished.outcome == "unknown":
            raise StoreUncertain("It may or may not be in force: look at what is.")
        if isinstance(finished.result, Exception):
            raise StoreError(f"Nothing was changed: {finished.result}") from finished.result
        return finished
