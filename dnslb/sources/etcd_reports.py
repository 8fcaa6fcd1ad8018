"""From what stands under an agent's key to its report: newest first, at a bounded rate.

Not the watch that found it. What healthd stores is a legacy POST and the second of its clock at
which it came (docs/health-protocol.md).

Law: of one agent the newest value is always told in the end; those that it overtook are not. A
value that is not understood is no vote, is named, and costs the other agents nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio

from dnslb.errors import SourceError
from dnslb.model.report import Report
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.sources.etcd_codec import begin_of, read_written, time_after
from dnslb.sources.etcd_follow import Seen
from dnslb.sources.healthd_codec import WireMonitors
from dnslb.sources.healthd_intake import POSTS_BURST, POSTS_PER_S, Allowance

Tell = Callable[[str, SourceError | None], None]
"""Gets the agent and why its newest value is no report, or None when it is one."""


@dataclass(slots=True)
class _Last:
    """The last value that was understood, up to the end of its statuses; what its meaning
    depended on, and what it means."""

    begin: bytes
    wire: WireMonitors
    trusted: bool
    votes: bytes
    messages: Mapping[int, str]
    complete: bool


class AgentKey:
    """One agent's key. ``wire``: the monitor list of the moment, and whether an agent that tells
    by position can be taken to mean this very list."""

    def __init__(
        self,
        agent: str,
        clock: Clock,
        counts: Counter[str],
        wire: Callable[[], tuple[WireMonitors, bool]],
        tell: Tell,
    ) -> None:
        self.agent = agent
        self._clock = clock
        self._counts = counts
        self._wire = wire
        self._tell = tell
        self._newest: Seen | None = None
        self._filled = trio.Event()
        self._allowance = Allowance(POSTS_PER_S, POSTS_BURST)
        self._last: _Last | None = None

    def put_nowait(self, seen: Seen) -> None:
        """Takes the place of an older one that still waits."""
        if self._newest is not None:
            self._counts["coalesced"] += 1
        self._newest = seen
        self._filled.set()

    @property
    def kept_bytes(self) -> int:
        """What remembering the last value costs."""
        return len(self._last.begin) if self._last else 0

    def forget(self) -> None:
        """Frees the last value; the next one is read even when it says the same."""
        self._last = None

    async def run(self, deliver: Deliver) -> None:
        """Tells until cancelled."""
        while True:
            await self._filled.wait()
            if not self._allowance.take(self._clock.now().mono):
                await trio.sleep(self._allowance.reserve(self._clock.now().mono))
            seen, self._newest = self._newest, None
            self._filled = trio.Event()
            assert seen is not None
            await self._take(seen, deliver)

    async def _take(self, seen: Seen, deliver: Deliver) -> None:
        value = seen.held.value
        if value is None:
            # Gone is not down: what the agent said last counts for as long as it is fresh.
            self._counts["removed"] += 1
            return
        try:
            report = self._to_report(seen, value)
        except SourceError as error:
            self._counts["malformed"] += 1
            self._tell(self.agent, error)
            return
        self._counts["reports"] += 1
        self._tell(self.agent, None)
        await deliver(report)

    def _to_report(self, seen: Seen, value: bytes) -> Report:
        wire, trusted = self._wire()
        last = self._last
        sent_wall = time_after(value, last.begin) if last is not None else None
        if (
            last is not None
            and sent_wall is not None
            and (last.wire, last.trusted) == (wire, trusted)
        ):
            self._counts["unchanged"] += 1
            votes, messages, complete = last.votes, last.messages, last.complete
        else:
            written = read_written(value)
            sent_wall = written.sent_wall
            found = wire.match(written.statuses, rich=False, trust_position=trusted)
            votes, messages, complete = found.votes, found.messages, found.complete
            if last is not None and last.wire is wire and last.votes == votes:
                # Equal votes are the same object, so that whoever compares has little to do.
                votes = last.votes
            begin = begin_of(value, written.statuses)
            self._last = _Last(begin, wire, trusted, votes, messages, complete)
        return Report(
            agent=self.agent,
            monitors=wire.monitors,
            votes=votes,
            messages=messages,
            complete=complete,
            arrived_mono=seen.arrived.mono,
            arrived_wall=seen.arrived.wall,
            age_s=seen.age_s,
            sent_wall=sent_wall,
            stored=seen.stored,
            via="etcd",
        )
