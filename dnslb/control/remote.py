"""The control API for those who come over the network: the same handlers, behind a permission.

Not the port itself: `dnslb.net.shared_port` hands the connections over (``serve_stream``).

Law: those who come this way cannot use up what the control socket needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dnslb.control.handlers import WATCHERS_MAX, Handlers
from dnslb.control.permission import Permission
from dnslb.control.server import LIMITS as LOCAL_LIMITS
from dnslb.net.http_server import HttpServer
from dnslb.net.http_visit import OnRefused

LIMITS = replace(
    LOCAL_LIMITS,
    # All of them may watch, and consoles on the machine itself still find room.
    connections_max=WATCHERS_MAX * 3 // 4,
    connections_per_peer_max=WATCHERS_MAX // 2,
    bodies_bytes_max=1024 * 1024,
    idle_s=30.0,
)


def make_remote_server(
    handlers: Handlers,
    permission: Permission,
    *,
    on_error: Callable[[Exception], None],
    on_refused: OnRefused = lambda kind, peer, sentence: None,
) -> HttpServer:
    """Whose ``serve_stream`` a shared port calls; ``shutdown`` is the caller's to call."""
    return HttpServer(
        partial(handlers, permission=permission),
        limits=LIMITS,
        on_error=on_error,
        on_refused=on_refused,
    )
