"""The read-only port: alive as long as the loop turns, ready between start and stop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from dnslb.metrics.counters import Counters
from dnslb.metrics.exposition import CONTENT_TYPE
from dnslb.metrics.families import BuildInfo
from dnslb.metrics.server import LIMITS, make_handler
from dnslb.model.lease import Lease
from dnslb.net.clock import FakeClock
from dnslb.net.http_message import Handler, HttpError, Request
from dnslb.net.http_server import HttpServer
from dnslb.net.listen import bound_port, open_tcp
from tests.doubles.operations import ALONE, NOW, Shown, ep, lb, picture

STATUS = picture(lb("a.example.org", ep("tcp://192.0.2.1:80")))


class Daemon:
    """What the handler is told, changed by the test."""

    def __init__(self) -> None:
        self.why_not: str | None = "the state is being read"
        self.shown = Shown(STATUS)
        self.lease: Lease | None = None
        build = BuildInfo("0.1.0", "singleton", "file", "here", NOW)
        self.handler: Handler = make_handler(
            self.shown.status,
            lambda: self.lease,
            self.shown.view,
            Counters(),
            build,
            FakeClock(boot_at=0.0),
            lambda: self.why_not,
        )

    async def ask(self, path: str) -> tuple[int, bytes]:
        response = await self.handler(Request("GET", path))
        assert isinstance(response.body, bytes)
        return response.status, response.body


async def test_ready_only_between_start_and_stop() -> None:
    daemon = Daemon()
    assert await daemon.ask("/readyz") == (503, b"the state is being read\n")
    daemon.why_not = None
    assert await daemon.ask("/readyz") == (200, b"ready\n")
    daemon.shown.members = ALONE.__class__("follower", 1, None, ())
    assert await daemon.ask("/readyz") == (200, b"ready\n"), "whatever the role"
    daemon.why_not = "stopping"
    assert await daemon.ask("/readyz") == (503, b"stopping\n")


async def test_alive_whatever_else_is_wrong() -> None:
    assert await Daemon().ask("/healthz") == (200, b"ok\n")


async def test_metrics() -> None:
    response = await Daemon().handler(Request("GET", "/metrics", "name[]=ignored"))
    assert response.content_type == CONTENT_TYPE
    assert isinstance(response.body, bytes)
    assert b'etcdcontroller_lb_healthy_endpoints{lb="a.example.org"} 1\n' in response.body


async def test_the_lease_is_told_as_it_stands_and_not_as_the_status_has_it(
    mock_clock: MockClock,
) -> None:
    daemon = Daemon()
    assert STATUS.lease is not None
    assert STATUS.lease.good_until_boot == math.inf
    _, text = await daemon.ask("/metrics")
    assert b"dnslb_lease_held 0\n" in text
    assert b"dnslb_lease_remaining_seconds" not in text
    for left_s, held in ((7.5, 1), (0, 0)):
        daemon.lease = replace(STATUS.lease, good_until_boot=left_s)
        _, text = await daemon.ask("/metrics")
        assert f"dnslb_lease_remaining_seconds {left_s:g}\n".encode() in text
        assert f"dnslb_lease_held {held}\n".encode() in text


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", "/v1/status", 404), ("POST", "/metrics", 405),
    ("DELETE", "/healthz", 405),
])  # fmt: skip
async def test_there_is_nothing_else_and_nothing_to_change(
    method: str, path: str, status: int
) -> None:
    with pytest.raises(HttpError) as refused:
        await Daemon().handler(Request(method, path))
    assert refused.value.status == status


async def test_on_a_real_port() -> None:
    daemon = Daemon()
    errors: list[Exception] = []
    server = HttpServer(daemon.handler, limits=LIMITS, on_error=errors.append)
    listeners = await open_tcp(0)
    port = bound_port(listeners[0])

    async def ask(data: bytes) -> bytes:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(data)
            return b"".join([bytes(part) async for part in stream])

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **given: server.serve(listeners, **given))
        end = b"Host: x\r\nConnection: close\r\n\r\n"
        assert b"# TYPE general_errors_total counter" in await ask(
            b"GET /metrics HTTP/1.1\r\n" + end
        )
        assert b" 200 " in await ask(b"HEAD /healthz HTTP/1.1\r\n" + end)
        assert b" 413 " in await ask(b"GET /metrics HTTP/1.1\r\nContent-Length: 9\r\n" + end)
        assert b" 200 " in await ask(b"GET /healthz HTTP/1.1\r\n" + end)
        server.shutdown()
    assert errors == []
