"""One instance alone: a lease without end, and a directory that only one process can hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dnslb.election.singleton import SingletonElector
from dnslb.election.statedir import StateDirectory
from dnslb.election.statefile import StateFileStore
from dnslb.errors import LocalError
from dnslb.model.lease import Lease
from dnslb.net.clock import FakeClock


class Leases(list[Lease | None]):
    """What the elector published, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.first = trio.Event()

    def publish(self, lease: Lease | None) -> None:
        self.append(lease)
        self.first.set()


async def test_the_lease_is_held_from_the_start_until_resigned(tmp_path: Path) -> None:
    store = StateFileStore(tmp_path / "state.json", FakeClock())
    elector = SingletonElector(store, instance_id="i1", owner_id="ours")
    leases = Leases()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(elector.run, leases.publish)
        await leases.first.wait()
        await elector.resign("stopping")
        nursery.cancel_scope.cancel()
    lease = leases[0]
    assert lease is not None
    assert (lease.holder, lease.token.owner_id, lease.term) == ("i1", "ours", 0)
    assert lease.holds(1e12)
    assert leases[1:] == [None]


async def test_each_process_has_a_nonce_of_its_own(tmp_path: Path) -> None:
    nonces = set()
    for _ in range(3):
        store = StateFileStore(tmp_path / "state.json", FakeClock())
        leases = Leases()
        async with trio.open_nursery() as nursery:
            elector = SingletonElector(store, instance_id="i1")
            nursery.start_soon(elector.run, leases.publish)
            await leases.first.wait()
            nursery.cancel_scope.cancel()
        assert leases[0] is not None
        nonces.add(leases[0].token.nonce)
    assert len(nonces) == 3


def test_a_state_directory_has_one_holder(tmp_path: Path) -> None:
    held = StateDirectory(tmp_path / "state")
    with pytest.raises(LocalError, match="in use by process"):
        StateDirectory(tmp_path / "state")
    held.close()
    StateDirectory(tmp_path / "state").close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="cannot be used"):
        StateDirectory(tmp_path / "file" / "state")
