"""The paths of the control API: which question each asks, and what kind of answer it gets.

Every answer is JSON, errors included: ``{"error": sentence, "kind": ...}``. What things look
like is `views`' business; whether a command is obeyed is the controller's.

Law: who asks is what the kernel or a certificate says, never what the request says; a handler
holds the event loop for a few milliseconds at most.
"""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import unquote

import trio

from dnslb.api.codec import Malformed, to_time
from dnslb.api.version import PREFIX, STALE_HEADER, TIME_HEADER, VERSION_HEADER
from dnslb.control import views
from dnslb.control.led import Elsewhere, LedChanges, counted
from dnslb.control.permission import Denied, Permission
from dnslb.control.pieces import endpoint_pieces, list_pieces, to_json
from dnslb.control.requests import to_cluster_command, to_command, to_count, to_flag
from dnslb.control.views import InstanceInfo
from dnslb.control.votes import OwnAgent, RoundTrip, unmeasured
from dnslb.control.watch import Watchers
from dnslb.control.why import NotKept, parse_at, why_message, why_message_at
from dnslb.errors import CommandRefused, InvalidValue, NoLeader, NotLeader
from dnslb.model.names import to_name
from dnslb.model.status import LoadBalancerView
from dnslb.net.clock import Clock
from dnslb.net.http_message import EVENTS, HttpError, Request, Response
from dnslb.net.http_routes import Routes
from dnslb.net.peer import Peer
from dnslb.ports.cluster import Cluster
from dnslb.ports.operations import Operations

WATCHERS_MAX = 32
FOLLOW_HEARTBEAT_S = 1.0
NAME_LOOKUP_S = 1.0
NAMES_MAX = 256
JSON_LINES = "application/x-ndjson"
_KINDS = {400: "bad-request", 404: "not-found", 405: "bad-request", 409: "refused", 503: "busy"}


class Unknown(LookupError):
    """Nothing here has the name that was asked for."""


