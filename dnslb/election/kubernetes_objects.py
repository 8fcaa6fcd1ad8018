"""The two kinds of object that dnslb keeps in Kubernetes, and the door to them. Pure.

Not a client: `kubernetes` is one, over the package of that name; tests bring a twin. Whoever
elects (a Lease) or keeps state (a ConfigMap) sees only this, and only values.

Law: every write names the object that it replaces, by uid and resource version. Not knowing is an
error, never None: None is said only where the server answered that there is no such object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

Payload = Mapping[str, JsonValue]
"""What an object says: the ``spec`` of a Lease, the ``data`` of a ConfigMap (text to text)."""


class Kind(Enum):
    LEASE = "Lease"
    CONFIG_MAP = "ConfigMap"


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object as the server has it.

    ``resource_version`` is opaque: equal or not, never ordered. ``uid`` differs when an object of
    the same name was made anew. ``payload`` is JSON as the server wrote it: a MicroTime stays the
    text that it is (`2026-11-25T19:00:00.000000Z`), and keys that dnslb does not know stay there.
    ``document``: the whole object as the server gave it, which a replacement keeps.
    """

    kind: Kind
    name: str
    uid: str
    resource_version: str
    payload: Payload
    document: Payload = field(default_factory=dict, compare=False, repr=False)


Changes = AsyncIterator[KubernetesObject | None]
"""The present state first (None: there is no such object), then each newer one; some may be
left out, since only the newest counts, and the same may come twice."""


class KubernetesObjects(Protocol):
    """Objects of one namespace.

    The deadline is the caller's cancel scope; behind it each call has a bound of its own. A call
    that was cancelled may still be carried out by the server, and its answer is never used.

    Raises, of `dnslb.errors`: `KubernetesConflict`, `KubernetesRefusal`, `KubernetesTemporary`
    (its `KubernetesThrottled` says when to come back) and `KubernetesNonsense`; and for `create`
    and `replace` `KubernetesUnknown`, after which a look tells what is in force.
    """

    async def read(self, kind: Kind, name: str) -> KubernetesObject | None: ...

    async def create(self, kind: Kind, name: str, payload: Payload) -> KubernetesObject:
        """`KubernetesConflict` when there is one of that name."""

    async def replace(self, existing: KubernetesObject, payload: Payload) -> KubernetesObject:
        """Only over exactly ``existing``: `KubernetesConflict` when it has changed, is gone, or
        was made anew. What else the object holds (labels, annotations, owners) stays."""

    def watch(self, kind: Kind, name: str) -> AbstractAsyncContextManager[Changes]:
        """Follows an object: ``async with objects.watch(...) as changes: async for ... in
        changes``. Lost connections and expired versions are mended inside by reading again, with
        a growing wait; what a read raises ends the iteration, and a new watch may be begun."""
