"""The raft address: streams between members and, for people at a distance, the control API.

Not what members tell each other (`dnslb.election.raft`), nor who may do what
(`dnslb.control.permission`): this opens the port, makes sure who is at the other end, hands on.

Law: with certificates both ends of every stream have shown one; without them only loopback is
served, unless that was asked for, loudly.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from dnslb.api.codec import to_time
from dnslb.control.handlers import Handlers
from dnslb.control.permission import Permission
from dnslb.control.remote import make_remote_server
from dnslb.daemon.config import RaftConfig
from dnslb.metrics.counters import Counters
from dnslb.model.status import Severity
from dnslb.net.clock import mono_s, wall_s
from dnslb.net.http_limits import Refusal
from dnslb.net.http_server import HttpServer
from dnslb.net.listen import bound_port, open_tcp, split_address
from dnslb.net.peer import Peer
from dnslb.net.shared_port import SharedPort
from dnslb.net.tls import (
    CertificateNames,
    ReloadingContext,
    TlsError,
    TlsFiles,
    client_context,
    server_context,
)
from dnslb.net.tls_own import OwnCertificate, read_own
from dnslb.ports.noticeboard import Noticeboard

log = logging.getLogger(__name__)

Accept = Callable[[trio.abc.Stream, bytes], Awaitable[None]]
"""Serves a stream that another member dialled; the bytes were read from it already."""
Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""A stream to ``host:port``; raises OSError or trio.BrokenResourceError."""

LISTENER = "raft"
CLOSE_S_MAX = 1.0
NAMED_AGAIN_S = 3600.0
NAMED_MAX = 256
LOOK_S = 60.0
ENDS_SOON_S = 30 * 86_400.0
ENDS_SOON_SHARE = 0.2
"""Of its whole life: what is renewed every day by a program is not told of every day."""
ENDS, NOT_IN_FORCE = "certificate-ends", "certificate-not-in-force"


