"""A strict stand-in for the Go healthd, after the documented facts of its protocol.

It knows the legacy form alone, takes nothing that differs from what the Go healthagent would
send, and remembers what it took. What it refuses, it also remembers: tests look at both.
"""

from __future__ import annotations

import json
from typing import Any

import trio

from dnslb.net.http_message import TEXT, Request, Response
from dnslb.net.http_server import HttpServer
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.tls import TlsFiles, TlsListener, server_context

KEYS = ["IP", "Port", "Healthy", "Message", "DidChange"]
TYPES = [str, int, bool, str, bool]
BLANK = {"IP": "", "Port": 0, "Healthy": False, "Message": "", "DidChange": False}


class GoHealthd:
    """``monitors`` is announced as it stands. ``stored``: per agent, all posts, oldest first."""

    def __init__(self, files: TlsFiles, monitors: list[str]) -> None:
        self.monitors = monitors
        self.stored: dict[str, list[list[dict[str, Any]]]] = {}
        self.refused: list[str] = []
        self.fetches = 0
        self.port = 0
        self.changed = trio.Event()
        self.failing: int | None = None
        """A status that every request is answered with, as if the store were in trouble."""
        self._context = server_context(files)
        self._given: dict[str, list[str]] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await open_tcp(self.port)
        self.port = bound_port(listeners[0])
        errors: list[Exception] = []
        server = HttpServer(self._handle, on_error=errors.append)
        task_status.started()
        try:
            await server.serve([TlsListener(one, lambda: self._context) for one in listeners])
        finally:
            for one in listeners:
                one.socket.close()
            assert errors == []

    async def wait_posts(self, agent: str, count: int) -> list[dict[str, Any]]:
        """The newest post, once there are ``count`` of them."""
        while len(self.stored.get(agent, [])) < count:
            await self.changed.wait()
        return self.stored[agent][-1]

    async def wait_statuses(self, agent: str, *healthy: bool | None) -> list[dict[str, Any]]:
        """The first post from now on that says so; None stands for a blank."""
        seen = 0
        while True:
            posts = self.stored.get(agent, [])
            for statuses in posts[seen:]:
                said = [None if one == BLANK else one["Healthy"] for one in statuses]
                if said == list(healthy):
                    return statuses
            seen = len(posts)
            await self.changed.wait()

    async def _handle(self, request: Request) -> Response:
        response = self._answer(request)
        if response.status != 200:
            self.refused.append(f"{request.method} {response.status} {response.body!r}")
        changed, self.changed = self.changed, trio.Event()
        changed.set()
        return response

    def _answer(self, request: Request) -> Response:
        name = request.headers.get("x-agent-name", "")
        certificate = request.peer.certificate
        if not name:
            return Response.text(400, "no agent name")
        if certificate is None or name not in certificate.names:
            return Response.text(403, "agent name and certificate do not match")
        if self.failing is not None:
            return Response.text(self.failing, "store trouble")
        if request.method == "GET":
            self.fetches += 1
            self._given[name] = list(self.monitors)
            # Go sniffs the type of what is written without one.
            return Response(body=json.dumps(self.monitors).encode(), content_type=TEXT)
        if request.method != "POST":
            return Response.text(400, "method")
        if not 1 <= len(request.body) <= 1_000_000:
            return Response.text(400, "length")
        problem = self._problem(request.body, self._given.get(name, []))
        if problem:
            return Response.text(400, problem)
        self.stored.setdefault(name, []).append(json.loads(request.body))
        return Response()

    def _problem(self, body: bytes, given: list[str]) -> str | None:
        """What a Go healthagent that fetched ``given`` would never have sent."""
        statuses = json.loads(body)
        if not isinstance(statuses, list):
            return "not a list"
        if json.dumps(statuses, separators=(",", ":"), ensure_ascii=False).encode() != body:
            return "not as Go writes JSON"
        if len(statuses) != len(given):
            return f"{len(statuses)} statuses for {len(given)} monitors"
        for number, (status, monitor) in enumerate(zip(statuses, given, strict=True)):
            if list(status) != KEYS or [type(value) for value in status.values()] != TYPES:
                return f"status {number} has another form: {status}"
            address = f"{status['IP']}:{status['Port']}"
            if status != BLANK and address != monitor.partition("://")[2]:
                return f"status {number} is of {address}, not of {monitor}"
        return None
