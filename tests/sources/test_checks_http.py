"""The http check against endpoints that answer well, badly, in pieces, too much or not at all."""

from __future__ import annotations

import socket
import struct

import h11
import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from dnslb.model.loadbalancer import Monitor
from dnslb.sources.checks import http
from dnslb.sources.checks.result import CheckFailed, CheckResult
from tests.sources import endpoints

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answered(*pieces: bytes, **options: object) -> CheckResult:
    async with endpoints.serving(endpoints.answering(*pieces)) as port:
        monitor = Monitor("http", "127.0.0.1", port, **options)  # type: ignore[arg-type]
        return await http.check(monitor)


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_an_expected_code_is_healthy(status: int) -> None:
    assert await answered(b"HTTP/1.1 %d Fine\r\n\r\n" % status) == (True, "success", 0.0)


@pytest.mark.parametrize("status", [199 + 101, 301, 404, 503])
async def test_any_other_code_is_named_as_healthagent_does(status: int) -> None:
    head = b"HTTP/1.1 %d Bad\r\nLocation: http://example.org/\r\n\r\n" % status
    assert await answered(head) == (False, f"status code is `{status}`", 0.0)


async def test_expected_codes_are_the_monitors() -> None:
    assert (await answered(b"HTTP/1.1 401 No\r\n\r\n", expect=(401, 403))).healthy
    assert not (await answered(OK, expect=(401, 403))).healthy


@pytest.mark.parametrize(
    ("options", "line", "host"),
    [
        ({}, b"GET /healthz HTTP/1.1", None),
        ({"path": "/ready?deep=1"}, b"GET /ready?deep=1 HTTP/1.1", None),
        ({"host_header": "www.example.org"}, b"GET /healthz HTTP/1.1", b"www.example.org"),
    ],
)
async def test_what_is_asked(options: dict[str, str], line: bytes, host: bytes | None) -> None:
    asked: list[bytes] = []
    async with endpoints.serving(endpoints.answering(OK, asked=asked)) as port:
        monitor = Monitor("http", "127.0.0.1", port, **options)  # type: ignore[arg-type]
        assert (await http.check(monitor)).healthy
        host = host or b"127.0.0.1:%d" % port
    request, *headers = asked[0].rstrip(b"\r\n").split(b"\r\n")
    assert request == line
    assert dict(header.split(b": ", 1) for header in headers) | {b"User-Agent": b""} == {
        b"Host": host,
        b"User-Agent": b"",
        b"Accept": b"*/*",
        b"Connection": b"close",
    }


async def test_an_answer_in_single_bytes() -> None:
    assert (await answered(*(bytes([byte]) for byte in OK))).healthy


async def test_the_body_is_not_waited_for() -> None:
    assert (await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")).healthy


async def test_interim_answers_are_passed_over() -> None:
    assert (await answered(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3, OK)).healthy


async def test_interim_answers_have_an_end() -> None:
    endless = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100
    assert await answered(endless) == (False, "the answer is not HTTP", 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
        b"HTTP/1.1 abc Hm\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_failed_check(answer: bytes) -> None:
    assert await answered(answer) == (False, "the answer is not HTTP", 0.0)


async def test_the_head_is_bounded() -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 0123456789abcdef\r\n" * 10_000
    result = await answered(endless)
    assert result == (False, "the answer's head is longer than 16384 bytes", 0.0)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_an_endpoint_that_hangs_up(begun: bytes) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(begun)

    async with endpoints.serving(serve) as port:
        result = await http.check(Monitor("http", "127.0.0.1", port))
    assert result == (False, "hung up before answering", 0.0)


async def test_an_endpoint_that_resets() -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SocketStream)
        await stream.receive_some(4096)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with endpoints.serving(serve) as port:
        result = await http.check(Monitor("http", "127.0.0.1", port))
    assert result == (False, "hung up before answering", 0.0)


async def test_a_closed_port() -> None:
    with endpoints.refusing() as port:
        result = await http.check(Monitor("http", "127.0.0.1", port))
    assert result == (False, "connection refused", 0.0)


@given(
    answer=st.binary(max_size=200)
    | st.lists(
        st.sampled_from([b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b":", b"A", b"\x00", b" "])
    ).map(b"".join)
)
def test_whatever_is_answered_is_a_code_or_a_failed_check(answer: bytes) -> None:
    async def ask() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(answer)
        await theirs.send_eof()
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        try:
            status = await http._status(connection, ours)
        except CheckFailed as failure:
            told.append(failure.result.healthy is False)
        else:
            told.append(200 <= status <= 999)

    told: list[bool] = []
    trio.run(ask)
    assert told == [True]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, "2001:db8::1"),
        ("www.example.org", "www.example.org"),
        ("www.example.org:8443", "www.example.org"),
        ("[2001:db8::2]:443", "2001:db8::2"),
        ("2001:db8::2", "2001:db8::2"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_whom_a_certificate_must_be_for(header: str | None, name: str) -> None:
    monitor = Monitor("https", "2001:db8::1", 443, host_header=header)
    assert http.server_name(monitor) == name
