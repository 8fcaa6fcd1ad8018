"""The healthd-compatible receiver: agents fetch the monitor list here and post what they saw.

HTTPS with client certificates required. Any path is the same. GET gives the list, in the rich
form to those that ask for it by Accept; POST hands over the whole list of statuses.

Law: an agent speaks only for itself. A post counts when its certificate names the agent that
X-Agent-Name claims and when that agent is configured; whatever else comes is refused, counted
and named in the log, and costs the others nothing.
"""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import trio

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import bounded_message
from dnslb.net.clock import Clock
from dnslb.net.http_limits import HttpStats, Limits, Refusal
from dnslb.net.http_message import HttpError, Request, Response
from dnslb.net.http_server import HttpServer
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.peer import Peer
from dnslb.net.tls import ReloadingContext, TlsError, TlsFiles, TlsListener, server_context
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.sources.healthd_codec import MONITORS_TYPE, STATUSES_BYTES_MAX, WireMonitors
from dnslb.sources.healthd_intake import Intake, Post, TooFast
from dnslb.sources.repeats import Repeats, few

log = logging.getLogger(__name__)

LIMITS = Limits(
    # One byte more than is taken, so that the answer to a body too large is healthd's.
    body_bytes_max=STATUSES_BYTES_MAX + 1,
    # Well above any keep-alive interval: no post should meet a connection just closed.
    idle_s=300.0,
)
KEPT_BODIES_BYTES_MAX = 32 * 1024 * 1024
POSITION_SETTLES_S = 120.0
"""Four times an agent's sync interval: by then all have fetched a new list from someone."""

Agents = Callable[[], Collection[str]]


