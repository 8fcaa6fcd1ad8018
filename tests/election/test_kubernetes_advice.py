"""The next step of a row about the API server fits what went wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from dnslb.election.kubernetes_advice import next_step
from dnslb.election.kubernetes_client import KubernetesClient, connector
from dnslb.election.kubernetes_objects import Kind
from dnslb.election.kubernetes_state import NOTICE
from dnslb.errors import (
    DnslbError,
    KubernetesError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesThrottled,
    KubernetesUnknown,
    StoreError,
)
from tests.conformance.state_store import Published
from tests.doubles.kubernetes_api.direct import Mishap
from tests.doubles.kubernetes_api.serving import serving
from tests.doubles.kubernetes_api.terms import Fault
from tests.election.kubernetes_ground import NAME, NAMESPACE, Ground
from tests.election.kubernetes_stage import Member
from tests.election.kubernetes_twin import MemoryServer

ROLE = "Role of dnslb"
KINDS: list[tuple[DnslbError, str]] = [
    (KubernetesTemporary("nothing listens there."), "network and TLS"),
    (KubernetesUnknown("the line broke."), "network and TLS"),
    (KubernetesThrottled("429."), "load of the API server"),
    (KubernetesNonsense("of no use."), "a proxy may"),
    (KubernetesRefusal("no credentials."), "credentials in the kubeconfig"),
    (KubernetesRefusal("401.", 401), "credentials in the kubeconfig"),
    (KubernetesRefusal("403.", 403), ROLE),
    (KubernetesRefusal("404.", 404), "namespace dns"),
    (StoreError("damaged."), "ConfigMap"),
]


@pytest.mark.parametrize(("error", "step"), KINDS)
def test_each_kind_has_its_step_and_rights_only_where_they_were_refused(
    error: DnslbError, step: str
) -> None:
    said = next_step(error, NAMESPACE)
    assert step in said
    assert (ROLE in said) == (step == ROLE)


@pytest.mark.parametrize(("error", "step"), KINDS[:-1])
async def test_the_row_of_the_state_says_it(
    autojump_clock: MockClock, error: DnslbError, step: str
) -> None:
    assert isinstance(error, KubernetesError)
    holder = Ground().holder("a")
    holder.door.mishaps = [Mishap("get", error)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.store.run, Published())
        await trio.sleep(0.1)
        said = holder.notices.steps[NOTICE]
        assert step in said
        assert said.endswith("; DNS stays as it is meanwhile")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("error", "step"), KINDS[:-1])
async def test_the_rows_of_the_lease_say_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, error: DnslbError, step: str
) -> None:
    def watch(kind: Kind, name: str) -> None:
        raise error

    async def read(kind: Kind, name: str) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    member = Member(MemoryServer(), "a")
    monkeypatch.setattr(member.door, "watch", watch)
    monkeypatch.setattr(member.door, "read", read)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(member.run)
        await trio.sleep(60)
        assert step in member.board.steps["kubernetes"]
        if isinstance(error, KubernetesRefusal):
            assert step in member.board.steps["kubernetes-watch"]
        nursery.cancel_scope.cancel()


def test_of_a_state_that_is_not_claimed_the_cause_decides() -> None:
    for cause, step in KINDS[:-1]:
        error = StoreError("is not claimed.")
        error.__cause__ = cause
        assert step in next_step(error, NAMESPACE)


async def test_the_client_says_which_kind_it_is(tmp_path: Path) -> None:
    """As real calls raise it: nobody listens, no good token, no right."""
    async with serving(tmp_path) as world:
        found: dict[int | str, KubernetesError] = {}
        for status in (401, 403):
            world.api.faults.append(Fault(status=status, body=b"", times=2))
            with pytest.raises(KubernetesRefusal) as refused:
                await world.client().read(Kind.LEASE, NAME)
            found[status] = refused.value
            world.api.faults.clear()
        path = world.place.kubeconfig("gone", {"token": "x"}, server="https://127.0.0.1:1")
        with pytest.raises(KubernetesTemporary) as gone:
            await KubernetesClient(NAMESPACE, connector(path)).read(Kind.LEASE, NAME)
        found["gone"] = gone.value
        steps = {key: next_step(error, NAMESPACE) for key, error in found.items()}
        assert "credentials" in steps[401]
        assert ROLE in steps[403]
        assert "network" in steps["gone"]
