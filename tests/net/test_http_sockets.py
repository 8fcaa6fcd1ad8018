"""The server on real sockets: unix, TCP and TLS with client certificates.

Time decides nothing here: what is waited for comes, or the whole run hangs and says where.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dnslb.net.http_limits import Refusal
from dnslb.net.listen import bound_port, open_tcp, open_unix
from dnslb.net.tls import ReloadingContext, TlsFiles, TlsListener, client_context, server_context
from tests.net.certificates import Authority
from tests.net.visitors import GET_CLOSE, SMALL, GoodClient, House, connect, read_all

# Real time must not decide anything, however slow the machine.
PATIENT = replace(
    SMALL,
    handshake_s=3600,
    header_s=3600,
    body_s=3600,
    idle_s=3600,
    send_s=3600,
    linger_s=3600,
    grace_s=3600,
)
HOST = "dns-a.example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_files(authority: Authority) -> TlsFiles:
    return authority.issue("server", HOST)


@pytest.fixture(scope="module")
def agent_context(authority: Authority) -> ssl.SSLContext:
    return client_context(authority.issue("agent1", "agent1.example.org"))


@asynccontextmanager
async def serving(
    house: House, listeners: list[trio.abc.Listener[trio.abc.Stream]]
) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        await nursery.start(house.server.serve, listeners)
        yield nursery
        house.server.shutdown()
    assert house.server.stats.open == 0


@asynccontextmanager
async def serving_tls(house: House, files: TlsFiles) -> AsyncIterator[int]:
    context = ReloadingContext(files, server_context, on_problem=house.errors.append).context
    listeners = await open_tcp(0)
    async with serving(house, [TlsListener(listener, context) for listener in listeners]):
        yield bound_port(listeners[0])


async def tls_stream(port: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    tls = trio.SSLStream(stream, context, server_hostname=HOST)
    await tls.do_handshake()
    return tls


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """Like `read_all`; a reset is an end too."""
    found = bytearray()
    try:
        async for data in stream:
            found += data
    except trio.BrokenResourceError:
        pass
    return bytes(found)


async def test_unix(tmp_path: Path) -> None:
    house, path = House(PATIENT), tmp_path / "a.sock"
    async with serving(house, [await open_unix(path)]):
        stream = await trio.open_unix_socket(str(path))
        assert await GoodClient(stream).ask("/echo", b"hi") == (200, b"hi")
        await stream.aclose()
    (request,) = house.requests
    assert request.peer.credentials is not None
    assert request.peer.credentials.pid == os.getpid()
    assert not path.exists()


async def test_a_refusal_arrives_although_the_client_is_still_sending(tmp_path: Path) -> None:
    # Closing with unread bytes would reset the connection, on TCP and unix sockets alike.
    house = House(PATIENT)
    unix = await open_unix(tmp_path / "a.sock")
    (tcp,) = await open_tcp(0)
    async with serving(house, [unix, tcp]):
        for stream in (
            await trio.open_unix_socket(str(tmp_path / "a.sock")),
            await trio.open_tcp_stream("127.0.0.1", bound_port(tcp)),
        ):
            await stream.send_all(
                b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90000
            )
            await stream.send_eof()
            assert (await read_all(stream)).startswith(b"HTTP/1.1 413 ")
            await stream.aclose()
    assert house.kinds == [Refusal.BODY_SIZE] * 2


async def test_tls_shows_the_clients_names(
    server_files: TlsFiles, agent_context: ssl.SSLContext
) -> None:
    house = House(PATIENT)
    async with serving_tls(house, server_files) as port:
        stream = await tls_stream(port, agent_context)
        assert stream.selected_alpn_protocol() == "http/1.1"
        client = GoodClient(stream)
        assert await client.ask("/echo", b"x" * 9000) == (200, b"x" * 9000)
        assert await client.ask("/fine") == (200, b"fine\n")
        await stream.aclose()
    peer = house.requests[0].peer
    assert peer.certificate is not None
    assert peer.certificate.names == {"agent1", "agent1.example.org"}
    assert peer.address is not None
    assert peer.address[0] == "127.0.0.1"


async def test_tls_is_closed_so_that_the_client_knows_nothing_was_cut(
    server_files: TlsFiles, agent_context: ssl.SSLContext
) -> None:
    house = House(PATIENT)
    async with serving_tls(house, server_files) as port:
        stream = await tls_stream(port, agent_context)  # not https_compatible: a cut raises
        await stream.send_all(GET_CLOSE)
        assert (await read_all(stream)).endswith(b"fine\n")
        await stream.aclose()


@pytest.mark.parametrize("first", [b"junkjunkjunkjunk", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
async def test_junk_in_place_of_a_handshake(
    server_files: TlsFiles, agent_context: ssl.SSLContext, first: bytes
) -> None:
    house = House(PATIENT)
    async with serving_tls(house, server_files) as port:
        for _ in range(20):
            junk = await trio.open_tcp_stream("127.0.0.1", port)
            await junk.send_all(first)
            await junk.send_eof()
            assert await read_to_end(junk) == b""
            await junk.aclose()
        good = await tls_stream(port, agent_context)
        assert await GoodClient(good).ask() == (200, b"fine\n")
        assert house.server.stats.open == 1
        await good.aclose()
    assert house.kinds == [Refusal.HANDSHAKE_FAILED] * 20
    assert house.errors == []


async def test_clients_without_a_good_certificate_get_only_an_end(
    server_files: TlsFiles, agent_context: ssl.SSLContext, tmp_path: Path
) -> None:
    house = House(PATIENT)
    foreign = Authority.make(tmp_path / "foreign").issue("agent1", "agent1.example.org")
    anonymous = client_context(TlsFiles(ca=server_files.ca))
    wrong_ca = client_context(TlsFiles(server_files.ca, foreign.cert, foreign.key))
    async with serving_tls(house, server_files) as port:
        for context in (anonymous, wrong_ca):
            stream = await tls_stream(port, context)  # TLS 1.3: this succeeds
            assert await read_to_end(stream) == b""
            await trio.aclose_forcefully(stream)
        good = await tls_stream(port, agent_context)
        assert await GoodClient(good).ask() == (200, b"fine\n")
        await good.aclose()
    assert [(kind, sentence) for kind, _peer, sentence in house.refusals] == [
        (Refusal.HANDSHAKE_FAILED, "the peer showed no certificate"),
        (
            Refusal.HANDSHAKE_FAILED,
            "the peer's certificate is refused: it comes from an unknown CA",
        ),
    ]
    assert len(house.requests) == 1


async def test_many_silent_connections_leave_room(
    server_files: TlsFiles, agent_context: ssl.SSLContext
) -> None:
    house = House(PATIENT)
    async with serving_tls(house, server_files) as port:
        crowd = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(100)]
        good = await tls_stream(port, agent_context)
        assert await GoodClient(good).ask() == (200, b"fine\n")
        await good.aclose()
        for stream in crowd:
            await stream.aclose()
    assert set(house.kinds) <= {Refusal.EVICTED, Refusal.HANDSHAKE_FAILED}
    assert house.kinds.count(Refusal.EVICTED) >= 90


async def test_a_silent_tls_client_is_given_up(
    server_files: TlsFiles, autojump_clock: MockClock
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        stream = trio.SSLStream(theirs, server_context(server_files), server_side=True)
        nursery.start_soon(house.server.serve_stream, stream)
        other = GoodClient(connect(house, nursery))
        assert (await other.ask(), trio.current_time()) == ((200, b"fine\n"), 0)
        assert await read_all(ours) == b""
        assert trio.current_time() == SMALL.handshake_s
        house.server.shutdown()
    assert house.kinds == [Refusal.HANDSHAKE_TIMEOUT]


async def test_a_handshake_under_way_ends_with_the_shutdown(
    server_files: TlsFiles, autojump_clock: MockClock
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        stream = trio.SSLStream(theirs, server_context(server_files), server_side=True)
        nursery.start_soon(house.server.serve_stream, stream)
        await trio.testing.wait_all_tasks_blocked()
        house.server.shutdown()
        assert await read_all(ours) == b""
    assert (trio.current_time(), house.kinds) == (0, [])


async def test_a_client_that_is_gone_before_it_is_looked_at() -> None:
    house = House(PATIENT)
    (listener,) = await open_tcp(0)
    client = await trio.open_tcp_stream("127.0.0.1", bound_port(listener))
    accepted = await listener.accept()
    # With a linger time of 0, closing resets the connection.
    client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await client.aclose()
    await trio.lowlevel.wait_readable(accepted.socket)
    await house.server.serve_stream(accepted)
    assert house.server.stats.open == 0
    assert house.errors == []
    await listener.aclose()