class HealthdReceiver:
    """A `Source`. ``agents``: who is configured, asked at each request.

    ``counters`` are monotonic totals by name, ``http`` the listener's own; both are for metrics.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        files: TlsFiles,
        agents: Agents,
        clock: Clock,
        limits: Limits = LIMITS,
    ) -> None:
        self._host = host
        self._port = port
        self._files = files
        self._agents = agents
        self._clock = clock
        self._notices = Repeats()
        self._listeners: Sequence[trio.SocketListener] = ()
        self._tls: ReloadingContext | None = None
        self._counts: Counter[str] = Counter()
        self._intakes: dict[str, Intake] = {}
        self._wire = WireMonitors(MonitorList())
        self._wire_at_mono: float | None = None
        self._deliver: Deliver | None = None
        self._nursery: trio.Nursery | None = None
        self._server = HttpServer(
            self._handle,
            limits=limits,
            on_error=self._on_error,
            on_refused=self._on_refused,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Totals since the start: ``posts``, ``unchanged``, ``coalesced``, ``lists``, and
        ``refused_...`` by why."""
        return self._counts

    @property
    def http(self) -> HttpStats:
        """The HTTP server's own counts, handshakes included."""
        return self._server.stats

    @property
    def port(self) -> int:
        """The port that is listened on, once open."""
        return bound_port(self._listeners[0]) if self._listeners else self._port

    @property
    def tls_problem(self) -> TlsError | None:
        """Why the newest certificate files are not in force, if they are not."""
        return self._tls.problem if self._tls else None

    async def open(self) -> None:
        """Reads the certificates and opens the sockets; `run` does so when nobody has.

        Raises `TlsError` or `ListenError`.
        """
        if self._listeners:
            return
        self._tls = ReloadingContext(self._files, server_context, on_problem=_on_tls_problem)
        self._listeners = await open_tcp(self._port, self._host)

    async def aclose(self) -> None:
        """Closes the sockets of a receiver that never ran, or has ended."""
        for listener in self._listeners:
            await listener.aclose()
        self._listeners = ()

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        """Serves until cancelled. Raises `TlsError` or `ListenError` when it cannot start."""
        await self.open()
        try:
            async with trio.open_nursery() as nursery:
                self._deliver, self._nursery = deliver, nursery
                revision = monitors.revision
                await self._announce(monitors.value)
                nursery.start_soon(self._follow, monitors, revision)
                await self._server.serve(
                    [TlsListener(listener, self._context) for listener in self._listeners]
                )
        finally:
            self._deliver = self._nursery = None
            with trio.move_on_after(1, shield=True):
                await self.aclose()

    def _context(self) -> ssl.SSLContext:
        assert self._tls is not None
        return self._tls.context()

    # --------------------------------------------------------------------------- the monitor list

    async def _follow(self, monitors: Watched[MonitorList], revision: int) -> None:
        while True:
            value = await monitors.wait_changed(revision)
            revision = monitors.revision
            await self._announce(value)

    async def _announce(self, monitors: MonitorList) -> None:
        if self._wire_at_mono is not None and monitors == self._wire.monitors:
            return
        # In a thread: ten thousand monitors take longer than the event loop may stand still.
        wire = await trio.to_thread.run_sync(WireMonitors, monitors)
        self._wire, self._wire_at_mono = wire, self._clock.now().mono

    def _positions_trusted(self, fetched: WireMonitors | None) -> bool:
        """Old agents' statuses name no protocol: their order means something only when they
        fetched this very list. Who fetched where else is unknown, so time has to tell."""
        assert self._wire_at_mono is not None
        settled_s = self._clock.now().mono - self._wire_at_mono
        return fetched is self._wire or settled_s >= POSITION_SETTLES_S

    # ------------------------------------------------------------------------------- the requests

    async def _handle(self, request: Request) -> Response:
        arrived = self._clock.now()
        if request.method not in ("GET", "POST"):
            raise self._refusal("method", 400, "Expected GET or POST.")
        name = self._authenticated(request)
        intake = self._intakes.get(name)
        if intake is None:
            assert self._deliver is not None
            intake = Intake(name, self._deliver, self._clock, self._counts, self._positions_trusted)
            self._intakes[name] = intake
        if request.method == "GET":
            return self._list(request, intake)
        if not 1 <= len(request.body) <= STATUSES_BYTES_MAX:
            sentence = f"Expected a body of 1 to {STATUSES_BYTES_MAX} bytes."
            raise self._refusal("length", 400, sentence)
        rich = _media_type(request.headers.get("content-type", "")) == MONITORS_TYPE
        await self._take(intake, Post(request.body, rich, arrived))
        return Response()

    def _authenticated(self, request: Request) -> str:
        """The agent that this is, beyond doubt and configured; raises `HttpError`."""
        name = request.headers.get("x-agent-name", "")
        if not name:
            raise self._refusal("no_name", 400, "Expected the header X-Agent-Name.")
        shown = bounded_message(name)
        certificate = request.peer.certificate
        names = certificate.names if certificate else frozenset()
        if name not in names:
            called = ", ".join(sorted(names)) or "nobody"
            self._warn(
                ("wrong name", name, request.peer.account),
                "%s calls itself agent %s, but its certificate is for %s: refused",
                bounded_message(str(request.peer)),
                shown,
                bounded_message(called),
            )
            raise self._refusal(
                "wrong_name", 403, f"The certificate is not for agent {_ascii(shown)}."
            )
        if name not in self._agents():
            self._intakes.pop(name, None)
            self._warn(
                ("not configured", name),
                "agent %s (%s) is not configured: refused; add it as an agent or stop it",
                shown,
                bounded_message(str(request.peer)),
            )
            raise self._refusal(
                "not_configured", 403, f"Agent {_ascii(shown)} is not configured here."
            )
        return name

    def _list(self, request: Request, intake: Intake) -> Response:
        if not intake.lists.take(self._clock.now().mono):
            retry = (("retry-after", "1"),)
            raise self._refusal("too_fast", 429, "The list is asked for too often.", retry)
        self._counts["lists"] += 1
        wire = self._wire
        if _accepts_rich(request.headers.get("accept", "")):
            return Response(body=wire.rich_body, content_type=MONITORS_TYPE)
        intake.fetched = wire
        if wire.left_out:
            self._warn(
                ("left out", intake.agent, wire),
                "agent %s understands only the old list, which leaves out %d monitors: %s",
                intake.agent,
                len(wire.left_out),
                few(wire.left_out),
            )
        return Response(body=wire.legacy_body)

    async def _take(self, intake: Intake, post: Post) -> None:
        assert self._nursery is not None
        self._counts["posts"] += 1
        try:
            await intake.take(post, lambda: self._wire, self._nursery)
        except TooFast as error:
            retry = (("retry-after", "1"),)
            raise self._refusal("too_fast", 429, str(error), retry) from error
        except SourceError as error:
            self._warn(
                ("malformed", intake.agent),
                "agent %s: its post is malformed: %s",
                intake.agent,
                error,
            )
            raise self._refusal("malformed", 400, _ascii(str(error))) from error
        # Many agents with long lists: then those are read each time, instead of remembered.
        if sum(one.kept_bytes for one in self._intakes.values()) > KEPT_BODIES_BYTES_MAX:
            intake.forget()

    # --------------------------------------------------------------- what goes wrong, in words

    def _refusal(
        self, kind: str, status: int, sentence: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> HttpError:
        self._counts[f"refused_{kind}"] += 1
        return HttpError(status, sentence, headers)

    def _warn(self, key: tuple[object, ...], sentence: str, *values: object) -> None:
        if self._notices.is_news(key, self._clock.now().mono):
            log.warning(sentence, *values)

    def _on_refused(self, kind: Refusal, peer: Peer, sentence: str) -> None:
        """What the server refused before it was a request; how often is in `http`."""
        if kind in (Refusal.DISCONNECTED, Refusal.EVICTED, Refusal.GRACE_ENDED):
            return
        self._warn((kind, peer.account), "%s: %s", peer, bounded_message(sentence))

    def _on_error(self, error: Exception) -> None:
        self._counts["errors"] += 1
        log.error("a request failed through a fault of ours", exc_info=error)


def _on_tls_problem(error: TlsError) -> None:
    log.error("%s; the certificate in force stays", error)


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _accepts_rich(header: str) -> bool:
    return any(_media_type(part) == MONITORS_TYPE for part in header.split(","))


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
