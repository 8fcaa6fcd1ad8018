"""Watches: the present state, each change, and what a connection can do in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dnslb.election.kubernetes_client import WATCHES_MAX
from dnslb.election.kubernetes_objects import Changes, Kind, KubernetesObject
from dnslb.errors import KubernetesNonsense, KubernetesRefusal, KubernetesTemporary
from tests.doubles.kubernetes_api.kinds import CONFIG_MAPS, LEASES, Document, Resource
from tests.doubles.kubernetes_api.place import NAME, NAMESPACE
from tests.doubles.kubernetes_api.serving import World, serving
from tests.doubles.kubernetes_api.terms import Fault, Rule


def put(world: World, resource: Resource, **said: object) -> None:
    """Somebody else makes the object, or replaces it."""
    objects = world.api.objects
    key = (resource.name, NAMESPACE, NAME)
    document: Document = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"name": NAME},
        "spec" if resource is LEASES else "data": said,
    }
    if key not in objects.stored:
        objects.create(resource, NAMESPACE, document, 0)
        return
    document["metadata"] = objects.stored[key]["metadata"]
    objects.replace(resource, NAMESPACE, NAME, document, 0)


async def transitions(changes: Changes, wanted: int) -> None:
    async for found in changes:
        if found is not None and found.payload.get("leaseTransitions") == wanted:
            return
    pytest.fail("the watch ended")


def requests(world: World) -> list[str]:
    return [seen.verb for seen in world.api.seen]


async def test_it_begins_with_what_is_there_and_tells_each_change(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            assert await anext(changes) is None
            put(world, LEASES, leaseTransitions=1)
            made = await anext(changes)
            assert isinstance(made, KubernetesObject)
            assert made.payload == {"leaseTransitions": 1}
            put(world, LEASES, leaseTransitions=2)
            changed = await anext(changes)
            assert changed is not None
            assert (changed.uid, changed.payload) == (made.uid, {"leaseTransitions": 2})
            world.api.objects.delete(LEASES, NAMESPACE, NAME)
            assert await anext(changes) is None
        assert requests(world) == ["list", "watch"]


async def test_another_object_is_not_told_of(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        put(world, CONFIG_MAPS, state="x")
        other = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "other"}}
        async with world.client().watch(Kind.CONFIG_MAP, NAME) as changes:
            first = await anext(changes)
            assert first is not None
            assert first.payload == {"state": "x"}
            world.api.objects.create(CONFIG_MAPS, NAMESPACE, other, 0)
            put(world, CONFIG_MAPS, state="y")
            second = await anext(changes)
            assert second is not None
            assert second.payload == {"state": "y"}


async def test_a_watch_that_is_as_old_as_it_may_be_goes_on(tmp_path: Path) -> None:
    """Nothing is lost between the two, and nothing is listed again."""
    async with serving(tmp_path) as world:
        world.api.watch_s_max = 0.05
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            assert await anext(changes) is None
            with trio.move_on_after(0.4):
                await anext(changes)
            put(world, LEASES, leaseTransitions=7)
            await transitions(changes, 7)
        assert requests(world).count("list") == 1
        assert requests(world).count("watch") > 1


async def test_one_that_ends_at_once_is_not_begun_again_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.api.watch_s_max = 0.0
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            assert await anext(changes) is None
            with trio.move_on_after(1.0):
                await anext(changes)
        assert requests(world).count("watch") <= 5


async def test_bookmarks_move_the_place_to_go_on_from(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.api.bookmark_s, world.api.watch_s_max = 0.02, 0.5
        async with (
            world.client().watch(Kind.LEASE, NAME) as changes,
            trio.open_nursery() as nursery,
        ):
            assert await anext(changes) is None
            nursery.start_soon(transitions, changes, 3)
            await world.api.wait_watched()
            put(world, CONFIG_MAPS, state="x")
            await trio.sleep(0.2)
            # What was before the bookmark is gone: without it the next watch would be too old.
            world.api.objects.compact()
            world.api.counts.clear()
            await world.api.wait_counted("watch")
            put(world, LEASES, leaseTransitions=3)
        assert requests(world).count("list") == 1


async def test_an_expired_version_lists_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        put(world, LEASES, leaseTransitions=1)
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            await transitions(changes, 1)
            put(world, LEASES, leaseTransitions=2)
            world.api.objects.compact()
            await transitions(changes, 2)
            put(world, LEASES, leaseTransitions=3)
            await transitions(changes, 3)
        assert requests(world).count("list") == 2


@pytest.mark.parametrize("status", [410, 429, 500, 503])
async def test_a_watch_that_cannot_be_opened_lists_again(tmp_path: Path, status: int) -> None:
    async with serving(tmp_path) as world:
        put(world, LEASES, leaseTransitions=1)
        world.api.faults.append(Fault(verb="watch", status=status, times=2))
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            for _ in range(3):
                await transitions(changes, 1)
            put(world, LEASES, leaseTransitions=2)
            await transitions(changes, 2)
        assert requests(world).count("list") == 3


async def test_a_connection_that_breaks_lists_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        put(world, LEASES, leaseTransitions=1)
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            await transitions(changes, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transitions, changes, 2)
                await world.api.wait_watched()
                world.api.cut_watches()
                put(world, LEASES, leaseTransitions=2)
        assert requests(world)[:3] == ["list", "watch", "list"]


async def test_a_server_that_is_gone_ends_it(tmp_path: Path) -> None:
    """Whoever follows has to know: what they saw last may be old."""
    async with serving(tmp_path) as world, world.client().watch(Kind.LEASE, NAME) as changes:
        assert await anext(changes) is None
        await following_in_vain(world, changes)


async def following_in_vain(world: World, changes: Changes) -> None:
    async def gone() -> None:
        await world.api.wait_watched()
        world.api.go_offline()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gone)
        with pytest.raises(KubernetesTemporary):
            await anext(changes)


@pytest.mark.parametrize("verb", ["list", "watch"])
async def test_a_missing_right_ends_it(tmp_path: Path, verb: str) -> None:
    async with serving(tmp_path) as world:
        verbs = tuple({"get", "list", "watch"} - {verb})
        config = world.place.with_token("b", user="b", rules=(Rule(("leases",), verbs, (NAME,)),))
        async with world.client(config).watch(Kind.LEASE, NAME) as changes:
            with pytest.raises(KubernetesRefusal, match=f"has to allow {verb} of leases"):
                async for _ in changes:
                    pass


async def test_lines_that_cannot_be_read_list_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        put(world, LEASES, leaseTransitions=1)
        for line in (b"{}\n", b"nonsense\n", b'{"type":"X","object":{}}\n'):
            world.api.faults.append(Fault(verb="watch", status=200, body=line))
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            for _ in range(4):
                await transitions(changes, 1)
        assert requests(world)[:7] == ["list", "watch"] * 3 + ["list"]


async def test_a_list_of_something_else_is_nonsense(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        for body in (b"{}", b'{"kind":"LeaseList","metadata":{"resourceVersion":"1"}}'):
            world.api.faults.append(Fault(verb="list", status=200, body=body))
            async with world.client().watch(Kind.LEASE, NAME) as changes:
                with pytest.raises(KubernetesNonsense):
                    await anext(changes)


async def test_watches_that_are_given_up_leave_no_thread_behind(tmp_path: Path) -> None:
    """More of them, one after the other, than there is room for at once."""
    async with serving(tmp_path) as world:
        client = world.client()
        rounds = WATCHES_MAX * 2
        for _ in range(rounds):
            async with client.watch(Kind.LEASE, NAME) as changes:
                assert await anext(changes) is None
                with trio.move_on_after(0.05):
                    await anext(changes)
        for _ in range(500):
            if not client.threads_busy:
                break
            await trio.sleep(0.01)
        assert client.threads_busy == 0
        assert requests(world).count("list") == rounds


async def test_a_watch_that_is_given_up_while_it_opens_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.api.faults.append(Fault(verb="watch", delay_s=0.3))
        async with world.client().watch(Kind.LEASE, NAME) as changes:
            assert await anext(changes) is None
            with trio.move_on_after(0.1) as scope:
                await anext(changes)
        assert scope.cancelled_caught
        await world.api.wait_watched()
        for number in range(500):
            if not world.api.is_watched:
                break
            put(world, LEASES, leaseTransitions=number)
            await trio.sleep(0.01)
        assert not world.api.is_watched
