"""Kubernetes objects in memory, for the elector on a mock clock: a door that can fail.

Not an API server (`tests/doubles`): no HTTP, no permissions, no validation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import trio

from dnslb.election.kubernetes_objects import (
    Changes,
    JsonValue,
    Kind,
    KubernetesObject,
    Payload,
)
from dnslb.errors import KubernetesConflict, KubernetesTemporary, KubernetesUnknown

Fate = Literal["done", "hangs", "refused", "unknown", "lost"]
"""``lost``: carried out, and the answer never comes. ``unknown``: carried out, the line breaks."""


class MemoryServer:
    def __init__(self) -> None:
        self.stored: dict[tuple[Kind, str], KubernetesObject] = {}
        self.changed = trio.Event()
        self._versions = 0

    def put(self, kind: Kind, name: str, uid: str, payload: Payload) -> KubernetesObject:
        self._versions += 1
        made = KubernetesObject(kind, name, uid, str(self._versions), dict(payload))
        self.stored[kind, name] = made
        self._tell()
        return made

    def delete(self, kind: Kind, name: str) -> None:
        del self.stored[kind, name]
        self._tell()

    def edit(self, kind: Kind, name: str, **changed: JsonValue) -> None:
        there = self.stored[kind, name]
        self.put(kind, name, there.uid, {**there.payload, **changed})

    def new_uid(self) -> str:
        return f"uid-{self._versions + 1}"

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class Door:
    """Implements `dnslb.election.kubernetes_objects.KubernetesObjects` for one instance."""

    def __init__(self, server: MemoryServer, fate: Callable[[str], Fate] = lambda verb: "done"):
        self.server = server
        self.fate = fate
        self.delay_s = 0.002
        self.cut_off = trio.Event()
        self.is_cut_off = False
        self.asked: list[str] = []

    async def read(self, kind: Kind, name: str) -> KubernetesObject | None:
        async with self._call("read"):
            return self.server.stored.get((kind, name))

    async def create(self, kind: Kind, name: str, payload: Payload) -> KubernetesObject:
        async with self._call("create"):
            if (kind, name) in self.server.stored:
                raise KubernetesConflict("it is there already")
            return self.server.put(kind, name, self.server.new_uid(), payload)

    async def replace(self, existing: KubernetesObject, payload: Payload) -> KubernetesObject:
        async with self._call("replace"):
            if self.server.stored.get((existing.kind, existing.name)) != existing:
                raise KubernetesConflict("it is another version")
            return self.server.put(existing.kind, existing.name, existing.uid, payload)

    @asynccontextmanager
    async def _call(self, verb: str) -> AsyncIterator[None]:
        self.asked.append(verb)
        fate = "hangs" if self.is_cut_off else self.fate(verb)
        await trio.sleep(self.delay_s)
        if fate == "hangs":
            await trio.sleep_forever()
        if fate == "refused":
            raise KubernetesTemporary("the API server answers 500")
        yield
        await trio.sleep(self.delay_s)
        if fate == "unknown":
            raise KubernetesUnknown("the connection broke")
        if fate == "lost":
            await trio.sleep_forever()

    @asynccontextmanager
    async def watch(self, kind: Kind, name: str) -> AsyncIterator[Changes]:
        yield self._changes(kind, name)

    async def _changes(self, kind: Kind, name: str) -> AsyncIterator[KubernetesObject | None]:
        while True:
            await trio.sleep(self.delay_s)
            if self.is_cut_off:
                raise KubernetesTemporary("no connection")
            changed = self.server.changed
            yield self.server.stored.get((kind, name))
            await changed.wait()
