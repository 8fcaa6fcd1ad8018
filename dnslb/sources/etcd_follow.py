"""What both of etcd's APIs are to the source: read a key, write it, follow many.

Not either of them (`etcd_v2`, `etcd_v3`). Here is what they share: what was seen, and when it
can be said to have arrived.

Law (`safety.md` 4.2): only what is seen to change has arrived. What was found, at a start or
after a gap in the watch, says by its own ``Time`` alone how old it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from dnslb.errors import SourceError
from dnslb.model.instant import Now
from dnslb.net.clock import Clock
from dnslb.sources.etcd_codec import Held, HistoryGone, Reading

RESUME_S_MAX = 30.0
"""After a longer gap only the newest counts, so it is read, and history is not played again."""
GONE_AGAIN_S = 1.0
SEAM_S_MAX = 1.0
"""Between two polls nobody watches; a change in so short a time is as good as seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """``stored``: found, not seen to change. ``age_s``: it may have changed so long before."""

    held: Held
    arrived: Now
    stored: bool
    age_s: float = 0.0


See = Callable[[Seen], None]


@dataclass(frozen=True, slots=True)
class Login:
    """``user`` None: without one. ``password`` is asked anew each time that it is sent."""

    user: str | None = None
    password: Callable[[], str] = field(default=str, repr=False)


NOBODY = Login()


class Dialect(Protocol):
    """One of etcd's APIs, at whichever endpoint; remembers how far each key was followed."""

    @property
    def name(self) -> str: ...

    async def read(self, url: str, key: str) -> Reading:
        """What a majority of the members agrees on. Raises `SourceError`."""

    async def write(self, url: str, over: Held, value: bytes) -> int:
        """Writes where ``over`` still stands; returns the index of the change. Raises
        `ChangedMeanwhile` and any other `SourceError`."""

    async def follow(
        self, url: str, keys: Sequence[str], see: See, live: Callable[[], None]
    ) -> None:
        """Tells what stands under ``keys``, calls ``live``, then tells each change, until it
        cannot: then it raises `SourceError`."""

    async def check(self, url: str) -> None:
        """Raises `SourceError` when changes have passed unseen."""


@dataclass(slots=True)
class Place:
    """How far one key was followed. ``next_index``: the change to wait for; ``alive_mono``: when
    it was last known that nothing had been missed."""

    next_index: int
    alive_mono: float
    cluster: str


class Places:
    """The places of all keys that are followed, by key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_key: dict[str, Place] = {}
        self._gone_mono: dict[str, float] = {}

    def resumable(self, key: str) -> Place | None:
        """Where to go on, if that is not too long ago."""
        place = self._by_key.get(key)
        if place is not None and self._clock.now().mono - place.alive_mono > RESUME_S_MAX:
            del self._by_key[key]
            return None
        return place

    def begin(self, key: str, reading: Reading) -> Place:
        place = Place(reading.store_index + 1, self._clock.now().mono, reading.cluster)
        self._by_key[key] = place
        return place

    def keep(self, keys: Sequence[str]) -> None:
        """Forgets all others."""
        for key in self._by_key.keys() - set(keys):
            del self._by_key[key]
        for key in self._gone_mono.keys() - set(keys):
            del self._gone_mono[key]

    def read_anew(self, keys: Sequence[str], gone: HistoryGone) -> None:
        """Forgets these places: history has gone on without them. Raises ``gone`` when that has
        just been done and helped nothing, as behind an address that leads to several stores."""
        now_mono = self._clock.now().mono
        for key in keys:
            self._by_key.pop(key, None)
            if now_mono - self._gone_mono.get(key, float("-inf")) < GONE_AGAIN_S:
                raise gone
            self._gone_mono[key] = now_mono

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._by_key)

    def get(self, key: str) -> Place | None:
        return self._by_key.get(key)


def seen_change(held: Held, arrived: Now, *, backlog: bool, watched_mono: float | None) -> Seen:
    """``backlog``: it had changed already when it was begun to be waited for.
    ``watched_mono``: when it had not yet; None after a reconnect, when nobody knows."""
    if not backlog:
        return Seen(held, arrived, stored=False)
    if watched_mono is None or arrived.mono - watched_mono > SEAM_S_MAX:
        return Seen(held, arrived, stored=True)
    return Seen(held, arrived, stored=False, age_s=max(0.0, arrived.mono - watched_mono))


async def run_abreast(*jobs: Callable[[], Awaitable[None]]) -> None:
    """Runs all at once until one fails or returns; then ends the others, and raises its
    `SourceError` if it failed."""
    failures: list[SourceError] = []

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except SourceError as error:
            failures.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(run, job)
    if failures:
        raise failures[0]
