"""A strict stand-in for a Kubernetes API server: Leases and ConfigMaps over TLS on loopback.

Tokens and client certificates, RBAC by verb, resource and name, watches with bookmarks and expired
versions, and everything that goes wrong between a client and such a server. What it says about
objects is `objects`; what it does not know it refuses. It remembers every request.
"""

from __future__ import annotations

import json
import re
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from socket import SO_LINGER, SO_REUSEADDR, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from tests.doubles.kubernetes_api.kinds import RESOURCES, Document, Refused, Resource
from tests.doubles.kubernetes_api.objects import Objects, read_body
from tests.doubles.kubernetes_api.terms import Fault, Rule, Seen

_PATHS = (
    re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/([^/]+)/(leases)(?:/([^/]+))?"),
    re.compile(r"/api/v1/namespaces/([^/]+)/(configmaps)(?:/([^/]+))?"),
)
_VERBS = {"POST": "create", "PUT": "update"}
ANONYMOUS = "system:anonymous"


class _Cut(Exception):
    """The connection ends here; ``reset``: with a RST."""

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset


@dataclass
class KubernetesApi:
    """``tokens``: bearer token → user, seen to by ``look_for_tokens`` before each look. ``rules``:
    user → what it may. ``watch_s_max``: a watch ends after that; ``bookmark_s``: between two
    bookmarks; ``can_watch`` False: lists alone."""

    objects: Objects = field(default_factory=Objects)
    tokens: dict[str, str] = field(default_factory=dict)
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    watch_s_max: float = 300.0
    bookmark_s: float = 60.0
    can_watch: bool = True
    look_for_tokens: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.is_online = True
        self.port = 0
        self.counts: Counter[str] = Counter()
        self._news, self._used = trio.Event(), trio.Event()
        self._accepting = trio.CancelScope()
        self._scopes: dict[trio.CancelScope, str] = {}
        self.objects.changed = self._wake

    def allow(self, token: str, user: str, *rules: Rule) -> None:
        self.tokens[token] = user
        self.rules[user] = rules

    def go_offline(self) -> None:
        """Connections are reset, and new ones refused, until `go_online`."""
        self.is_online = False
        for scope in (*self._scopes, self._accepting):
            scope.cancel()

    def go_online(self) -> None:
        self.is_online = True
        self._wake()

    def cut_watches(self) -> None:
        """Each open watch breaks off in the middle of its answer."""
        for scope, what in list(self._scopes.items()):
            if what == "watch":
                scope.cancel()

    async def serve(
        self,
        tls: ssl.SSLContext,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        listeners = await trio.open_tcp_listeners(port, host=host)
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self.port)
        async with trio.open_nursery() as nursery:
            while True:
                with trio.CancelScope() as self._accepting:
                    serve_one = partial(self._serve_one, tls)
                    await trio.serve_listeners(serve_one, listeners, handler_nursery=nursery)
                # Bound, but not listening, so that nobody else takes the port meanwhile.
                with trio.socket.socket() as place:
                    place.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
                    await place.bind((host, self.port))
                    while not self.is_online:
                        await self._news.wait()
                listeners = await trio.open_tcp_listeners(self.port, host=host)

    async def _serve_one(self, tls: ssl.SSLContext, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes[scope] = "idle"
            try:
                await self._serve_stream(stream, tls, scope)
            except _Cut as cut:
                if cut.reset:
                    _will_reset(stream)
            finally:
                del self._scopes[scope]
        if scope.cancelled_caught:
            _will_reset(stream)
        await trio.aclose_forcefully(stream)

    async def _serve_stream(
        self, socket: trio.SocketStream, tls: ssl.SSLContext, scope: trio.CancelScope
    ) -> None:
        stream = trio.SSLStream(socket, tls, server_side=True, https_compatible=True)
        try:
            await stream.do_handshake()
            certificate: Any = stream.getpeercert()
            names = [value for rdn in (certificate or {}).get("subject", ()) for _, value in rdn]
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
            while connection.our_state is h11.IDLE:
                exchange = _Exchange(self, stream, connection, names[-1] if names else "", scope)
                if not await exchange.run():
                    break
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            self.counts["broken"] += 1

    def user_of(self, authorization: str, certified: str) -> str:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            self.look_for_tokens()
            if token not in self.tokens:
                raise Refused(401, "Unauthorized", "Unauthorized")
            return self.tokens[token]
        return certified or ANONYMOUS

    def fault_for(self, verb: str, resource: str, user: str) -> Fault | None:
        for fault in self.faults:
            if fault.fits(verb, resource, user):
                fault.times -= 1
                return fault
        return None

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def wait_news(self, timeout_s: float) -> None:
        with trio.move_on_after(timeout_s):
            await self._news.wait()

    @property
    def is_watched(self) -> bool:
        return "watch" in self._scopes.values()

    async def wait_watched(self) -> None:
        """Until a watch is open."""
        while not self.is_watched:
            await self._used.wait()

    async def wait_counted(self, verb: str) -> None:
        """Until such a request has come since ``counts`` was cleared."""
        while not self.counts[verb]:
            await self._used.wait()

    def note_use(self, scope: trio.CancelScope, what: str) -> None:
        self._scopes[scope] = what
        self._used.set()
        self._used = trio.Event()


@dataclass
class _Exchange:
    """One request and its answer."""

    api: KubernetesApi
    stream: trio.SSLStream[trio.SocketStream]
    connection: h11.Connection
    certified: str
    scope: trio.CancelScope
    verb: str = ""
    resource: str = ""
    name: str = ""
    user: str = ""
    body: Document | None = None

    async def run(self) -> bool:
        """Whether another may follow on this connection."""
        request = await self._next_event()
        if not isinstance(request, h11.Request):
            return False
        body = b""
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return False
            body += event.data
        try:
            await self._answer(request, body)
        except _Cut:
            self._note(0)
            raise
        return self.connection.our_state is h11.DONE

    async def _answer(self, request: h11.Request, body: bytes) -> None:
        headers = {k.decode(): v.decode() for k, v in request.headers}
        target = urlsplit(request.target.decode())
        query = {k: v[-1] for k, v in parse_qs(target.query).items()}
        fault: Fault | None = None
        try:
            self.user = self.api.user_of(headers.get("authorization", ""), self.certified)
            resource, namespace = self._read_target(request.method.decode(), target.path, query)
            fault = self.api.fault_for(self.verb, self.resource, self.user)
            if fault is not None and fault.delay_s:
                await trio.sleep(fault.delay_s)
            if fault is None or fault.lands or not _instead(fault):
                self._authorize(resource, namespace)
                if self.verb == "watch" and (fault is None or not _instead(fault)):
                    return await self._watch(resource, namespace, query)
                answer = self._carry_out(resource, namespace, headers, body)
            else:
                answer = {}
            status = 201 if self.verb == "create" else 200
        except Refused as refused:
            answer, status = refused.document, refused.code
        if fault is not None and _instead(fault):
            return await self._fail(fault)
        drip_s = fault.drip_s if fault is not None else 0.0
        return await self._send(status, json.dumps(answer).encode() + b"\n", {}, drip_s)

    def _read_target(self, method: str, path: str, query: dict[str, str]) -> tuple[Resource, str]:
        for pattern in _PATHS:
            if match := pattern.fullmatch(path):
                namespace, self.resource, name = match.groups()
                break
        else:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        selected = query.get("fieldSelector", "")
        self.name = name or selected.removeprefix("metadata.name=")
        if method == "GET":
            watches = query.get("watch") in ("1", "true")
            self.verb = "get" if name else ("watch" if watches else "list")
        else:
            self.verb = _VERBS.get(method, method.lower())
        return RESOURCES[self.resource], namespace

    def _authorize(self, resource: Resource, namespace: str) -> None:
        name = self.name
        rules = self.api.rules.get(self.user, ())
        if any(rule.allows(self.verb, resource.name, name) for rule in rules):
            return
        what = f'{resource.qualified} "{name}"' if name else resource.qualified
        raise Refused(
            403,
            "Forbidden",
            f'{what} is forbidden: User "{self.user}" cannot {self.verb} resource '
            f'"{resource.name}" in API group "{resource.group}" in the namespace "{namespace}"',
            resource.details(name),
        )

    def _carry_out(
        self, resource: Resource, namespace: str, headers: dict[str, str], body: bytes
    ) -> Document:
        objects = self.api.objects
        if self.verb == "get":
            return objects.get(resource, namespace, self.name)
        if self.verb == "list":
            return objects.list(resource, namespace, self.name or None)
        if self.verb not in ("create", "update"):
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method here")
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Refused(
                415, "UnsupportedMediaType", "the body of the request was in an unknown format"
            )
        self.body = read_body(body)
        if self.verb == "create":
            return objects.create(resource, namespace, self.body, time.time())
        return objects.replace(resource, namespace, self.name, self.body, time.time())

    async def _watch(self, resource: Resource, namespace: str, query: dict[str, str]) -> None:
        if not self.api.can_watch:
            raise Refused(
                405, "MethodNotAllowed", "watch is not supported on resources of this kind"
            )
        since = int(query.get("resourceVersion") or 0)
        ends_at = trio.current_time() + min(
            float(query.get("timeoutSeconds", self.api.watch_s_max)), self.api.watch_s_max
        )
        await self._begin(200, {"content-type": "application/json"})
        self._note(200)
        self.api.counts["watch"] += 1
        self.api.note_use(self.scope, "watch")
        objects = self.api.objects
        if since == 0:
            for item in objects.list(resource, namespace, self.name or None)["items"]:
                heading = {"kind": resource.kind, "apiVersion": resource.api_version}
                await self._line("ADDED", heading | item)
            since = objects.version
        bookmark_at = trio.current_time() + self.api.bookmark_s
        while (now := trio.current_time()) < ends_at:
            if since < objects.compacted:
                message = f"too old resource version: {since} ({objects.compacted})"
                await self._line("ERROR", Refused(410, "Expired", message).document)
                break
            for event in list(objects.since(resource, namespace, self.name or None, since)):
                await self._line(event.type, event.told())
            since = objects.version
            if now >= bookmark_at and query.get("allowWatchBookmarks") == "true":
                await self._line("BOOKMARK", resource.bookmark(since))
                bookmark_at = now + self.api.bookmark_s
            await self.api.wait_news(min(ends_at, bookmark_at) - now)
        await self._emit(h11.EndOfMessage())
        self.api.note_use(self.scope, "idle")

    async def _line(self, type_: str, document: Document) -> None:
        line = json.dumps({"type": type_, "object": document}).encode() + b"\n"
        await self._emit(h11.Data(data=line))

    async def _fail(self, fault: Fault) -> None:
        if fault.reset or fault.hangs_up:
            raise _Cut(fault.reset)
        body = fault.body
        if body is None:
            body = json.dumps(
                Refused(fault.status, "Fault", "it was told to fail").document
            ).encode()
        await self._send(fault.status, body, fault.headers, fault.drip_s)

    async def _send(
        self, status: int, body: bytes, headers: dict[str, str], drip_s: float = 0.0
    ) -> None:
        head = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        self._note(status)
        await self._begin(status, head)
        if not drip_s:
            await self._emit(h11.Data(data=body))
        else:
            for at in range(len(body)):
                await self._emit(h11.Data(data=body[at : at + 1]))
                await trio.sleep(drip_s)
        await self._emit(h11.EndOfMessage())

    async def _begin(self, status: int, headers: dict[str, str]) -> None:
        fixed = {"cache-control": "no-cache, private", "audit-id": "0"}
        await self._emit(h11.Response(status_code=status, headers=[*{**fixed, **headers}.items()]))

    async def _emit(self, event: Any) -> None:
        data = self.connection.send(event)
        if data:
            await self.stream.send_all(data)

    async def _next_event(self) -> Any:
        while (event := self.connection.next_event()) is h11.NEED_DATA:
            self.connection.receive_data(bytes(await self.stream.receive_some()))
        return event

    def _note(self, status: int) -> None:
        self.api.seen.append(
            Seen(
                self.verb,
                self.resource,
                self.name,
                self.user,
                status,
                self.body,
                time.monotonic(),
            )
        )


def _instead(fault: Fault) -> bool:
    return bool(fault.status or fault.reset or fault.hangs_up or fault.body is not None)


def _will_reset(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
