"""Slow, huge, malformed and hostile clients of the receiver, and that nobody else is harmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from dnslb.model.report import UP
from dnslb.net.http_limits import Refusal
from dnslb.net.tls import client_context
from dnslb.sources.healthd import LIMITS
from tests.sources.receiver_stage import HTTP, Stage, running, status

HARSH = replace(LIMITS, handshake_s=0.2, header_s=0.2, body_s=0.2, linger_s=0.1)


async def raw(stage: Stage) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", stage.receiver.port)


async def encrypted(stage: Stage) -> trio.SSLStream[trio.SocketStream]:
    context = client_context(stage.authority.issue(common_name="fra-1"))
    address = ("127.0.0.1", stage.receiver.port)
    stream = await trio.open_ssl_over_tcp_stream(*address, ssl_context=context)
    await stream.do_handshake()
    return stream


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = b""
    try:
        async for part in stream:
            data += part
    except trio.BrokenResourceError:
        pass
    return data


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Agent-Name: fra-1\r\n"

ENCRYPTED_HOSTILITY = {
    "silent": (b"", b""),
    "half a head": (b"POST / HT", b"408"),
    "half a body": (HEAD + b"Content-Length: 100\r\n\r\n[", b"408"),
    "garbage": (b"\x00\x01\x02\r\n\r\n", b"400"),
    "huge head": (HEAD + b"A: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
    "huge length": (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"413"),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
    "two lengths": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    "endless chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 20,
        b"413",
    ),
    "deep nesting": (HEAD + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, b"400"),
    "strange name": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Agent-Name: \xff\xfe\r\n\r\n", b"403"),
}


@pytest.mark.parametrize("kind", ENCRYPTED_HOSTILITY)
async def test_hostile_agents_harm_nobody_else(tmp_path: Path, kind: str) -> None:
    sent, expected = ENCRYPTED_HOSTILITY[kind]
    async with running(Stage(tmp_path, HTTP, limits=HARSH)) as stage:
        stream = await encrypted(stage)
        await stream.send_all(sent)
        async with stage.client() as client:
            assert (await client.post("", json=[status(HTTP, True)])).status_code == 200
        if kind not in {"strange name", "deep nesting"}:
            answer = await read_all(stream)
        else:
            answer = bytes(await stream.receive_some(10_000))
        assert answer.partition(b"\r\n")[0].split(b" ")[1:2] == ([expected] if expected else [])
        await trio.aclose_forcefully(stream)
        assert [report.votes for report in stage.reports] == [bytes([UP])]
        assert stage.receiver.counters["errors"] == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff"]
)
async def test_who_speaks_no_tls_is_let_go(tmp_path: Path, sent: bytes) -> None:
    async with running(Stage(tmp_path, HTTP, limits=HARSH)) as stage:
        stream = await raw(stage)
        if sent:
            await stream.send_all(sent)
        await read_all(stream)
        await stream.aclose()
        async with stage.client() as client:
            assert (await client.get("")).status_code == 200
        refused = stage.receiver.http.refused
        assert refused[Refusal.HANDSHAKE_FAILED] + refused[Refusal.HANDSHAKE_TIMEOUT] == 1


async def test_connections_that_only_sit_there_do_not_take_all_places(tmp_path: Path) -> None:
    limits = replace(LIMITS, connections_max=8, connections_per_peer_max=8)
    async with running(Stage(tmp_path, HTTP, limits=limits)) as stage:
        sitting = [await raw(stage) for _ in range(30)]
        async with stage.client() as client:
            assert (await client.get("")).status_code == 200
        for stream in sitting:
            await stream.aclose()