class RaftDoor:
    """Opened before anything else begins, served once the control API is there."""

    def __init__(
        self, config: RaftConfig, instance_id: str, control_socket: Path, counters: Counters
    ) -> None:
        self._config = config
        self._instance_id = instance_id
        self._own: OwnCertificate | None = None
        self.permission = Permission(str(control_socket), insecure=config.insecure)
        self._counters = counters
        self._listeners: list[trio.SocketListener] = []
        self._as_server: ReloadingContext | None = None
        self._as_client: ReloadingContext | None = None
        self._serving: tuple[SharedPort, HttpServer] | None = None
        self._named: dict[tuple[object, str], float] = {}

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while it is not open."""
        return bound_port(self._listeners[0]) if self._listeners else 0

    @property
    def tls_problem(self) -> TlsError | None:
        """Why the newest certificate files are not in force, if they are not."""
        return self._as_server.problem if self._as_server else None

    async def open(self) -> None:
        """Reads the certificates and opens the sockets. Raises `TlsError` or `ListenError`."""
        config = self._config
        if config.tls is not None:
            files = TlsFiles(config.tls.ca, config.tls.crt, config.tls.key)
            self._as_server = ReloadingContext(
                files, self._server_context, on_problem=_on_tls_problem
            )
            # Of the same files: its problems are those that were told already.
            self._as_client = ReloadingContext(
                files, self._client_context, on_problem=lambda error: log.debug("%s", error)
            )
        elif config.insecure:
            log.warning(
                "-raft-insecure: whoever reaches %s can speak as a member and decide what is in "
                "DNS; dnslb pki makes certificates",
                config.bind,
            )
        self._listeners = await open_tcp(config.bind.port, config.bind.host)

    # ----------------------------------------------------------------------- our own certificate

    def _server_context(self, files: TlsFiles) -> ssl.SSLContext:
        self._own = self._check(files)
        return server_context(files)

    def _client_context(self, files: TlsFiles) -> ssl.SSLContext:
        self._check(files)
        return client_context(files)

    def _check(self, files: TlsFiles) -> OwnCertificate:
        """Finds at the start what the other members would find at night. Raises `TlsError`."""
        own = read_own(files, self._config.address.host)
        why = own.names.why_not_member(self._instance_id)
        if why is not None:
            raise TlsError(
                f"{files.cert}: {why} (dnslb pki issue {self._instance_id} -role member)"
            )
        return own

    async def watch(self, notices: Noticeboard) -> None:
        """Says in time that our certificate ends, and that newer files are not in force."""
        while True:
            self.look(notices, wall_s())
            await trio.sleep(LOOK_S)

    def look(self, notices: Noticeboard, wall: float) -> None:
        """One look of `watch`."""
        if self._as_server is None or self._own is None:
            return
        self._as_server.context()  # which reads the files again if they have changed
        problem, own, subject = self._as_server.problem, self._own, self._instance_id
        if problem is None:
            notices.clear(NOT_IN_FORCE, subject)
        else:
            sentence = f"{problem}; the old one is in force, and the next start will fail"
            notices.put("warning", NOT_IN_FORCE, subject, sentence, "put the right files there")
        if (said := _said_of(own, wall)) is None:
            notices.clear(ENDS, subject)
        else:
            step = "put a new pair in its place; no restart is needed"
            severity, sentence = said
            notices.put(severity, ENDS, subject, sentence, step)

    # ------------------------------------------------------------------- the other ends of streams

    def secured(self, dial: Dial) -> Dial:
        """``dial`` with a TLS handshake after it, where there are certificates."""

        async def dial_tls(address: str) -> trio.abc.Stream:
            stream = await dial(address)
            if self._as_client is None:
                return stream
            host, _ = split_address(address)
            secured = trio.SSLStream(stream, self._as_client.context(), server_hostname=host)
            try:
                await secured.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(secured)
                raise
            return secured

        return dial_tls

    def prove(self, stream: trio.abc.Stream, instance_id: str) -> str | None:
        """Why the other end is not the member ``instance_id``; None when it is, or when there
        are no certificates to tell by. After the handshake only."""
        if self._as_server is None:
            return None
        if not isinstance(stream, trio.SSLStream):
            return "the stream is not encrypted"
        names = CertificateNames.from_peercert(stream.getpeercert())
        return names.why_not_member(instance_id)

    # ---------------------------------------------------------------------------------- serving

    async def serve(
        self,
        handlers: Handlers,
        accept: Accept,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until it is shut and its clients have left; what ``accept`` raises ends it."""

        async def others(stream: trio.abc.Stream, *, received: bytes, peer: Peer) -> None:
            await accept(stream, received)

        remote = make_remote_server(
            handlers, self.permission, on_error=self._failed, on_refused=self._refused
        )
        shared = SharedPort(
            http=remote.serve_stream,
            others=others,
            tls=self._as_server.context if self._as_server else None,
            on_refused=self._refused,
        )
        self._serving = shared, remote
        await shared.serve(self._listeners, task_status=task_status)

    def shut(self) -> None:
        """Takes no more connections and ends those of HTTP; the members' are `accept`'s."""
        for server in self._serving or ():
            server.shutdown()

    async def aclose(self) -> None:
        with trio.move_on_after(CLOSE_S_MAX, shield=True):
            for listener in self._listeners:
                await listener.aclose()

    def _failed(self, error: Exception) -> None:
        self._counters.faults += 1
        log.error("a request could not be answered", exc_info=error)

    def _refused(self, kind: Refusal, peer: Peer, sentence: str) -> None:
        self._counters.refused[(LISTENER, kind.value)] += 1
        # A member with a wrong certificate is worth a line, but anybody can fill the log.
        new = kind is Refusal.HANDSHAKE_FAILED and self._is_new((peer.account, sentence))
        log.log(logging.WARNING if new else logging.DEBUG, "raft: refused %s: %s", peer, sentence)

    def _is_new(self, what: tuple[object, str]) -> bool:
        now = mono_s()
        if now - self._named.get(what, -NAMED_AGAIN_S) < NAMED_AGAIN_S:
            return False
        if len(self._named) >= NAMED_MAX:
            del self._named[next(iter(self._named))]
        self._named[what] = now
        return True


def _said_of(own: OwnCertificate, wall: float) -> tuple[Severity, str] | None:
    """What a person should know about how long our certificate is valid; None: nothing."""
    ends, begins = to_time(own.ends_wall), to_time(own.begins_wall)
    soon_s = min(ENDS_SOON_S, ENDS_SOON_SHARE * (own.ends_wall - own.begins_wall))
    if own.ends_wall <= wall:
        return "critical", f"this member's certificate expired at {ends}: no other speaks to it"
    if own.begins_wall > wall:
        return "critical", f"this member's certificate is not valid before {begins}"
    if own.ends_wall <= wall + soon_s:
        return "warning", f"this member's certificate is valid until {ends} only"
    return None


def _on_tls_problem(error: TlsError) -> None:
    log.error("%s; the certificate in force stays", error)
