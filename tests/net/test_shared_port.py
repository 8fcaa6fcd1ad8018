"""One port, two protocols: what the first byte decides, and what those get who send none."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dnslb.net.http_limits import Refusal
from dnslb.net.listen import bound_port, open_tcp
from dnslb.net.peer import Peer
from dnslb.net.shared_port import PortLimits, SharedPort
from dnslb.net.tls import TlsFiles, client_context, handshake_sentence, server_context
from tests.net.certificates import Authority
from tests.net.handshake import HOST
from tests.net.test_tls import PAST
from tests.net.visitors import GET_CLOSE, House, MemoryStream, read_all

FEW = PortLimits(handshake_s=5, first_byte_s=7, undecided_max=4, undecided_per_peer_max=2)
ONE = Peer(address=("192.0.2.1", 1))
TWO = Peer(address=("192.0.2.2", 1))
FRAME = b"\x00\x00\x00\x05hello"


@dataclass
class Port:
    """A shared port with the HTTP server of the tests, and an echo for the other protocol."""

    limits: PortLimits = FEW
    tls: ssl.SSLContext | None = None
    house: House = field(default_factory=House)
    refusals: list[tuple[Refusal, Peer, str]] = field(default_factory=list)
    others: list[tuple[bytes, Peer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.tls
        self.shared = SharedPort(
            http=self.house.server.serve_stream,
            others=self.echo,
            tls=None if context is None else lambda: context,
            limits=self.limits,
            on_refused=lambda *refusal: self.refusals.append(refusal),
        )

    async def echo(self, stream: trio.abc.Stream, *, received: bytes, peer: Peer) -> None:
        self.others.append((received, peer))
        data = received + bytes(await stream.receive_some())
        if data == b"\x00raise":
            raise ValueError("boom")
        await stream.send_all(data)
        await stream.aclose()

    def connect(self, nursery: trio.Nursery, peer: Peer = ONE) -> MemoryStream:
        ours, theirs = trio.testing.memory_stream_pair()

        async def serve() -> None:
            await self.shared.serve_stream(theirs, peer=peer)

        nursery.start_soon(serve)
        return ours

    @property
    def kinds(self) -> list[Refusal]:
        return [kind for kind, _peer, _sentence in self.refusals]


async def test_the_first_byte_decides_and_is_not_lost(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        stream = port.connect(nursery)
        await stream.send_all(GET_CLOSE)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200 ")
        stream = port.connect(nursery, TWO)
        await stream.send_all(FRAME)
        assert await read_all(stream) == FRAME
    assert port.others == [(b"\0", TWO)]
    assert [request.peer for request in port.house.requests] == [ONE]
    assert port.refusals == []
    assert port.shared.undecided == 0


async def test_a_first_byte_alone_decides(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        http, frames = port.connect(nursery), port.connect(nursery)
        await http.send_all(GET_CLOSE[:1])
        await frames.send_all(FRAME[:1])
        await trio.sleep(FEW.first_byte_s - 1)
        assert port.shared.undecided == 0
        # From here on each is under the limits of its own server.
        await trio.sleep(2)
        await http.send_all(GET_CLOSE[1:])
        await frames.send_all(FRAME[1:])
        assert (await read_all(http)).startswith(b"HTTP/1.1 200 ")
        assert await read_all(frames) == FRAME
    assert port.refusals == []


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (b"\x16\x03\x01\x02\x00", "it speaks TLS to a port without"),
        (b"get / HTTP/1.1\r\n", "it speaks nothing that is known here"),
        (b"\xff", "it speaks nothing that is known here"),
        (b"\x01", "it speaks nothing that is known here"),
        (b"@[`", "it speaks nothing that is known here"),
    ],
)
async def test_other_bytes_end_the_connection(
    sent: bytes, sentence: str, autojump_clock: MockClock
) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        stream = port.connect(nursery)
        await stream.send_all(sent)
        assert await read_all(stream) == b""
    assert port.refusals == [(Refusal.UNSUPPORTED, ONE, sentence)]
    assert trio.current_time() == 0


async def test_silence_ends_in_time(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        assert await read_all(port.connect(nursery)) == b""
    assert trio.current_time() == FEW.first_byte_s
    assert port.refusals == [(Refusal.HEADER_TIMEOUT, ONE, "it connected and said nothing")]


async def test_a_probe_that_says_nothing_is_no_refusal(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        await port.connect(nursery).send_eof()
    assert port.refusals == []
    assert trio.current_time() == 0


async def test_nobody_crowds_out_another(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        first = [port.connect(nursery, TWO)]
        await trio.testing.wait_all_tasks_blocked()
        silent = []
        for _ in range(10):
            silent.append(port.connect(nursery, ONE))
            await trio.testing.wait_all_tasks_blocked()
        # The flood from one address cost that address its own oldest connections.
        assert port.kinds == [Refusal.EVICTED] * 8
        assert {peer for _, peer, _ in port.refusals} == {ONE}
        assert [await read_all(stream) for stream in silent[:8]] == [b""] * 8
        for number in range(3, 9):
            first.append(port.connect(nursery, Peer(address=(f"192.0.2.{number}", 1))))
            await trio.testing.wait_all_tasks_blocked()
            assert port.shared.undecided <= FEW.undecided_max
        # The last to come is always looked at.
        await first[-1].send_all(FRAME)
        assert await read_all(first[-1]) == FRAME
    assert port.shared.undecided == 0


async def test_those_who_were_handed_on_hold_no_place(autojump_clock: MockClock) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        decided = []
        for _ in range(5):
            decided.append(port.connect(nursery))
            await decided[-1].send_all(FRAME[:1])
            await trio.testing.wait_all_tasks_blocked()
        silent = [port.connect(nursery) for _ in range(9)]
        await trio.testing.wait_all_tasks_blocked()
        for stream in decided:
            await stream.send_all(FRAME[1:])
            assert await read_all(stream) == FRAME
        for stream in silent:
            await stream.aclose()


async def test_a_fault_of_the_other_protocol_is_not_swallowed(autojump_clock: MockClock) -> None:
    port = Port()
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="boom")):
        async with trio.open_nursery() as nursery:
            await port.connect(nursery).send_all(b"\x00raise")


@pytest.mark.parametrize("first", [b"", b"\0G", b"\0\x16"])
def test_the_other_protocol_must_begin_differently(first: bytes) -> None:
    house = House()
    with pytest.raises(ValueError, match="others_first"):
        SharedPort(
            http=house.server.serve_stream, others=house.server.serve_stream, others_first=first
        )


# -------------------------------------------------------------------------------- real sockets

PATIENT = PortLimits(handshake_s=3600, first_byte_s=3600)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue("server", HOST))


@asynccontextmanager
async def serving(port: Port) -> AsyncIterator[int]:
    listeners = await open_tcp(0)
    async with trio.open_nursery() as nursery:
        await nursery.start(port.shared.serve, listeners)
        yield bound_port(listeners[0])
        port.shared.shutdown()
        port.house.server.shutdown()
    assert port.shared.undecided == 0
    assert all(listener.socket.fileno() == -1 for listener in listeners)


async def tls_stream(number: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", number)
    return trio.SSLStream(stream, context, server_hostname=HOST)


async def test_after_tls_it_is_the_same(authority: Authority, context: ssl.SSLContext) -> None:
    port = Port(PATIENT, context)
    client = client_context(authority.issue("fra-1", "fra-1.example.org"))
    async with serving(port) as number:
        async with await tls_stream(number, client) as stream:
            await stream.send_all(GET_CLOSE)
            assert (await read_all(stream)).startswith(b"HTTP/1.1 200 ")
        async with await tls_stream(number, client) as stream:
            await stream.send_all(FRAME)
            assert await stream.receive_some() == FRAME
    peers = [port.house.requests[0].peer, port.others[0][1]]
    for peer in peers:
        assert peer.certificate is not None
        assert peer.certificate.common_name == "fra-1"
        assert peer.address is not None
    assert port.refusals == []


async def test_a_client_is_told_why_it_is_refused(
    authority: Authority, context: ssl.SSLContext, tmp_path: Path
) -> None:
    foreign = Authority.make(tmp_path / "foreign").issue("fra-1", "x")
    trusting = authority.issue("fra-1", "x")
    for files, ours, theirs in (
        (
            TlsFiles(ca=trusting.ca, cert=foreign.cert, key=foreign.key),
            "the peer's certificate is refused: it comes from an unknown CA",
            "our certificate was refused by the peer: it does not know our CA",
        ),
        (
            authority.issue("old", "x", not_after=PAST),
            "the peer's certificate is refused: it has expired",
            "our certificate was refused by the peer: expired",
        ),
        (
            TlsFiles(ca=trusting.ca),
            "the peer showed no certificate",
            "the peer requires a certificate and got none",
        ),
    ):
        port = Port(PATIENT, context)
        async with serving(port) as number:
            stream = await tls_stream(number, client_context(files))
            # The request is under way before the server has judged: it must not cost the client
            # the answer.
            await stream.send_all(GET_CLOSE * 100)
            with pytest.raises(trio.BrokenResourceError) as broken:
                await stream.receive_some()
            assert handshake_sentence(broken.value) == theirs
            await trio.aclose_forcefully(stream)
        assert [(kind, sentence) for kind, _, sentence in port.refusals] == [
            (Refusal.HANDSHAKE_FAILED, ours)
        ]
        assert port.house.requests == []


async def test_plain_http_to_a_port_with_tls(context: ssl.SSLContext) -> None:
    port = Port(PATIENT, context)
    async with serving(port) as number, await trio.open_tcp_stream("127.0.0.1", number) as stream:
        await stream.send_all(GET_CLOSE)
        with contextlib.suppress(trio.BrokenResourceError):
            assert not (await read_all(stream)).startswith(b"HTTP")
    assert port.refusals[0][2] == "the peer speaks plain HTTP to a TLS port"


async def test_a_handshake_that_never_comes_ends_in_time(
    context: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    port = Port(FEW, context)
    async with trio.open_nursery() as nursery:
        silent, dripping = port.connect(nursery), port.connect(nursery, TWO)
        await dripping.send_all(b"\x16\x03\x01\x02\x00\x01")
        assert await read_all(silent) == b""
        assert await read_all(dripping) == b""
    assert trio.current_time() == FEW.handshake_s
    assert port.kinds == [Refusal.HANDSHAKE_TIMEOUT] * 2


async def test_handshakes_begin_one_after_the_other(
    context: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    """A hundred at once would hold everything else up for a tenth of a second. The newest goes
    first: a flood sends the oldest away, so whoever waited for long has no time left for more."""
    port = Port(PortLimits(handshakes_per_s=2), context)
    ends: list[tuple[float, Peer]] = []

    async def junk(peer: Peer) -> None:
        stream = port.connect(nursery, peer)
        await stream.send_all(b"junk that is no handshake")
        await stream.receive_some()
        ends.append((trio.current_time(), peer))
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        peers = [Peer(address=(f"192.0.2.{number}", 1)) for number in range(4)]
        for peer in peers:
            nursery.start_soon(junk, peer)
            await trio.testing.wait_all_tasks_blocked()
    first, *waiting = peers
    assert ends == [(number / 2, peer) for number, peer in enumerate([first, *reversed(waiting)])]


async def test_who_is_silent_after_the_handshake_goes_too(
    authority: Authority, context: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    port = Port(FEW, context)
    client = client_context(authority.issue("fra-1", "x"))
    async with trio.open_nursery() as nursery:
        stream = trio.SSLStream(port.connect(nursery), client, server_hostname=HOST)
        await stream.do_handshake()
        with contextlib.suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""
    assert trio.current_time() == FEW.first_byte_s
    assert port.kinds == [Refusal.HEADER_TIMEOUT]


async def test_what_a_refused_client_still_sends_is_read_and_dropped(
    context: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    port = Port(FEW, context)
    async with trio.open_nursery() as nursery:
        stream = port.connect(nursery)
        await stream.send_all(b"\x16\x03\x01\x00\x05hello")
        assert bytes(await stream.receive_some())[:2] == b"\x15\x03", "no TLS alert came"
        # On a socket an unread byte would become a reset, and could cost the client the alert.
        await stream.send_all(b"more of it")
        await stream.send_eof()
        assert await read_all(stream) == b""
    assert trio.current_time() == 0


async def test_who_does_not_take_the_alert_holds_nobody_up(
    context: ssl.SSLContext, autojump_clock: MockClock
) -> None:
    port = Port(FEW, context)
    async with trio.open_nursery() as nursery:
        stream = port.connect(nursery)
        await stream.send_all(b"junk that is no handshake")
        with trio.fail_after(2):
            await read_all(stream)
    assert port.kinds == [Refusal.HANDSHAKE_FAILED]


async def test_a_shutdown_closes_the_undecided_and_leaves_the_others(
    autojump_clock: MockClock,
) -> None:
    port = Port()
    async with trio.open_nursery() as nursery:
        silent, frames = port.connect(nursery), port.connect(nursery)
        await frames.send_all(FRAME[:1])
        await trio.testing.wait_all_tasks_blocked()
        port.shared.shutdown()
        assert await read_all(silent) == b""
        assert await read_all(port.connect(nursery)) == b""
        await frames.send_all(FRAME[1:])
        assert await read_all(frames) == FRAME
    assert port.refusals == []
    assert trio.current_time() == 0
