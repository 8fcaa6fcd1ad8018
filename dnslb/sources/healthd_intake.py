"""What one agent has posted: how often it may, what is unchanged, and the newest never lost.

Not a listener: it is handed bodies, with the instant at which the last byte of each arrived.

Law: of one agent's posts the newest is always told in the end, and none is told after a newer
one. Above the rate, posts wait their turn and the newest replaces the others, so the agent is
slowed down without losing what it said last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import trio

from dnslb.errors import SourceError
from dnslb.model.instant import Now
from dnslb.model.report import Report
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.sources.healthd_codec import WireMonitors

POSTS_PER_S = 20.0
POSTS_BURST = 50.0
LISTS_PER_S = 5.0
LISTS_BURST = 20.0
WAITING_MAX = 32
"""Requests of one agent that wait for their turn; more are told to come back later."""


class Allowance:
    """So many at once, and so many per second; a token bucket, told the time."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at_mono: float | None = None

    def take(self, at_mono: float) -> bool:
        """Whether one more is within the allowance; if so, it is used."""
        self._refill(at_mono)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def reserve(self, at_mono: float) -> float:
        """Uses the next one in advance; in so many seconds it is within the allowance."""
        self._refill(at_mono)
        self._left -= 1
        return max(0.0, -self._left / self._per_s)

    def _refill(self, at_mono: float) -> None:
        if self._at_mono is not None:
            earned = (at_mono - self._at_mono) * self._per_s
            self._left = min(self._burst, self._left + earned)
        self._at_mono = at_mono


@dataclass(frozen=True, slots=True)
class Post:
    """One POST: its body, its form, and the instant at which its last byte arrived."""

    body: bytes
    rich: bool
    arrived: Now


class TooFast(SourceError):
    """An agent posts faster than it may; what it said last is kept and told in its turn."""


@dataclass(slots=True)
class _Turn:
    """The posts that wait for the same moment; only the newest of them is told."""

    post: Post
    waiting: int = 0
    done: trio.Event = field(default_factory=trio.Event)
    error: SourceError | None = None


@dataclass(slots=True)
class _Last:
    """The last post that was understood, and all that its meaning depended on."""

    post: Post
    wire: WireMonitors
    trusted: bool
    report: Report


class Intake:
    """One agent's posts, in the order in which they arrived, each turned into a report.

    ``positions_trusted``: whether an agent that last fetched the given list (None: from another
    process, or never) can be taken to have the order of this one.
    """

    def __init__(
        self,
        agent: str,
        deliver: Deliver,
        clock: Clock,
        counts: Counter[str],
        positions_trusted: Callable[[WireMonitors | None], bool],
    ) -> None:
        self.agent = agent
        self.lists = Allowance(LISTS_PER_S, LISTS_BURST)
        self.fetched: WireMonitors | None = None
        """The list that this agent was last given in the legacy form."""
        self._posts = Allowance(POSTS_PER_S, POSTS_BURST)
        self._deliver = deliver
        self._clock = clock
        self._counts = counts
        self._positions_trusted = positions_trusted
        self._in_order = trio.StrictFIFOLock()
        self._turn: _Turn | None = None
        self._last: _Last | None = None

    @property
    def kept_bytes(self) -> int:
        """What remembering the last post costs."""
        return len(self._last.post.body) if self._last else 0

    def forget(self) -> None:
        """Frees the last post; the next one is read even when it is the same."""
        self._last = None

    async def take(
        self, post: Post, wire: Callable[[], WireMonitors], nursery: trio.Nursery
    ) -> None:
        """Returns when this post, or a newer one, was told.

        Above the rate that is later, by a task in ``nursery``, even when the caller gives up.
        Raises `SourceError` when it is malformed, `TooFast` when too many wait already.
        """
        turn = self._turn
        if turn is None:
            if self._posts.take(post.arrived.mono):
                await self._tell(post, wire)
                return
            turn = self._turn = _Turn(post)
            nursery.start_soon(self._tell_later, turn, wire)
        else:
            turn.post = post
            self._counts["coalesced"] += 1
        if turn.waiting >= WAITING_MAX:
            raise TooFast(
                f"more than {POSTS_PER_S:g} posts a second: the newest is kept, come back later"
            )
        turn.waiting += 1
        await turn.done.wait()
        if turn.error is not None:
            raise SourceError(str(turn.error)) from turn.error

    async def _tell_later(self, turn: _Turn, wire: Callable[[], WireMonitors]) -> None:
        await trio.sleep(self._posts.reserve(self._clock.now().mono))
        self._turn = None
        try:
            await self._tell(turn.post, wire)
        except SourceError as error:
            turn.error = error
        finally:
            turn.done.set()

    async def _tell(self, post: Post, wire: Callable[[], WireMonitors]) -> None:
        async with self._in_order:
            await self._deliver(self._to_report(post, wire()))

    def _to_report(self, post: Post, wire: WireMonitors) -> Report:
        last = self._last
        trusted = post.rich or self._positions_trusted(self.fetched)
        if (
            last is not None
            and last.post.rich == post.rich
            and last.wire is wire
            and last.trusted == trusted
            and last.post.body == post.body
        ):
            self._counts["unchanged"] += 1
            report = replace(
                last.report, arrived_mono=post.arrived.mono, arrived_wall=post.arrived.wall
            )
            self._last = replace(last, report=report)
            return report
        found = wire.match(post.body, rich=post.rich, trust_position=trusted)
        votes, messages = found.votes, found.messages
        if last is not None and last.wire is wire:
            # Equal values are the same objects, so that whoever compares has little to do.
            votes = last.report.votes if votes == last.report.votes else votes
            messages = last.report.messages if messages == last.report.messages else messages
        report = Report(
            agent=self.agent,
            monitors=wire.monitors,
            votes=votes,
            arrived_mono=post.arrived.mono,
            arrived_wall=post.arrived.wall,
            messages=messages,
            complete=found.complete,
            via="receiver",
        )
        self._last = _Last(post, wire, trusted, report)
        return report
