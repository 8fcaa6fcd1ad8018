"""Objects of one namespace, through an API server: blocking calls in threads, with deadlines.

Implements `dnslb.election.kubernetes_objects.KubernetesObjects`. Not the calls themselves
(`kubernetes`), nor what answers mean (`kubernetes_codec`).

Law: a call ends with its caller's scope, and its thread soon after: the deadline is the socket's,
too. A thread that nobody waits for sends nothing any more, its answer is dropped, and there is
room for only so many of them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import trio

from dnslb.election.kubernetes_codec import (
    Answer,
    Call,
    Happened,
    Verb,
    from_answer,
    from_listing,
    from_watch_line,
    to_new,
    to_replacement,
)
from dnslb.election.kubernetes_errand import Errand
from dnslb.election.kubernetes_objects import Kind, KubernetesObject, Payload
from dnslb.errors import (
    ConfigError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesUnknown,
)
from dnslb.net.backoff import Backoff
from dnslb.net.clock import boot_s, mono_s

if TYPE_CHECKING:
    from dnslb.election.kubernetes import Connection, Stream

CALL_S_MAX = 10.0
CALLS_MAX = 8
"""Threads in calls, those included that nobody waits for."""
WATCHES_MAX = 4
_AGAIN = Backoff(first_s=0.25, max_s=30.0)
_LASTING_S = 5.0
"""A watch that ended sooner than that was not ended for its age."""
_T = TypeVar("_T")


class KubernetesClient:
    """``connect``: blocking; loads the configuration, raises `ConfigError`."""

    def __init__(self, namespace: str, connect: Callable[[], Connection]) -> None:
        self.namespace = namespace
        self._connect = connect
        self._connection: Connection | None = None
        self._loading = trio.Lock()
        self._calls = trio.CapacityLimiter(CALLS_MAX)
        self._watches = trio.CapacityLimiter(WATCHES_MAX)

    async def load(self) -> str:
        """Loads the configuration, asks nothing yet; returns the URL of the API server. Raises
        `ConfigError`."""
        return (await self._connected()).server

    async def read(self, kind: Kind, name: str) -> KubernetesObject | None:
        call = self._call("get", kind, name)
        return from_answer(call, await self._ask(call))

    async def create(self, kind: Kind, name: str, payload: Payload) -> KubernetesObject:
        call = self._call("create", kind, name)
        return _written(call, await self._ask(call, to_new(call, payload)))

    async def replace(self, existing: KubernetesObject, payload: Payload) -> KubernetesObject:
        call = self._call("update", existing.kind, existing.name)
        return _written(call, await self._ask(call, to_replacement(call, existing, payload)))

    def watch(self, kind: Kind, name: str) -> Watching:
        return Watching(self, kind, name)

    async def list_one(self, kind: Kind, name: str) -> tuple[KubernetesObject | None, str]:
        """The object, or None, and the version from which to follow it."""
        call = self._call("list", kind, name)
        return from_listing(call, await self._ask(call))

    async def follow(self, kind: Kind, name: str, since: str) -> Followed:
        call = self._call("watch", kind, name)
        connection = await self._connected_for(call)
        errand = _errand()
        follow = partial(connection.follow, call, since, errand)
        stream = await _in_thread(follow, self._watches, errand)
        return Followed(call, stream, errand, self._watches)

    @property
    def threads_busy(self) -> int:
        """In calls and watches, those included that nobody waits for."""
        return int(self._calls.borrowed_tokens + self._watches.borrowed_tokens)

    def _call(self, verb: Verb, kind: Kind, name: str) -> Call:
        return Call(verb, kind, self.namespace, name)

    async def _ask(self, call: Call, body: bytes | None = None) -> Answer:
        connection = await self._connected_for(call)
        errand = _errand()
        ask = partial(connection.ask, call, body, errand)
        answer = await _in_thread(ask, self._calls, errand)
        if answer.status == 401:
            # Refused before anything was done. Tokens and certificates are replaced beneath us,
            # and not every kind of them is looked at again by the package.
            self._forget(connection)
            connection = await self._connected_for(call)
            ask = partial(connection.ask, call, body, errand)
            answer = await _in_thread(ask, self._calls, errand)
        return answer

    async def _connected_for(self, call: Call) -> Connection:
        try:
            return await self._connected()
        except ConfigError as error:
            raise KubernetesRefusal(f"Nothing was sent for the {call}: {error}") from error

    async def _connected(self) -> Connection:
        async with self._loading:
            if self._connection is None:
                self._connection = await _in_thread(self._connect, self._calls, _errand())
            return self._connection

    def _forget(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
        connection.close()

    async def aclose(self) -> None:
        """When nobody asks anything any more."""
        await trio.lowlevel.checkpoint()
        if self._connection is not None:
            self._forget(self._connection)


class Watching:
    """One watch: lists, then follows; where that breaks, lists again, later each time."""

    def __init__(self, client: KubernetesClient, kind: Kind, name: str) -> None:
        self._client = client
        self._kind = kind
        self._name = name
        self._version = ""
        self._followed: Followed | None = None
        self._failures = 0

    async def __aenter__(self) -> AsyncIterator[KubernetesObject | None]:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def __aiter__(self) -> AsyncIterator[KubernetesObject | None]:
        return self

    async def __anext__(self) -> KubernetesObject | None:
        while True:
            if self._failures and self._followed is None:
                await trio.sleep(_AGAIN.delay_s(self._failures, random.random()))
            if not self._version:
                found, self._version = await self._client.list_one(self._kind, self._name)
                return found
            try:
                happened = await self._next()
            except (KubernetesTemporary, KubernetesNonsense):
                # What is wrong with the server, if anything, the list that follows will tell.
                happened = Happened(False, None, "")
            if happened is None:
                continue
            self._failures = 0 if happened.version else self._failures + 1
            self._version = happened.version
            if not self._version:
                self._stop()
            if happened.shown:
                return happened.present

    async def _next(self) -> Happened | None:
        """None at the end of a stream: another goes on from where it was."""
        if self._followed is None:
            self._followed = await self._client.follow(self._kind, self._name, self._version)
        happened = await self._followed.next()
        if happened is None:
            self._failures = 0 if self._followed.lasted else self._failures + 1
            self._stop()
        return happened

    def _stop(self) -> None:
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.close()


class Followed:
    """What one open stream says."""

    def __init__(
        self, call: Call, stream: Stream, errand: Errand, limiter: trio.CapacityLimiter
    ) -> None:
        self._call = call
        self._stream = stream
        self._errand = errand
        self._limiter = limiter
        self._lines: deque[bytes] = deque()
        self._since = mono_s()

    @property
    def lasted(self) -> bool:
        return mono_s() - self._since >= _LASTING_S

    async def next(self) -> Happened | None:
        """None at its end."""
        while not self._lines:
            lines = await _in_thread(self._stream.next_lines, self._limiter, self._errand)
            if lines is None:
                return None
            self._lines.extend(lines)
        return from_watch_line(self._call, self._lines.popleft())

    def close(self) -> None:
        self._errand.abandon()


def _errand() -> Errand:
    remaining_s = trio.current_effective_deadline() - mono_s()
    return Errand(boot_s() + min(CALL_S_MAX, remaining_s))


async def _in_thread(work: Callable[[], _T], limiter: trio.CapacityLimiter, errand: Errand) -> _T:
    try:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
    except trio.Cancelled:
        errand.abandon()
        raise


def _written(call: Call, answer: Answer) -> KubernetesObject:
    written = from_answer(call, answer)
    if written is None:
        raise KubernetesUnknown(f"The answer to the {call} says nothing of it.")
    return written


def connector(kubeconfig: Path | None) -> Callable[[], Connection]:
    """For `KubernetesClient`; the package is imported in the thread that connects."""

    def connect() -> Connection:
        from dnslb.election.kubernetes import Connection  # noqa: PLC0415 - lazy: start-up

        return Connection(kubeconfig)

    return connect
