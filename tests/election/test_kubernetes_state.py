"""The state beside the Lease: one holder writes, nothing late lands, nothing is taken for empty."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.election.kubernetes_claim import BYTES_MAX, CLAIM, STATE
from dnslb.election.kubernetes_state import NOTICE
from dnslb.errors import (
    KubernetesConflict,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesUnknown,
    StoreError,
    StoreUncertain,
)
from dnslb.model.checkpoint import Owned, RecordDecisions, StoredState
from dnslb.model.rrset import RRsetKey
from tests.conformance.state_store import (
    APPROVAL,
    DECISIONS,
    DRAIN,
    GUARD,
    PAUSE,
    Published,
    applied,
    running,
)
from tests.doubles.kubernetes_api.direct import Mishap
from tests.doubles.kubernetes_api.kinds import CONFIG_MAPS, Document
from tests.election.kubernetes_ground import NAME, NAMESPACE, Ground, settle

GONE = KubernetesTemporary("nothing listens there.")
CUT = KubernetesUnknown("the line broke.")


@pytest.fixture
def ground() -> Ground:
    return Ground()


def stored(ground: Ground) -> Document:
    return ground.objects.get(CONFIG_MAPS, NAMESPACE, NAME)


def edit(ground: Ground, **data: str) -> None:
    """A person writes by hand."""
    document = stored(ground)
    document["data"] = {**document["data"], **data}
    ground.objects.replace(CONFIG_MAPS, NAMESPACE, NAME, document, 0)


# ------------------------------------------------------------------------------ only the holder


async def test_who_holds_no_lease_writes_nothing(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        with pytest.raises(StoreError, match="does not hold the Lease"):
            await holder.store.propose((DRAIN,))
        assert ground.objects.stored == {}
        assert [call.verb for call in holder.door.calls] == ["get"]


async def test_a_lease_that_has_ended_writes_nothing(
    ground: Ground, autojump_clock: MockClock
) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take(for_s=10.0)
        await holder.store.propose((DRAIN,))
        await trio.sleep(10.0)
        before = stored(ground)
        with pytest.raises(StoreError, match="does not hold the Lease"):
            await holder.store.propose((PAUSE,))
        assert stored(ground) == before


async def test_a_new_holder_goes_on_from_the_newest_state(ground: Ground) -> None:
    """Also where its watch has told it nothing yet: taking over means looking."""
    first, second = ground.holder("a"), ground.holder("b")
    async with running(first.store), running(second.store) as published:
        await first.take()
        state = await first.store.propose((DRAIN, DECISIONS))
        await second.take()
        assert published[-1][0] == state
        assert await second.store.propose((PAUSE,)) == applied(DRAIN, DECISIONS, PAUSE)


async def test_who_waits_hears_what_the_holder_decides(ground: Ground) -> None:
    holder, other = ground.holder("a"), ground.holder("b")
    async with running(holder.store), running(other.store) as published:
        await holder.take()
        await published.wait_state(await holder.store.propose((DRAIN,)))
        await published.wait_state(await holder.store.propose((PAUSE,)))


async def test_the_holder_is_not_told_its_own_news(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store) as published:
        await holder.take()
        await holder.store.propose((DRAIN,))
        await settle()
        assert published == [(StoredState(), 0.0)]
        assert [c.verb for c in holder.door.calls] == ["get", "get", "create", "update"]


# --------------------------------------------------------------------------- nothing late lands


async def test_a_former_holder_can_change_nothing(ground: Ground) -> None:
    """It believes in its lease still: its clock stood, or it was cut off."""
    former, now = ground.holder("a"), ground.holder("b")
    async with running(former.store), running(now.store):
        await former.take()
        await former.store.propose((DRAIN,))
        await now.take()
        before = stored(ground)
        for _ in range(2):
            with pytest.raises(StoreError, match="claimed by another holder") as caught:
                await former.store.propose((PAUSE,))
            assert not isinstance(caught.value, StoreUncertain)
        assert stored(ground) == before


async def test_what_a_former_holder_sent_late_does_not_land(ground: Ground) -> None:
    former, now = ground.holder("a"), ground.holder("b")
    async with running(former.store), running(now.store):
        await former.take()
        former.door.mishaps = [Mishap("update", CUT, late=True)]
        with pytest.raises(StoreUncertain):
            await former.store.propose((PAUSE,))
        await now.take()
        former.door.land_late()
        assert await now.store.propose((DRAIN,)) == applied(DRAIN)


async def test_an_earlier_term_claims_nothing(ground: Ground) -> None:
    late, now = ground.holder("a"), ground.holder("b")
    async with running(late.store), running(now.store):
        await now.take()
        ground.term = 0
        with pytest.raises(StoreError, match="term 1 of the Lease already, so term 1 is over"):
            await late.take()
        before = stored(ground)
        ground.term = -1
        with pytest.raises(StoreError, match="so term 0 is over"):
            await late.take()
        assert stored(ground) == before


# --------------------------------------------------------------------------------- the epoch


async def test_another_lease_raises_the_epoch_and_the_same_one_keeps_it(ground: Ground) -> None:
    first, second, third = (ground.holder(name) for name in "abc")
    async with running(first.store), running(second.store), running(third.store):
        await first.take()
        assert first.epoch == int(ground.clock.now().wall)
        ground.clock.jump_wall(1000.0)
        await second.take()
        assert second.epoch == first.epoch
        ground.clock.jump_wall(-100_000.0)
        ground.uid, ground.term = "uid-2", 0
        await third.take()
        assert third.epoch == first.epoch + 1, "a clock that was set back lowers no epoch"


async def test_a_new_epoch_is_newer_than_any_marker_of_ours(ground: Ground) -> None:
    """As raft or a singleton on a clock that was ahead left it; read when one is minted alone."""
    holder = ground.holder("a")
    async with running(holder.store):
        ground.newest_epoch = int(ground.clock.now().wall) + 7000
        await holder.take()
        assert (holder.epoch, holder.surveys) == (ground.newest_epoch + 1, 1)
        await holder.take()
        assert (holder.epoch, holder.surveys) == (ground.newest_epoch + 1, 1)


async def test_a_second_try_at_the_same_claim_changes_no_epoch(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        holder.door.mishaps = [
            Mishap("create", CUT, lands=True),
            Mishap("get", GONE, after=1),
        ]
        with pytest.raises(StoreUncertain):
            await holder.take()
        minted = int(ground.clock.now().wall)
        ground.clock.jump_wall(50.0)
        ground.term -= 1
        await holder.take()
        assert holder.epoch == minted


# ------------------------------------------------------------------------- answers that are lost


async def test_an_answer_that_was_lost_is_found_by_a_look(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        holder.door.mishaps = [Mishap("update", CUT, lands=True)]
        assert await holder.store.propose((DRAIN,)) == applied(DRAIN)
        assert await holder.store.propose((PAUSE,)) == applied(DRAIN, PAUSE)


async def test_what_did_not_land_is_uncertain_until_something_else_does(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        holder.door.mishaps = [Mishap("update", CUT, late=True)]
        with pytest.raises(StoreUncertain, match="may be changed or not"):
            await holder.store.propose((DRAIN,))
        assert await holder.store.propose((PAUSE,)) == applied(PAUSE)
        holder.door.land_late()
        assert await holder.store.propose((APPROVAL,)) == applied(PAUSE, APPROVAL)


async def test_what_lands_after_all_is_told(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store) as published:
        await holder.take()
        holder.door.mishaps = [Mishap("update", CUT, late=True)]
        with pytest.raises(StoreUncertain):
            await holder.store.propose((DRAIN,))
        holder.door.land_late()
        await published.wait_state(applied(DRAIN))
        assert await holder.store.propose((PAUSE,)) == applied(DRAIN, PAUSE)


async def test_no_answer_before_the_lease_ends_is_uncertain(
    ground: Ground, autojump_clock: MockClock
) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take(for_s=10.0)
        holder.door.mishaps = [Mishap("update", None)]
        began = trio.current_time()
        with pytest.raises(StoreUncertain, match="before the API server answered"):
            await holder.store.propose((DRAIN,))
        assert trio.current_time() - began == pytest.approx(10.0)


@pytest.mark.parametrize(
    "error",
    [GONE, KubernetesRefusal("403."), KubernetesNonsense("of no use.")],
    ids=lambda error: type(error).__name__,
)
async def test_what_was_refused_is_not_in_force(ground: Ground, error: KubernetesTemporary) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        holder.door.mishaps = [Mishap("update", error)]
        with pytest.raises(StoreError, match="is unchanged") as caught:
            await holder.store.propose((DRAIN,))
        assert not isinstance(caught.value, StoreUncertain)
        assert await holder.store.propose((PAUSE,)) == applied(PAUSE)


# -------------------------------------------------------------------------- what people do to it


async def test_labels_of_a_person_are_no_obstacle_and_stay(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        document = stored(ground)
        document["metadata"]["labels"] = {"team": "dns"}
        ground.objects.replace(CONFIG_MAPS, NAMESPACE, NAME, document, 0)
        assert await holder.store.propose((DRAIN,)) == applied(DRAIN)
        assert stored(ground)["metadata"]["labels"] == {"team": "dns"}


async def test_storms_of_conflicts_end(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        conflict = KubernetesConflict("changed.")
        holder.door.mishaps = [Mishap("update", conflict) for _ in range(4)]
        assert await holder.store.propose((DRAIN,)) == applied(DRAIN)
        holder.door.mishaps = [Mishap("update", conflict) for _ in range(5)]
        with pytest.raises(StoreError, match="others change it all the time"):
            await holder.store.propose((PAUSE,))


async def test_a_deleted_config_map_is_written_again_with_all_that_is_known(ground: Ground) -> None:
    holder, other = ground.holder("a"), ground.holder("b")
    async with running(holder.store), running(other.store) as published:
        await holder.take()
        await published.wait_state(await holder.store.propose((DRAIN,)))
        ground.objects.delete(CONFIG_MAPS, NAMESPACE, NAME)
        await settle()
        assert await holder.store.propose((PAUSE,)) == applied(DRAIN, PAUSE)
        await published.wait_state(applied(DRAIN, PAUSE))
        ground.objects.delete(CONFIG_MAPS, NAMESPACE, NAME)
        await other.take()
        assert other.epoch == holder.epoch
        assert await other.store.propose(()) == applied(DRAIN, PAUSE)


DAMAGES: dict[str, dict[str, str]] = {
    "a digit": {STATE: "edited"},
    "empty": {STATE: ""},
    "json of something else": {STATE: "{}"},
    "claim": {CLAIM: "uid-1 x"},
    "claim without a term": {CLAIM: "uid-1  a"},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_damage_is_told_with_a_way_out(ground: Ground, damage: dict[str, str]) -> None:
    holder, other = ground.holder("a"), ground.holder("b")
    async with running(holder.store), running(other.store) as published:
        await holder.take()
        await published.wait_state(await holder.store.propose((DRAIN, DECISIONS)))
        good = stored(ground)["data"]
        digit = {STATE: good[STATE].replace("192.0.2.1", "192.0.2.9")}
        edit(ground, **(digit if damage[next(iter(damage))] == "edited" else damage))
        await settle()
        severity, sentence = other.notices.rows[NOTICE]
        assert severity == "critical"
        assert f"kubectl get -n {NAMESPACE} configmap {NAME} -o yaml" in sentence
        assert f"kubectl delete -n {NAMESPACE} configmap {NAME}" in sentence
        assert published[-1][0] == applied(DRAIN, DECISIONS), "what was known stays in force"
        with pytest.raises(StoreError, match="dns/dnslb"):
            await holder.store.propose((PAUSE,))
        with pytest.raises(StoreError, match="dns/dnslb"):
            await other.take()
        edit(ground, **good)
        await settle()
        assert NOTICE not in other.notices.rows
        ground.term += 1
        await other.take()
        assert await other.store.propose((PAUSE,)) == applied(DRAIN, DECISIONS, PAUSE)


async def test_a_config_map_of_somebody_else_is_left_alone(ground: Ground) -> None:
    theirs = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": NAME},
        "data": {"x": "y"},
    }
    ground.objects.create(CONFIG_MAPS, NAMESPACE, theirs, 0)
    with pytest.RaisesGroup(StoreError, flatten_subgroups=True, allow_unwrapped=True):
        await ground.holder("a").store.run(Published())
    assert stored(ground)["data"] == {"x": "y"}


async def test_a_state_that_is_too_large_is_refused(ground: Ground) -> None:
    holder = ground.holder("a")
    async with running(holder.store):
        await holder.take()
        values = tuple(f"2001:db8::{i:x}" for i in range(90_000))
        huge = {RRsetKey("www.example.org", "A"): Owned("example.org", 60, values)}
        calls = len(holder.door.calls)
        with pytest.raises(StoreError, match=f"a ConfigMap holds {BYTES_MAX}: nothing was changed"):
            await holder.store.propose((RecordDecisions(huge, GUARD),))
        assert len(holder.door.calls) == calls, "nothing was sent"
        assert await holder.store.propose((DRAIN,)) == applied(DRAIN)


# ----------------------------------------------------------------------- a server that is away


async def test_a_start_waits_until_it_is_known_what_there_is(
    ground: Ground, autojump_clock: MockClock
) -> None:
    first = ground.holder("a")
    async with running(first.store):
        await first.take()
        state = await first.store.propose((DRAIN,))
    second, published = ground.holder("b"), Published()
    second.door.mishaps = [
        Mishap("get", GONE),
        Mishap("get", KubernetesRefusal("403.")),
        Mishap("get", KubernetesNonsense("of no use.")),
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.store.run, published)
        await trio.sleep(0.1)
        assert published == []
        assert second.notices.rows[NOTICE][0] == "critical"
        await trio.sleep(60.0)
        assert published[0][0] == state
        assert second.notices.rows == {}
        nursery.cancel_scope.cancel()


async def test_a_term_begins_only_once_the_state_is_loaded(
    ground: Ground, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(30.0) as scope:
        await ground.holder("a").take()
    assert scope.cancelled_caught
    assert ground.objects.stored == {}
