"""The control socket: the handlers behind `dnslb.net`'s server, with limits for local clients.

Not who may connect: the mode of the socket decides that (`dnslb.net.listen.open_unix`).

Law: what is asked here never outlives a shutdown, and no client of it can harm another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from dnslb.api.codec import REQUEST_BYTES_MAX
from dnslb.control.handlers import WATCHERS_MAX, Handlers
from dnslb.control.led import Elsewhere
from dnslb.control.requests import TIMEOUT_S_MAX
from dnslb.control.views import InstanceInfo
from dnslb.control.votes import RoundTrip, unmeasured
from dnslb.net.clock import Clock
from dnslb.net.http_limits import HttpStats, Limits
from dnslb.net.http_server import HttpServer
from dnslb.net.http_visit import OnRefused
from dnslb.ports.cluster import Cluster
from dnslb.ports.operations import Operations

LIMITS = Limits(
    header_bytes_max=16 * 1024,
    body_bytes_max=REQUEST_BYTES_MAX,
    bodies_bytes_max=4 * 1024 * 1024,
    connections_max=4 * WATCHERS_MAX,
    connections_per_peer_max=3 * WATCHERS_MAX,
    body_s=10.0,
    handler_s=TIMEOUT_S_MAX + 10.0,
    send_s=30.0,
)


class ControlServer:
    """Serves one trio run, once; `handlers` answer the same elsewhere: see `remote`."""

    def __init__(
        self,
        operations: Operations,
        cluster: Cluster,
        info: InstanceInfo,
        clock: Clock,
        *,
        on_error: Callable[[Exception], None],
        on_refused: OnRefused = lambda kind, peer, sentence: None,
        elsewhere: Elsewhere | None = None,
        round_trip_s: RoundTrip = unmeasured,
    ) -> None:
        self.handlers = Handlers(operations, cluster, info, clock, elsewhere, round_trip_s)
        self._server = HttpServer(
            self.handlers, limits=LIMITS, on_error=on_error, on_refused=on_refused
        )

    @property
    def stats(self) -> HttpStats:
        """The live counts, for the metrics."""
        return self._server.stats

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until `shutdown`, then lets what is under way end within the grace."""
        await self._server.serve(listeners, task_status=task_status)

    def shutdown(self) -> None:
        """Takes no more clients; streams end within a second."""
        self._server.shutdown()
