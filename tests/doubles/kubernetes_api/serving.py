"""A double that serves within a test, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from dnslb.election.kubernetes_client import KubernetesClient, connector
from tests.doubles.kubernetes_api.place import NAMESPACE, Place
from tests.doubles.kubernetes_api.server import KubernetesApi

PATIENCE_S = 60.0


class World:
    """A double that serves, and clients of it."""

    def __init__(self, place: Place, nursery: trio.Nursery) -> None:
        self.place = place
        self.api = place.api
        self.nursery = nursery
        self.clients: list[KubernetesClient] = []

    def client(self, kubeconfig: Path | None = None) -> KubernetesClient:
        path = kubeconfig or self.place.with_token("a")
        client = KubernetesClient(NAMESPACE, connector(path))
        self.clients.append(client)
        return client

    def statuses(self) -> list[tuple[str, int]]:
        return [(seen.verb, seen.status) for seen in self.api.seen]


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[World]:
    api = KubernetesApi()
    place = Place(directory, api)
    async with trio.open_nursery() as nursery:
        place.port = await nursery.start(partial(api.serve, place.tls()))
        world = World(place, nursery)
        with trio.fail_after(PATIENCE_S):
            yield world
        for client in world.clients:
            await client.aclose()
        nursery.cancel_scope.cancel()
    assert api.objects.warnings == []
