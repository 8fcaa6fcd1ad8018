"""A real API server: it answers as the record says, and dnslb gets on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trio

from dnslb.election.kubernetes_client import KubernetesClient, connector
from dnslb.election.kubernetes_lease import Timing
from dnslb.election.kubernetes_objects import Kind
from dnslb.election.kubernetes_record import from_spec
from dnslb.election.kubernetes_state import KubernetesStateStore
from dnslb.errors import KubernetesConflict, KubernetesRefusal
from dnslb.net.clock import Clock
from tests.conformance.state_store import CHANGES, applied, running
from tests.doubles.kubernetes_api.conversation import hold
from tests.election.kubernetes_ground import Ground, Holder
from tests.election.kubernetes_real import BINARY, TOKENS, RealServer, is_here, real_server
from tests.election.kubernetes_stage import Member, wait_holder
from tests.election.kubernetes_twin import MemoryServer
from tests.election.test_kubernetes_client import SPEC
from tests.election.test_kubernetes_double import RECORD

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_here(), reason=f"there is no {BINARY} on the path"),
]
NAME, NAMESPACE = "dnslb", "dns"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    with real_server(tmp_path) as server:
        yield server


async def test_it_answers_as_the_record_says(server: RealServer) -> None:
    with httpx.Client(base_url=server.url, verify=False) as client:
        answers = await trio.to_thread.run_sync(hold, client, TOKENS)
    assert answers == json.loads(RECORD.read_text())["answers"]


async def test_leases_are_kept_and_watched(server: RealServer) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/dns/leases/dnslb"
    client = KubernetesClient(NAMESPACE, connector(server.kubeconfig()))
    assert await client.read(Kind.LEASE, NAME) is None
    with trio.fail_after(60):
        async with client.watch(Kind.LEASE, NAME) as changes:
            assert await anext(changes) is None
            made = await client.create(Kind.LEASE, NAME, SPEC)
            assert made.payload == SPEC
            assert await anext(changes) == made
            renewed = await client.replace(made, {**SPEC, "leaseTransitions": 4})
            assert await anext(changes) == renewed
            with pytest.raises(KubernetesConflict):
                await client.replace(made, SPEC)
            (await trio.to_thread.run_sync(server.admin.delete, path)).raise_for_status()
            assert await anext(changes) is None
            with pytest.raises(KubernetesConflict):
                await client.replace(renewed, SPEC)
            with pytest.raises(KubernetesRefusal, match="has to allow get of leases"):
                await client.read(Kind.LEASE, "another")
    await client.aclose()


async def test_the_state_goes_from_one_holder_to_the_next(server: RealServer) -> None:
    ground = Ground()
    client = KubernetesClient(NAMESPACE, connector(server.kubeconfig()))

    def holder(name: str) -> Holder:
        made = ground.holder(name)
        made.store = KubernetesStateStore(
            client,
            NAMESPACE,
            NAME,
            Clock(),
            made.notices,
            lambda: made.lease,
            made.newest_epoch,
        )
        return made

    first, second = holder("a"), holder("b")
    async with running(first.store), running(second.store) as published:
        await first.take()
        state = await first.store.propose(CHANGES)
        assert state == applied(*CHANGES)
        await published.wait_state(state)
        await second.take()
        assert await second.store.propose(()) == state
        assert second.epoch == first.epoch
    await client.aclose()


async def test_two_electors_hand_a_lease_on_and_its_words_are_kept(server: RealServer) -> None:
    """Made for nobody, taken, released, taken at once; as this server writes what it was given."""
    timing = Timing(2, 1.5, 0.3)
    members = [Member(MemoryServer(), name, timing=timing, clock=Clock()) for name in "ab"]
    clients = [KubernetesClient(NAMESPACE, connector(server.kubeconfig())) for _ in members]
    for member, client in zip(members, clients, strict=True):
        member.use(client)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(member.run)
            first = await wait_holder(*members, within_s=30)
            (heir,) = (member for member in members if member is not first)
            found = await clients[0].read(Kind.LEASE, NAME)
            assert found is not None
            record = from_spec(found.payload)
            assert (record.holder, record.duration_s) == (first.place.identity, 2)
            assert record.transitions == 1
            await first.elector.leave()
            assert await wait_holder(*members, within_s=10) is heir
            assert heir.lease is not None
            assert heir.lease.term == 2
            assert not [member.errors for member in members if member.errors]
            nursery.cancel_scope.cancel()
    for client in clients:
        await client.aclose()
