"""The local state file: durable or not in force, never silently reset."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.election import slotfile
from dnslb.election.state_codec import Saved, to_bytes
from dnslb.election.statefile import RunGround, StateFileStore
from dnslb.errors import StoreError
from dnslb.model.checkpoint import (
    Flaps,
    GuardMemory,
    Held,
    Owned,
    RecordDecisions,
    StateChange,
    StoredState,
    Window,
)
from dnslb.model.operator import Approval, Approve, Override, Pause, SetOverrides, SetPause
from dnslb.model.rrset import RRsetKey
from dnslb.net.clock import FakeClock

KEY = RRsetKey("www.example.org", "A")
CHANGES: tuple[StateChange, ...] = (
    SetOverrides((Override("www.example.org", "tcp://192.0.2.1:80", "drain", "r", "kim", 1.0),)),
    SetPause(Pause("", "audit", "kim", 1.0, 9.0)),
    Approve((Approval("abcd", "kim", 1.0),)),
    RecordDecisions(
        {KEY: Owned("example.org", 60, ("192.0.2.1",), ("192.0.2.2",))},
        GuardMemory(
            Window(1.0, {"www.example.org": 2}, frozenset({("www.example.org", "192.0.2.2")})),
            {KEY: Held(3, 2.0, frozenset({"192.0.2.3"}))},
            {("www.example.org", "192.0.2.1"): Flaps(1, 5.0, 6.0)},
            3,
        ),
    ),
)


async def loaded(path: Path, clock: FakeClock) -> tuple[StoredState, float]:
    """What a fresh process publishes at its start."""
    seen: list[tuple[StoredState, float]] = []
    published = trio.Event()

    def publish(state: StoredState, age_s: float) -> None:
        seen.append((state, age_s))
        published.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(StateFileStore(path, clock).run, publish)
        await published.wait()
        nursery.cancel_scope.cancel()
    return seen[0]


async def test_everything_survives_a_restart_and_the_guard_grows_older(tmp_path: Path) -> None:
    path, clock = tmp_path / "state.json", FakeClock()
    state = await StateFileStore(path, clock).propose(CHANGES)
    clock.jump_wall(100.0)
    again, age_s = await loaded(path, clock)
    assert again == state
    assert age_s == pytest.approx(100.0, abs=1.0)
    assert (await trio.Path(path).stat()).st_mode & 0o777 == 0o600


async def test_a_clock_that_was_set_back_makes_nothing_younger(tmp_path: Path) -> None:
    path, clock = tmp_path / "state.json", FakeClock()
    await StateFileStore(path, clock).propose(CHANGES)
    clock.jump_wall(-100.0)
    assert (await loaded(path, clock))[1] == 0.0


async def test_a_missing_file_is_a_first_start(tmp_path: Path) -> None:
    assert await loaded(tmp_path / "state.json", FakeClock()) == (StoredState(), 0.0)


def damaged(data: bytes, how: str) -> bytes:
    match how:
        case "cut":
            return data[: len(data) // 2]
        case "turned":
            return data.replace(b"192.0.2.1", b"192.0.2.9")
        case "zeroed":
            return bytes(len(data))
        case "longer":
            return data + b"x"
    return b""


@pytest.mark.parametrize("how", ["cut", "turned", "zeroed", "longer", "empty"])
async def test_a_damaged_file_refuses_the_start(tmp_path: Path, how: str) -> None:
    path = trio.Path(tmp_path / "state.json")
    await StateFileStore(Path(path), FakeClock()).propose(CHANGES)
    data = damaged(await path.read_bytes(), how)
    await path.write_bytes(data)
    with pytest.raises(StoreError, match="put a copy from before in its place") as refusal:
        await StateFileStore(Path(path), FakeClock()).propose(())
    assert str(path) in str(refusal.value)
    assert await path.read_bytes() == data


async def test_a_file_as_it_was_before_there_were_slots_is_read(tmp_path: Path) -> None:
    path, clock = tmp_path / "state.json", FakeClock()
    before = StoredState().apply(CHANGES[0])
    path.write_bytes(to_bytes(Saved(before, epoch=7, clean_stop=True)))
    store = StateFileStore(path, clock)
    assert await store.begin_run() == RunGround(7, clean_start=True)
    after = await store.propose(CHANGES[1:])
    assert (await loaded(path, clock))[0] == after
    path.write_bytes(to_bytes(Saved(before))[:-30])
    with pytest.raises(StoreError, match="damaged"):
        await StateFileStore(path, clock).propose(())


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["_write_synced", "rename", "_sync_directory"])
async def test_a_full_disk_at_any_step_leaves_the_old_state(tmp_path: Path, step: str) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(to_bytes(Saved(StoredState().apply(CHANGES[0]))))
    store = StateFileStore(path, FakeClock())
    before = (await loaded(path, FakeClock()))[0]
    where = os if step == "rename" else slotfile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, step, full)
        with pytest.raises(StoreError, match="No space left on device"):
            await store.propose(CHANGES[1:])
    assert (await loaded(path, FakeClock()))[0] == before
    assert os.listdir(tmp_path) == ["state.json"]
    after = await store.propose(CHANGES[1:])
    assert (await loaded(path, FakeClock()))[0] == after


@pytest.mark.parametrize("step", ["pwrite", "fdatasync"])
async def test_a_disk_that_fails_in_place_leaves_the_old_state(tmp_path: Path, step: str) -> None:
    path, clock = tmp_path / "state.json", FakeClock()
    store = StateFileStore(path, clock)
    before = await store.propose(CHANGES[:1])
    real, calls = getattr(os, step), []

    def fails_once(*arguments: object) -> object:
        """Not when the old value is put back."""
        calls.append(arguments)
        if len(calls) == 1:
            full()
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, step, fails_once)
        with pytest.raises(StoreError, match="No space left on device"):
            await store.propose(CHANGES[1:2])
    assert (await loaded(path, clock))[0] == before
    after = await store.propose(CHANGES[1:])
    assert (await loaded(path, clock))[0] == after


async def test_the_second_copy_follows_by_itself(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path, clock = tmp_path / "state.json", FakeClock()
    store = StateFileStore(path, clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run, lambda state, age_s: None)
        for change in CHANGES:
            state = await store.propose((change,))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    data = path.read_bytes()
    middle = len(data) // 2
    for broken in (bytes(middle) + data[middle:], data[:middle] + bytes(middle)):
        path.write_bytes(broken)
        assert (await loaded(path, clock))[0] == state


async def test_proposals_at_once_all_count(tmp_path: Path) -> None:
    store = StateFileStore(tmp_path / "state.json", FakeClock())
    async with trio.open_nursery() as nursery:
        for i in range(10):
            approval = Approval(f"id{i}", "kim", 1.0)
            nursery.start_soon(store.propose, (Approve((approval,)),))
    state, _ = await loaded(tmp_path / "state.json", FakeClock())
    assert set(state.operator.approvals) == {f"id{i}" for i in range(10)}


async def test_the_mark_of_a_clean_stop_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = StateFileStore(path, FakeClock())
    ground = await first.begin_run()
    assert not ground.clean_start
    await first.record_clean_stop()
    second = await StateFileStore(path, FakeClock()).begin_run()
    assert second.clean_start
    assert second.epoch == ground.epoch
    assert not (await StateFileStore(path, FakeClock()).begin_run()).clean_start
