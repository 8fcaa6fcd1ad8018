"""The read-only HTTP port: ``/metrics``, ``/healthz``, ``/readyz``. No secrets, no commands.

Law: ``/healthz`` asks the event loop and nothing else, so that no provider's trouble ever makes
a supervisor kill a daemon that holds DNS as it is. ``/readyz`` is about start and stop only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from dnslb.metrics.counters import Counters
from dnslb.metrics.exposition import CONTENT_TYPE
from dnslb.metrics.families import BuildInfo, families
from dnslb.model.cluster import ClusterView
from dnslb.model.lease import Lease
from dnslb.model.status import Status
from dnslb.net.clock import Clock
from dnslb.net.http_limits import Limits
from dnslb.net.http_message import Handler, Request, Response
from dnslb.net.http_routes import Routes
from dnslb.ports.watched import Watched

LIMITS = Limits(
    header_bytes_max=8 * 1024,
    body_bytes_max=0,
    connections_max=64,
    connections_per_peer_max=32,
    handler_s=10.0,
    idle_s=120.0,
    grace_s=1.0,
)
"""For the server that gets these handlers."""

NotReady = Callable[[], str | None]
"""Why the daemon is not ready (it starts, it stops), in a sentence; None when it is."""


def make_handler(
    status: Watched[Status],
    lease: Callable[[], Lease | None],
    cluster: Callable[[], ClusterView],
    counters: Counters,
    build: BuildInfo,
    clock: Clock,
    not_ready: NotReady,
) -> Handler:
    """The handler for this port.

    ``lease``: as it stands, with its end. A status tells whether one is held, and no end: that
    moves several times a second.
    """

    async def metrics(request: Request) -> Response:
        parts = []
        shown = replace(status.value, lease=lease())
        for family in families(shown, cluster(), counters, build, clock.now()):
            parts.append(family.text())
            await trio.lowlevel.checkpoint()  # thousands of load balancers make thousands of lines
        return Response(200, "".join(parts).encode(), CONTENT_TYPE)

    async def healthz(request: Request) -> Response:
        return Response.text(200, "ok")

    async def readyz(request: Request) -> Response:
        why_not = not_ready()
        return Response.text(200, "ready") if why_not is None else Response.text(503, why_not)

    return Routes(
        {
            ("GET", "/metrics"): metrics,
            ("GET", "/healthz"): healthz,
            ("GET", "/readyz"): readyz,
        }
    )
