"""The local state store: one file, beside which nothing is believed.

Not replicated and not a log: the state is small, and the newest one is all that counts. How it is
made durable is `slotfile`'s.

Law: a proposal is in force exactly when it is durable. A file that cannot be trusted stops the
start; a missing one is a first start. The mark of a clean stop leaves the disk before a run may
write anything.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from dnslb.election.slotfile import VALUE_BYTES_MAX, SlotFile
from dnslb.election.state_codec import Saved, from_bytes, to_bytes
from dnslb.errors import StoreError
from dnslb.model.checkpoint import RecordDecisions, StateChange, StoredState
from dnslb.net.clock import Clock
from dnslb.ports.state_store import PublishState

STATE_NAME = "state.json"
MIRROR_AFTER_S = 0.1
"""After a change, when the next one would not wait for it: the second copy in the file."""


@dataclass(frozen=True, slots=True)
class RunGround:
    """What a run rests on: the epoch of this ground, and whether the last run stopped cleanly."""

    epoch: int
    clean_start: bool


class StateFileStore:
    """``path``: the file, in a directory that this process has locked (`StateDirectory`)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._file = SlotFile(path)
        self._clock = clock
        self._saved: Saved | None = None
        self._turn = trio.Lock()
        self._written = trio.Event()

    async def run(self, publish_state: PublishState) -> None:
        async with self._turn:
            saved = await self._load()
            # A wall clock that was set back makes nothing older than it is.
            age_s = max(0.0, self._clock.now().wall - saved.guard_wall)
            publish_state(saved.state, age_s if saved.guard_wall else 0.0)
        while True:
            await self._written.wait()
            self._written = trio.Event()
            await trio.sleep(MIRROR_AFTER_S)
            await self._mirror()

    async def propose(self, changes: tuple[StateChange, ...]) -> StoredState:
        async with self._turn:
            saved = await self._load()
            wall = self._clock.now().wall
            state, guard_wall = saved.state, saved.guard_wall
            for change in changes:
                state = state.apply(change)
                if isinstance(change, RecordDecisions):
                    guard_wall = wall
            await self._store(replace(saved, state=state, guard_wall=guard_wall, clean_stop=False))
            return state

    async def begin_run(self) -> RunGround:
        """Takes the mark of a clean stop away, durably, and mints an epoch where there is none.
        To be called once, before anything is written anywhere."""
        async with self._turn:
            saved = await self._load()
            epoch = saved.epoch or max(1, int(self._clock.now().wall))
            await self._store(replace(saved, epoch=epoch, clean_stop=False))
            return RunGround(epoch, saved.clean_stop)

    async def record_clean_stop(self) -> None:
        """Sets the mark. Only for whoever knows that no write is under way or will be."""
        async with self._turn:
            await self._store(replace(await self._load(), clean_stop=True))
        await self._mirror()

    async def _mirror(self) -> None:
        async with self._turn:
            # The state is durable without; the next change meets the same disk, and says so.
            with contextlib.suppress(OSError):
                await trio.to_thread.run_sync(self._file.mirror)

    async def _load(self) -> Saved:
        if self._saved is None:
            self._saved = await trio.to_thread.run_sync(self._read)
        return self._saved

    async def _store(self, saved: Saved) -> None:
        saved = replace(saved, saved_wall=self._clock.now().wall)
        await trio.to_thread.run_sync(self._write, saved)
        self._saved = saved
        self._written.set()

    def _read(self) -> Saved:
        try:
            data = self._file.read()
        except OSError as e:
            raise StoreError(f"The state file {self._path} cannot be read: {e.strerror}.") from e
        if data is None:
            return Saved()
        if len(data) > VALUE_BYTES_MAX:
            limit = f"larger than {VALUE_BYTES_MAX} bytes"
            raise StoreError(f"The state file {self._path} is {limit}.")
        return from_bytes(data, f"The state file {self._path}")

    def _write(self, saved: Saved) -> None:
        data = to_bytes(saved)
        try:
            self._file.write(data)
        except OSError as e:
            raise StoreError(
                f"The state file {self._path} cannot be written: {e.strerror or e}; what was asked "
                "for is not in force."
            ) from e
