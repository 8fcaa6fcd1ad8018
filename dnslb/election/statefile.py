"""The local state store: one file, replaced whole, beside which nothing is believed.

Not replicated and not a log: the state is small, and the newest one is all that counts.

Law: a proposal is in force exactly when it is durable. A file that cannot be trusted stops the
start; a missing one is a first start. The mark of a clean stop leaves the disk before a run may
write anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from dnslb.election.state_codec import Saved, from_bytes, to_bytes
from dnslb.errors import StoreError
from dnslb.model.checkpoint import RecordDecisions, StateChange, StoredState
from dnslb.net.clock import Clock
from dnslb.ports.state_store import PublishState

STATE_NAME = "state.json"
BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunGround:
    """What a run rests on: the epoch of this ground, and whether the last run stopped cleanly."""

    epoch: int
    clean_start: bool


class StateFileStore:
    """``path``: the file, in a directory that this process has locked (`StateDirectory`)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._saved: Saved | None = None
        self._turn = trio.Lock()

    async def run(self, publish_state: PublishState) -> None:
        async with self._turn:
            saved = await self._load()
            # A wall clock that was set back makes nothing older than it is.
            age_s = max(0.0, self._clock.now().wall - saved.guard_wall)
            publish_state(saved.state, age_s if saved.guard_wall else 0.0)
        await trio.sleep_forever()

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

    async def _load(self) -> Saved:
        if self._saved is None:
            self._saved = await trio.to_thread.run_sync(_read, self._path)
        return self._saved

    async def _store(self, saved: Saved) -> None:
        saved = replace(saved, saved_wall=self._clock.now().wall)
        before = self._saved
        await trio.to_thread.run_sync(partial(_write, self._path, saved, before))
        self._saved = saved


def _read(path: Path) -> Saved:
    try:
        with open(path, "rb") as file:
            data = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return Saved()
    except OSError as e:
        raise StoreError(f"The state file {path} cannot be read: {e.strerror}.") from e
    if len(data) > BYTES_MAX:
        raise StoreError(f"The state file {path} is larger than {BYTES_MAX} bytes.")
    return from_bytes(data, f"The state file {path}")


def _write(path: Path, saved: Saved, before: Saved | None) -> None:
    data = to_bytes(saved)
    try:
        _replace_durably(path, data, undo=lambda: _put_back(path, before))
    except OSError as e:
        raise StoreError(
            f"The state file {path} cannot be written: {e.strerror or e}; what was asked for is "
            "not in force."
        ) from e


def _replace_durably(path: Path, data: bytes, undo: Callable[[], None]) -> None:
    beside = path.with_name(path.name + ".new")
    try:
        _write_synced(beside, data)
        os.rename(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    try:
        _sync_directory(path.parent)
    except OSError:
        # It may or may not outlive a power cut: so that "not in force" stays true, it goes.
        with contextlib.suppress(OSError):
            undo()
        raise


def _put_back(path: Path, before: Saved | None) -> None:
    if before is None or before == Saved():
        os.unlink(path)
        return
    beside = path.with_name(path.name + ".new")
    _write_synced(beside, to_bytes(before))
    os.rename(beside, path)


def _write_synced(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
