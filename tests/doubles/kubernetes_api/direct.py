"""The door to the double's objects without a wire between: strict, and at home on a mock clock.

Implements `dnslb.election.kubernetes_objects.KubernetesObjects`, by the codec that the client has.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from dnslb.election.kubernetes_codec import (
    Answer,
    Call,
    Verb,
    from_answer,
    to_new,
    to_replacement,
)
from dnslb.election.kubernetes_objects import Changes, Kind, KubernetesObject, Payload
from dnslb.errors import KubernetesError
from tests.doubles.kubernetes_api.kinds import CONFIG_MAPS, LEASES, Document, Refused, Resource
from tests.doubles.kubernetes_api.objects import Objects, read_body

RESOURCE_OF: dict[Kind, Resource] = {Kind.LEASE: LEASES, Kind.CONFIG_MAP: CONFIG_MAPS}


@dataclass
class Mishap:
    """What the next call of that verb comes to. ``lands``: it is carried out first, or, where it
    is ``late``, once the caller was told. ``error`` None: it never answers."""

    verb: Verb
    error: KubernetesError | None
    lands: bool = False
    late: bool = False
    after: int = 0
    """So many calls of that verb go well before."""


@dataclass
class DirectObjects:
    """One client's door; several may lead to the same objects."""

    objects: Objects
    namespace: str = "dns"
    mishaps: list[Mishap] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    late: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = trio.Event()
        others = self.objects.changed

        def changed() -> None:
            others()
            self._news.set()
            self._news = trio.Event()

        self.objects.changed = changed

    async def read(self, kind: Kind, name: str) -> KubernetesObject | None:
        call = self._call("get", kind, name)
        resource = RESOURCE_OF[kind]
        return await self._do(call, lambda: self.objects.get(resource, self.namespace, name))

    async def create(self, kind: Kind, name: str, payload: Payload) -> KubernetesObject:
        call = self._call("create", kind, name)
        body, resource = to_new(call, payload), RESOURCE_OF[kind]
        made = await self._do(
            call, lambda: self.objects.create(resource, self.namespace, read_body(body), 0)
        )
        assert made is not None
        return made

    async def replace(self, existing: KubernetesObject, payload: Payload) -> KubernetesObject:
        call = self._call("update", existing.kind, existing.name)
        body, resource = to_replacement(call, existing, payload), RESOURCE_OF[existing.kind]
        replaced = await self._do(
            call,
            lambda: self.objects.replace(
                resource, self.namespace, existing.name, read_body(body), 0
            ),
        )
        assert replaced is not None
        return replaced

    @asynccontextmanager
    async def watch(self, kind: Kind, name: str) -> AsyncIterator[Changes]:
        async with aclosing(self._changes(kind, name)) as changes:
            yield changes

    async def _changes(self, kind: Kind, name: str) -> AsyncGenerator[KubernetesObject | None]:
        resource, seen = RESOURCE_OF[kind], -1
        while True:
            if seen != self.objects.version:
                seen = self.objects.version
                call = Call("get", kind, self.namespace, name)
                get = partial(self.objects.get, resource, self.namespace, name)
                yield self._answer(call, get)
            else:
                await self._news.wait()

    def land_late(self) -> None:
        """What was on its way arrives now; a refusal is nobody's business any more."""
        for write in self.late:
            try:
                write()
            except Refused:
                continue
        self.late.clear()

    def _call(self, verb: Verb, kind: Kind, name: str) -> Call:
        call = Call(verb, kind, self.namespace, name)
        self.calls.append(call)
        return call

    async def _do(self, call: Call, what: Callable[[], Document]) -> KubernetesObject | None:
        await trio.lowlevel.checkpoint()
        mishap = next((each for each in self.mishaps if each.verb == call.verb), None)
        if mishap is not None and mishap.after:
            mishap.after -= 1
        elif mishap is not None:
            self.mishaps.remove(mishap)
            if mishap.late:
                self.late.append(what)
            elif mishap.lands:
                what()
            if mishap.error is None:
                await trio.sleep_forever()
            raise mishap.error
        return self._answer(call, what)

    def _answer(self, call: Call, what: Callable[[], Document]) -> KubernetesObject | None:
        try:
            return from_answer(call, Answer(200, json.dumps(what()).encode()))
        except Refused as refused:
            return from_answer(call, Answer(refused.code, json.dumps(refused.document).encode()))
