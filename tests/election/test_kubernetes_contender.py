"""client-go's own election and ours stand for one Lease, at a real API server."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from dnslb.election.kubernetes_client import KubernetesClient, connector
from dnslb.election.kubernetes_lease import Timing
from dnslb.net.clock import Clock
from tests.election.kubernetes_real import BINARY, RealServer, is_here, real_server
from tests.election.kubernetes_stage import Member
from tests.election.kubernetes_twin import MemoryServer

CONTENDER = "dnslb-contender"
TIMING = Timing(6, 4.0, 0.5)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_here(), reason=f"there is no {BINARY} on the path"),
    pytest.mark.skipif(not shutil.which(CONTENDER), reason=f"there is no {CONTENDER} on the path"),
]


class Go:
    """A process of `contender/main.go`."""

    def __init__(self, server: RealServer, directory: Path, name: str) -> None:
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log:
            command = [CONTENDER, str(server.kubeconfig()), f"{name}_uuid"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def says(self, word: str) -> bool:
        return word in self.log.read_text().splitlines()

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    with real_server(tmp_path) as server:
        yield server


async def wait_for(what: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not what():  # noqa: ASYNC110 - another process
            await trio.sleep(0.01)


async def test_the_lease_goes_to_and_fro(server: RealServer, tmp_path: Path) -> None:
    """Released by either it is taken by the other; killed, it is waited for."""
    client = KubernetesClient("dns", connector(server.kubeconfig()))
    first = Go(server, tmp_path, "first")
    await wait_for(lambda: first.says("leads"))
    ours = Member(MemoryServer(), "ours", timing=TIMING, clock=Clock())
    ours.use(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.run)
        await wait_for(lambda: ours.contest.holder == "first_uuid")
        await trio.sleep(TIMING.duration_s + 1)
        assert not ours.holds()
        first.end(signal.SIGTERM)
        await wait_for(ours.holds)
        assert ours.lease is not None
        assert ours.lease.term == 1
        second = Go(server, tmp_path, "second")
        await trio.sleep(TIMING.duration_s + 1)
        assert ours.holds()
        assert not second.says("leads")
        await ours.elector.leave()
        await wait_for(lambda: second.says("leads"))
        nursery.cancel_scope.cancel()
    heir = Member(MemoryServer(), "heir", timing=TIMING, clock=Clock())
    heir.use(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heir.run)
        await wait_for(lambda: heir.contest.holder == "second_uuid")
        second.end(signal.SIGKILL)
        await wait_for(heir.holds)
        assert heir.lease is not None
        assert heir.lease.term == 3
        nursery.cancel_scope.cancel()
    await client.aclose()
