"""The stream for whoever keeps a picture on a screen: one snapshot, then what changed.

Server-sent events. Each has a ``seq`` one above the last; whoever sees a gap connects again.
A delta is made when its reader is ready for one, from the moment that this reader was shown last
to the newest: so a slow reader is sent less, never late, and costs nothing while it does not
read.

Law: the newest moment is all that is kept; no event is ever queued.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio

from dnslb.control.delta import Places, Sight, delta_between, snapshot_pieces
from dnslb.control.led import LedChanges, counted
from dnslb.control.views import InstanceInfo, status_message
from dnslb.model.cluster import ClusterView
from dnslb.net.clock import Clock
from dnslb.ports.cluster import Cluster
from dnslb.ports.operations import Operations

HEARTBEAT_S = 1.0
"""An event comes at least this often; readers may take twice that for a hang."""
PACE_S = 0.1
"""The least time between two deltas."""
LATE_S = 5.0
"""A reader that took longer than this to take an event gets a fresh snapshot."""


class Watchers:
    """Makes streams, which share what they have in common; ``count``: how many are open."""

    def __init__(
        self,
        operations: Operations,
        cluster: Cluster,
        info: InstanceInfo,
        clock: Clock,
        led: LedChanges,
    ) -> None:
        self._operations = operations
        self._cluster = cluster
        self._info = info
        self._clock = clock
        self._led = led
        self._places = Places()
        self._newest: Sight | None = None
        self.count = 0

    async def stream(self, closing: trio.Event) -> AsyncGenerator[bytes, None]:
        """Events until ``closing``; the reader's leaving closes it from outside."""
        self.count += 1
        try:
            seq = 1
            sent = await self._sight()
            for piece in snapshot_pieces(seq, sent):
                yield piece
            await self._learn(sent)
            said_at, taken_at = sent.now.mono, self._clock.now().mono
            aged_at = said_at
            while not closing.is_set():
                await self._wait_news(sent, said_at + HEARTBEAT_S)
                newest = await self._sight()
                late = taken_at - said_at > LATE_S
                ages = newest.now.mono >= aged_at + HEARTBEAT_S
                delta = None if late else delta_between(sent, newest, self._places, ages=ages)
                sent = newest
                if delta and delta.is_empty and newest.now.mono < said_at + HEARTBEAT_S:
                    continue
                seq += 1
                said_at = newest.now.mono
                aged_at = said_at if ages else aged_at
                parts = delta.pieces(seq) if delta else snapshot_pieces(seq, newest)
                for piece in parts:
                    if piece:
                        yield piece
                    else:
                        await trio.lowlevel.checkpoint()
                if not delta:
                    await self._learn(newest)
                taken_at = self._clock.now().mono
        finally:
            self.count -= 1

    async def _learn(self, sight: Sight) -> None:
        for _ in self._places.learn(sight.status):
            await trio.lowlevel.checkpoint()

    async def _wait_news(self, sent: Sight, until_mono: float) -> None:
        """Returns when there is a new status, or at ``until_mono``; never before the pace."""
        await trio.sleep(PACE_S)
        with trio.move_on_at(until_mono):
            await self._operations.status.wait_changed(sent.revision)

    async def _sight(self) -> Sight:
        """This moment; the rendered status is kept as long as what it shows is the same."""
        led = await self._led.newest()
        status, log = self._operations.status, self._operations.log
        cluster, now, last = self._cluster.view(), self._clock.now(), self._newest
        same = last is not None and last.status is status.value and last.led is led
        if last is not None and same and _alike(last.cluster, cluster):
            message = last.message
        else:
            message = status_message(self._info, status.value, cluster, now)
            message = message if led is None else counted(message, led)
        self._newest = Sight(
            status=status.value,
            revision=status.revision,
            cluster=cluster,
            log=log.value,
            log_seq=log.revision,
            message=message,
            now=now,
            led=led,
        )
        return self._newest


def _alike(a: ClusterView, b: ClusterView) -> bool:
    """Whether a rendered status says the same of both."""
    return (a.role, a.term, a.leader, a.cluster_id) == (b.role, b.term, b.leader, b.cluster_id)
