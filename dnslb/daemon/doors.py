"""The two ways in for people and their tools: the read-only port and the control socket.

Not what is answered there (`dnslb.metrics`, `dnslb.control`): this opens, serves and closes.

Law: a port that was asked for is had or is an error; one that nobody asked for gives way to
another, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from dnslb import __version__
from dnslb.control.handlers import Handlers
from dnslb.control.led import Elsewhere
from dnslb.control.server import ControlServer
from dnslb.control.views import InstanceInfo
from dnslb.control.votes import RoundTrip, unmeasured
from dnslb.daemon.config import Config
from dnslb.metrics.counters import Counters
from dnslb.metrics.families import BuildInfo
from dnslb.metrics.server import LIMITS as METRICS_LIMITS, NotReady, make_handler
from dnslb.model.lease import Lease
from dnslb.net.clock import Clock
from dnslb.net.http_limits import Refusal
from dnslb.net.http_server import HttpServer
from dnslb.net.http_visit import OnRefused
from dnslb.net.listen import (
    ListenError,
    UnixListener,
    bound_port,
    join_address,
    open_tcp,
    open_unix,
)
from dnslb.net.peer import Peer
from dnslb.ports.cluster import Cluster
from dnslb.ports.operations import Operations

log = logging.getLogger(__name__)
CLOSE_S_MAX = 1.0


class Doors:
    """Open first, so that nothing else begins when a socket cannot be had."""

    def __init__(self, config: Config, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._ports: list[trio.SocketListener] = []
        self._socket: UnixListener | None = None
        self._servers: list[ControlServer | HttpServer] = []

    @property
    def port(self) -> int:
        """The port that /metrics has; 0 while it is not open."""
        return bound_port(self._ports[0]) if self._ports else 0

    async def open(self) -> None:
        """Raises `ListenError`."""
        config = self._config
        self._ports = await self._open_port()
        self._socket = await open_unix(config.control_socket, group=config.control_group)

    async def _open_port(self) -> list[trio.SocketListener]:
        config = self._config
        try:
            return await open_tcp(config.port, config.listen)
        except ListenError as error:
            if config.port_given or not error.in_use:
                raise
            listeners = await open_tcp(0, config.listen)
            where = join_address(config.listen, bound_port(listeners[0]))
            log.warning(
                "port %d is taken; /metrics is at http://%s/metrics instead", config.port, where
            )
            return listeners

    async def serve(
        self,
        operations: Operations,
        cluster: Cluster,
        clock: Clock,
        not_ready: NotReady,
        *,
        lease: Callable[[], Lease | None],
        fenced: bool,
        elsewhere: Elsewhere | None = None,
        round_trip_s: RoundTrip = unmeasured,
        task_status: trio.TaskStatus[Handlers] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until both are shut and their clients have left; gives away what answers at the
        control socket, so that it can answer elsewhere, too."""
        assert self._socket is not None
        config, started = self._config, clock.now()
        provider = config.provider or ""
        build = BuildInfo(__version__, config.election, provider, config.instance_id, started)
        info = InstanceInfo(
            instance_id=config.instance_id,
            version=__version__,
            election=config.election,
            port=self.port,
            started=started,
            socket=str(config.control_socket),
            owner_id=config.owner_id,
            provider=config.provider,
            fenced=fenced,
            address=str(config.raft.address) if config.raft is not None else "",
        )
        metrics = HttpServer(
            make_handler(
                operations.status, lease, cluster.view, self._counters, build, clock, not_ready
            ),
            limits=METRICS_LIMITS,
            on_error=self._failed,
            on_refused=self._refused("metrics"),
        )
        control = ControlServer(
            operations,
            cluster,
            info,
            clock,
            on_error=self._failed,
            on_refused=self._refused("control"),
            elsewhere=elsewhere,
            round_trip_s=round_trip_s,
        )
        self._servers = [control, metrics]
        async with trio.open_nursery() as nursery:
            await nursery.start(metrics.serve, self._ports)
            await nursery.start(control.serve, [self._socket])
            task_status.started(control.handlers)

    def shut_control(self) -> None:
        """Takes no more commands; /readyz goes on saying that the daemon is stopping."""
        for server in self._servers[:1]:
            server.shutdown()

    def shut(self) -> None:
        for server in self._servers:
            server.shutdown()

    async def aclose(self) -> None:
        """Closes the sockets, and takes the control socket's name away."""
        with trio.move_on_after(CLOSE_S_MAX, shield=True):
            for listener in (*self._ports, *([self._socket] if self._socket else [])):
                await listener.aclose()

    def _failed(self, error: Exception) -> None:
        self._counters.faults += 1
        log.error("a request could not be answered", exc_info=error)

    def _refused(self, listener: str) -> OnRefused:
        def count(kind: Refusal, peer: Peer, sentence: str) -> None:
            self._counters.refused[(listener, kind.value)] += 1
            log.debug("%s: refused %s: %s", listener, peer, sentence)

        return count