class Handlers:
    """Answers requests from what the daemon shows; itself a handler of `dnslb.net`."""

    def __init__(
        self,
        operations: Operations,
        cluster: Cluster,
        info: InstanceInfo,
        clock: Clock,
        elsewhere: Elsewhere | None = None,
        round_trip_s: RoundTrip = unmeasured,
    ) -> None:
        self._operations = operations
        self._cluster = cluster
        self._info = info
        self._clock = clock
        self._elsewhere = elsewhere
        self._own = OwnAgent(info.instance_id, round_trip_s)
        self._led = LedChanges(elsewhere, cluster, clock)
        self._watchers = Watchers(operations, cluster, info, clock, self._led)
        self._names: dict[int, str] = {}
        self._routes = Routes(
            {
                ("GET", f"{PREFIX}/status"): self.status,
                ("GET", f"{PREFIX}/members"): self.members,
                ("GET", f"{PREFIX}/endpoints"): self.endpoints,
                ("GET", f"{PREFIX}/changes"): self.changes,
                ("GET", f"{PREFIX}/events"): self.events,
                ("GET", f"{PREFIX}/overrides"): self.overrides,
                ("GET", f"{PREFIX}/why/*"): self.why,
                ("GET", f"{PREFIX}/watch"): self.watch,
                ("POST", f"{PREFIX}/commands"): self.command,
                ("POST", f"{PREFIX}/raft"): self.raft,
            }
        )

    async def __call__(self, request: Request, permission: Permission | None = None) -> Response:
        """``permission`` None: whoever could connect may do everything."""
        try:
            if permission is not None:
                permission.check(request)
            return await self._routes(request)
        except Denied as error:
            return self._error(403, str(error), kind=error.kind, more=error.more)
        except Malformed as error:
            return self._error(400, str(error))
        except Unknown as error:
            return self._error(404, str(error))
        except HttpError as error:
            sentence = str(error)
            if error.status == 404:
                sentence = f"there is no {request.path[:80]} here: this API is {PREFIX}"
            return self._error(error.status, sentence, headers=error.headers)

    # --------------------------------------------------------------------------------- looking

    async def status(self, request: Request) -> Response:
        led = await self._led.newest()
        status, cluster = self._operations.status.value, self._cluster.view()
        message = views.status_message(self._info, status, cluster, self._clock.now())
        return self._json(message if led is None else counted(message, led))

    async def members(self, request: Request) -> Response:
        return self._json(views.member_messages(self._cluster.view()))

    async def endpoints(self, request: Request) -> Response:
        parameters = request.parameters
        lb = self._loadbalancer(parameters["lb"]).name if "lb" in parameters else None
        status, now = self._operations.status.value, self._clock.now()
        called = parameters.get("called")
        return self._stream(endpoint_pieces(status, now, self._own, lb=lb, called=called))

    async def changes(self, request: Request) -> Response:
        to_flag(request.parameters, "all")
        return await self._known_best(request, self._changes)

    def _changes(self, path: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        everything = to_flag(parameters, "all")
        now = self._clock.now()
        shown = (
            views.change_message(change)
            for change in self._operations.status.value.changes
            if everything or views.is_shown(change, now)
        )
        return list_pieces(shown)

    async def overrides(self, request: Request) -> Response:
        return self._stream(list_pieces(views.order_messages(self._operations.status.value)))

    async def why(self, request: Request) -> Response:
        segments = request.segments
        if len(segments) != 3:
            raise Malformed(f"{PREFIX}/why/NAME was expected")
        self._loadbalancer(segments[2])
        return await self._known_best(request, self._why)

    def _why(self, path: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        name, at = unquote(path.rpartition("/")[2]), parameters.get("at")
        view, now = self._loadbalancer(name), self._clock.now()
        status = self._operations.status.value
        if at is None:
            return iter((to_json(why_message(status, view, now, self._own)) + b"\n",))
        try:
            message = why_message_at(status, view, parse_at(at, now), now, self._own)
            return iter((to_json(message) + b"\n",))
        except NotKept as error:
            raise Unknown(str(error)) from error

    async def _known_best(
        self,
        request: Request,
        answer: Callable[[str, Mapping[str, str]], Iterator[bytes]],
    ) -> Response:
        """What the instance that may write answers; where it cannot be asked our own answer, with
        the reason why it may be out of date."""
        if self._elsewhere is None:
            return self._stream(answer(request.path, request.parameters))
        try:
            there = await self._elsewhere(request.path, request.parameters)
        except CommandRefused as refused:
            ours = self._stream(answer(request.path, request.parameters))
            sentence = str(refused).encode("ascii", "replace").decode("ascii")
            return replace(ours, headers=(*ours.headers, (STALE_HEADER, sentence)))
        if there is None:
            return self._stream(answer(request.path, request.parameters))
        return Response(200, there, headers=self._headers())

    async def read(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """Our own answer, for an instance that asks for somebody else. Raises `CommandRefused`."""
        answer = self._changes if path == f"{PREFIX}/changes" else self._why
        try:
            parts = []
            for part in answer(path, parameters):
                parts.append(part)
                await trio.lowlevel.checkpoint()
            return b"".join(parts)
        except (Malformed, Unknown) as error:
            raise CommandRefused(str(error)) from error

    async def events(self, request: Request) -> Response:
        parameters = request.parameters
        after, follow = to_count(parameters, "after"), to_flag(parameters, "follow")
        body = self._event_lines(after, follow, request.closing)
        return Response(200, body, JSON_LINES, self._headers())

    async def _event_lines(
        self, after: int, follow: bool, closing: trio.Event
    ) -> AsyncIterator[bytes]:
        """A line for each event with a higher number than ``after``; an empty one now and then
        while there is nothing to say, so that a reader can tell quiet from dead."""
        log = self._operations.log
        if after > log.revision:
            after = 0  # the number is of an earlier run of this daemon
        while True:
            last_round = closing.is_set() or not follow
            entries, revision = log.value, log.revision
            first = revision - len(entries) + 1
            start = max(after + 1 - first, 0)
            for begin in range(start, len(entries), 200):
                numbered = enumerate(entries[begin : begin + 200], first + begin)
                lines = [to_json(views.event_message(seq, entry)) for seq, entry in numbered]
                yield b"\n".join([*lines, b""])
            after = revision
            if last_round:
                return
            with trio.move_on_after(FOLLOW_HEARTBEAT_S) as quiet:
                await log.wait_changed(revision)
            if quiet.cancelled_caught:
                yield b"\n"

    async def watch(self, request: Request) -> Response:
        if self._watchers.count >= WATCHERS_MAX:
            raise HttpError(503, f"{WATCHERS_MAX} consoles are watching already; close one")
        return Response(200, self._watchers.stream(request.closing), EVENTS, self._headers())

    # -------------------------------------------------------------------------------- steering

    async def command(self, request: Request) -> Response:
        by = await self._who(request.peer)
        command, timeout_s = to_command(request.body, by, self._clock.now().wall)
        dry = self._operations.status.value.dry_run
        if self._cluster.view().leader is None and not dry:
            sentence = "no leader is known, so nobody can carry that out; nothing was changed"
            return self._without_leader(NoLeader(sentence))
        try:
            reply = await self._operations.perform(command, timeout_s)
        except (NoLeader, NotLeader) as error:
            return self._without_leader(error)
        except CommandRefused as error:
            return self._error(409, str(error))
        return self._json(
            {"ok": reply.ok, "sentences": list(reply.sentences)}, 200 if reply.ok else 409
        )

    async def raft(self, request: Request) -> Response:
        command = to_cluster_command(request.body, await self._who(request.peer))
        try:
            reply = await self._cluster.execute(command)
        except (NoLeader, NotLeader) as error:
            return self._without_leader(error)
        except CommandRefused as error:
            return self._error(409, str(error))
        return self._json({"lines": list(reply.lines), "values": dict(reply.values)})

    async def _who(self, peer: Peer) -> str:
        """The user at the other end, for the audit log."""
        if peer.certificate is not None:
            return peer.certificate.common_name or str(peer)
        if peer.credentials is None:
            return str(peer)
        uid = peer.credentials.uid
        if uid not in self._names:
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            # Users may live in a directory far away: neither its delay nor its failure is ours.
            with trio.move_on_after(NAME_LOOKUP_S) as in_time:
                name = await trio.to_thread.run_sync(_user_name, uid, abandon_on_cancel=True)
            if in_time.cancelled_caught:
                return f"uid {uid}"
            self._names[uid] = name
        return self._names[uid]

    # --------------------------------------------------------------------------------- answers

    def _loadbalancer(self, text: str) -> LoadBalancerView:
        """The load balancer of that name, however it is written; raises `Unknown`."""
        lbs = self._operations.status.value.loadbalancers
        try:
            view = lbs.get(to_name(text))
        except InvalidValue as error:
            raise Malformed(str(error)) from error
        if view is None:
            raise Unknown(f"there is no load balancer {to_name(text)}; see dnslbctl endpoints")
        return view

    def _headers(self) -> tuple[tuple[str, str], ...]:
        now = to_time(self._clock.now().wall)
        return ((VERSION_HEADER, self._info.version), (TIME_HEADER, now))

    def _json(self, value: object, status: int = 200) -> Response:
        return Response(status, to_json(value) + b"\n", headers=self._headers())

    def _stream(self, parts: Iterator[bytes]) -> Response:
        return Response(200, _turning(parts), headers=self._headers())

    def _without_leader(self, error: NoLeader | NotLeader) -> Response:
        if isinstance(error, NoLeader):
            return self._error(503, str(error), kind="no-leader")
        leader = {"id": error.leader_id, "address": error.leader_address}
        return self._error(421, str(error), kind="not-leader", more={"leader": leader})

    def _error(
        self,
        status: int,
        sentence: str,
        *,
        kind: str = "",
        more: Mapping[str, object] = MappingProxyType({}),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        body = {"error": sentence, "kind": kind or _KINDS.get(status, "failed"), **more}
        return Response(status, to_json(body) + b"\n", headers=(*self._headers(), *headers))


async def _turning(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The event loop turns between the parts, also between those that are not sent."""
    for part in parts:
        if part:
            yield part
        await trio.lowlevel.checkpoint()


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
