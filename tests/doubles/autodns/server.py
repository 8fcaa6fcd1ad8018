"""A strict stand-in for the AutoDNS JSON API, after its documented facts: HTTP on loopback.

It has an HTTP server of its own, so that it can also hang up, stall and talk nonsense. It takes
nothing that the platform is not known to take, limits its clients to three requests a second by
trio's clock, and remembers every request.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import h11
import trio

from tests.doubles.autodns.zones import Refused, Zones

LIMIT, WINDOW_S = 3, 1.0
USER, PASSWORD, CONTEXT = "robot", 'geheim"ß+/=&', 4
SESSION = "b3Nlc3Npb24tMTIzNDU2"
HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Seen:
    """One request as it came, and when it came by trio's clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Fault:
    """What happens to a request instead of an answer. ``lands``: it is carried out all the same.
    ``drip_s``: the answer's bytes come singly, so far apart."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    hangs_up: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0
    lands: bool = False
    method: str | None = None


class AutoDns:
    """``zones`` is what it serves; tests edit it behind everybody's back."""

    limiter_at_start = True

    def __init__(self) -> None:
        self.zones = Zones()
        self.seen: list[Seen] = []
        self.limited = 0
        self.limiter = self.limiter_at_start
        self.faults: deque[Fault] = deque()
        self.password = PASSWORD
        self.login_data: dict[str, Any] = {"passwordExpired": False}
        self.login_status = 200
        self.session_sent = True
        self.sessions_open = 0
        self.messages_shown = True
        self.keeps_open = True
        self.clock_ahead_s = 0.0
        self.connections = 0
        self.after: Callable[[Seen], None] = lambda seen: None
        """Called when a request has been carried out, before it is answered."""
        self.port = 0
        self._granted: dict[str, deque[float]] = {}
        self._number = 100_000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def methods(self) -> list[str]:
        return [seen.method for seen in self.seen]

    def fail(self, times: int = 1, **fault: Any) -> None:
        """The next requests (of ``method``, if given) meet this fault."""
        self.faults.extend(Fault(**fault) for _ in range(times))

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve_one, listeners)

    # ------------------------------------------------------------------------------------ HTTP

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            async with stream:
                while (request := await self._next(connection, stream)) is not None:
                    if not await self._respond(connection, stream, *request):
                        return
                    if connection.our_state is not h11.DONE:
                        return
                    connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            # The client hung up, as it may at any time.
            return

    async def _next(
        self, connection: h11.Connection, stream: trio.SocketStream
    ) -> tuple[h11.Request, bytes] | None:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                return request, body
            else:
                return None

    async def _respond(
        self,
        connection: h11.Connection,
        stream: trio.SocketStream,
        request: h11.Request,
        body: bytes,
    ) -> bool:
        """Answers; False when the connection is gone."""
        method = request.method.decode()
        fault = self._fault(method)
        headers = {n.decode().lower(): v.decode() for n, v in request.headers}
        target = request.target.decode().removeprefix("/v1")
        peer = stream.socket.getpeername()[0]
        if fault is None or fault.lands:
            status, answer, extra = self._handle(method, target, headers, body, peer)
        else:
            self._see(method, target, headers, body)
            status, answer, extra = 0, b"", {}
        if fault is not None:
            await trio.sleep(fault.delay_s)
            if fault.reset:
                linger = struct.pack("ii", 1, 0)
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            if fault.hangs_up:
                return False
            if fault.status:
                status, answer, extra = fault.status, fault.body, fault.headers
        await self._send(connection, stream, status, answer, extra, fault.drip_s if fault else 0.0)
        return True

    async def _send(
        self,
        connection: h11.Connection,
        stream: trio.SocketStream,
        status: int,
        answer: bytes,
        extra: dict[str, str],
        drip_s: float,
    ) -> None:
        kind = "application/json" if answer[:1] == b"{" else "text/html"
        date = formatdate(time.time() + self.clock_ahead_s, usegmt=True)
        head = {"Date": date, "Content-Type": kind, "Content-Length": str(len(answer)), **extra}
        if not self.keeps_open:
            head["Connection"] = "close"
        raw = b"".join(
            connection.send(event) or b""
            for event in (
                h11.Response(status_code=status, headers=list(head.items())),
                h11.Data(data=answer),
                h11.EndOfMessage(),
            )
        )
        if not drip_s:
            return await stream.send_all(raw)
        for byte in raw:
            await stream.send_all(bytes([byte]))
            await trio.sleep(drip_s)
        return None

    def _fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in (None, method):
                self.faults.remove(fault)
                return fault
        return None

    def _see(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Seen:
        seen = Seen(
            method, target, headers, json.loads(body) if body else None, trio.current_time()
        )
        self.seen.append(seen)
        return seen

    # ------------------------------------------------------------------------------------- API

    def _handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, peer: str
    ) -> tuple[int, bytes, dict[str, str]]:
        if self.limiter and not self._grant(peer):
            self.limited += 1
            return 429, b"<html>Too Many Requests</html>", {}
        seen = self._see(method, target, headers, body)
        extra: dict[str, str] = {}
        try:
            self._check_headers(seen)
            if target == "/login":
                data, code, summary = [self._login(seen)], "S11", None
                if self.session_sent:
                    extra["X-Domainrobot-SessionId"] = SESSION
            elif target == "/logout":
                self.sessions_open -= 1
                data, code, summary = [], "S12", None
            else:
                self._check_credentials(seen)
                data, code, summary = self.zones.answer(method, target, seen.body)
        except Refused as refused:
            self.after(seen)
            return refused.status, self._refusal(refused, seen), extra
        self.after(seen)
        envelope: dict[str, Any] = {
            "stid": self._stid(),
            "status": {"code": code, "text": "Der Auftrag war erfolgreich.", "type": "SUCCESS"},
            "object": {"type": "Zone"},
            "neuesFeld": {"unbekannt": True},
        }
        if summary is not None:
            envelope["object"]["summary"] = summary
        if data:
            envelope["data"] = data
        if ctid := headers.get("x-domainrobot-ctid"):
            envelope["ctid"] = ctid
        return 200, json.dumps(envelope, ensure_ascii=False).encode(), extra

    def _refusal(self, refused: Refused, seen: Seen) -> bytes:
        envelope: dict[str, Any] = {
            "stid": self._stid(),
            "status": {"code": refused.code, "text": refused.text, "type": "ERROR"},
        }
        if refused.details and self.messages_shown:
            envelope["messages"] = [
                {
                    "text": refused.text,
                    "code": code,
                    "status": "ERROR",
                    "objects": [{"type": f"{seen.path}/rr[0]", "value": value}],
                }
                for code, value in refused.details
            ]
        return json.dumps(envelope, ensure_ascii=False).encode()

    def _stid(self) -> str:
        self._number += 1
        return f"20261123-app1-{self._number}"

    def _grant(self, peer: str) -> bool:
        """Three in any second, refused ones not counted."""
        granted, now = self._granted.setdefault(peer, deque()), trio.current_time()
        # A clock's rounding is no offence.
        while granted and granted[0] <= now - WINDOW_S + 1e-6:
            granted.popleft()
        if len(granted) >= LIMIT:
            return False
        granted.append(now)
        return True

    def _check_headers(self, seen: Seen) -> None:
        if not seen.headers.get("user-agent", "").strip():
            raise Refused(400, "E00000", "User-Agent fehlt", [("EF01000", "User-Agent")])
        if seen.headers.get("accept") != "application/json":
            raise Refused(406, "E00000", "Accept", [])
        if seen.body is not None and seen.headers.get("content-type") != "application/json":
            raise Refused(415, "E00000", "Content-Type", [])

    def _check_credentials(self, seen: Seen) -> None:
        basic = b64encode(f"{USER}:{self.password}".encode()).decode()
        right = seen.headers.get("authorization") == f"Basic {basic}"
        if not right or seen.headers.get("x-domainrobot-context") != str(CONTEXT):
            raise Refused(401, "E00000", "Anmeldung fehlgeschlagen", [("EF00000", "")])

    def _login(self, seen: Seen) -> dict[str, Any]:
        wanted = {"user": USER, "password": self.password, "context": CONTEXT}
        if seen.body != wanted or "authorization" in seen.headers or self.login_status != 200:
            status = self.login_status if self.login_status != 200 else 401
            raise Refused(status, "E11", "Anmeldung fehlgeschlagen", [("EF00000", "")])
        self.sessions_open += 1
        return {"user": USER, "context": CONTEXT, **self.login_data}
