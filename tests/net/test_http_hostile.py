"""Clients that mean harm: each gets its answer or its end, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dnslb.net.http_limits import Refusal
from dnslb.net.peer import Peer
from tests.net.visitors import SMALL, GoodClient, House, assert_prompt, connect, read_all

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n\r\n"


@dataclass(frozen=True)
class Attack:
    """Pieces sent with a pause after each, until the server has had enough."""

    name: str
    pieces: Callable[[], Iterator[bytes]]
    answer: bytes  # how it begins; empty: the connection just ends
    kind: Refusal | None
    pause_s: float = 0.0
    over_at: float = 0.0  # when the server has closed the connection


def once(*pieces: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(pieces)


def drip(first: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: chain([first], repeat(piece))


# A client that goes on sending keeps us listening for `linger_s` after the refusal, no longer.
ATTACKS = [
    Attack("silent", once(), b"", Refusal.HEADER_TIMEOUT, over_at=10),
    Attack(
        "header drip",
        drip(b"GET /fine HTTP/1.1\r\n", b"X-a: b\r\n"),
        b"HTTP/1.1 408 ",
        Refusal.HEADER_TIMEOUT,
        pause_s=1,
        over_at=10 + 2,
    ),
    Attack(
        "header drip, byte by byte",
        drip(b"G", b"E"),
        b"HTTP/1.1 408 ",
        Refusal.HEADER_TIMEOUT,
        pause_s=1,
        over_at=10 + 2,
    ),
    Attack(
        "body drip",
        drip(POST + b"Content-Length: 1000\r\n\r\n", b"x"),
        b"HTTP/1.1 408 ",
        Refusal.BODY_TIMEOUT,
        pause_s=1,
        over_at=30 + 2,
    ),
    Attack(
        "chunked body drip",
        drip(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        b"HTTP/1.1 408 ",
        Refusal.BODY_TIMEOUT,
        pause_s=1,
        over_at=30 + 2,
    ),
    Attack(
        "body that never comes",
        once(POST + b"Content-Length: 1000\r\n\r\n"),
        b"HTTP/1.1 408 ",
        Refusal.BODY_TIMEOUT,
        over_at=30 + 2,
    ),
    Attack(
        "oversized length",
        once(POST + b"Content-Length: 100000000\r\n\r\n"),
        b"HTTP/1.1 413 ",
        Refusal.BODY_SIZE,
    ),
    Attack(
        "absurd length",
        once(POST + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n"),
        b"HTTP/1.1 413 ",
        Refusal.BODY_SIZE,
    ),
    Attack(
        "endless chunked body",
        drip(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"z" * 4096 + b"\r\n"),
        b"HTTP/1.1 413 ",
        Refusal.BODY_SIZE,
    ),
    Attack(
        "endless tiny chunks",
        drip(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n" * 1000),
        b"HTTP/1.1 413 ",
        Refusal.BODY_SIZE,
    ),
    Attack(
        "endless chunk extension",
        drip(POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        b"HTTP/1.1 431 ",
        Refusal.HEADER_SIZE,
    ),
    Attack(
        "endless trailers",
        drip(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 100),
        b"HTTP/1.1 431 ",
        Refusal.HEADER_SIZE,
    ),
    Attack(
        "huge header",
        drip(b"GET /fine HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 4096),
        b"HTTP/1.1 431 ",
        Refusal.HEADER_SIZE,
    ),
    Attack(
        "huge header in one piece",
        once(b"GET /fine HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 4096 + b"\r\n\r\n"),
        b"HTTP/1.1 431 ",
        Refusal.HEADER_SIZE,
    ),
    Attack(
        "huge target in one piece",
        once(b"GET /" + b"a" * 4096 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"HTTP/1.1 431 ",
        Refusal.HEADER_SIZE,
    ),
    Attack("garbage", once(b"\x00\x01\x02 hello\r\n\r\n"), b"HTTP/1.1 400 ", Refusal.MALFORMED),
    Attack(
        "TLS to a plain port",
        once(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "length and chunked",
        once(POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "chunked in HTTP/1.0",
        once(b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "unknown coding",
        once(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        b"HTTP/1.1 501 ",
        Refusal.UNSUPPORTED,
    ),
    Attack(
        "two lengths",
        once(POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "negative length",
        once(POST + b"Content-Length: -1\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "signed length",
        once(POST + b"Content-Length: +5\r\n\r\nhello"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "bad chunk length",
        once(POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "space before the colon",
        once(POST + b"Content-Length : 5\r\n\r\nhello"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack("no host", once(b"GET /fine HTTP/1.1\r\n\r\n"), b"HTTP/1.1 400 ", Refusal.MALFORMED),
    Attack(
        "two hosts",
        once(b"GET /fine HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "non-ascii target",
        once(b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "target that is not UTF-8",
        once(b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "target that is no path",
        once(b"GET fine HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"HTTP/1.1 400 ",
        Refusal.MALFORMED,
    ),
    Attack(
        "unknown expectation",
        once(POST + b"Expect: a miracle\r\nContent-Length: 1\r\n\r\n"),
        b"HTTP/1.1 417 ",
        Refusal.UNSUPPORTED,
    ),
    Attack(
        "proxying",
        once(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"),
        b"HTTP/1.1 501 ",
        Refusal.UNSUPPORTED,
    ),
    Attack(
        "HTTP/2 by prior knowledge",
        once(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        b"HTTP/1.1 505 ",
        Refusal.UNSUPPORTED,
    ),
    Attack(
        "websocket upgrade",
        once(
            b"GET /fine HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        b"HTTP/1.1 200 ",  # ignoring an upgrade is an answer too
        None,
    ),
    Attack(
        "h2c upgrade",
        once(
            b"GET /fine HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        ),
        b"HTTP/1.1 200 ",
        None,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_gets_its_answer_and_disturbs_nobody(
    attack: Attack, autojump_clock: MockClock
) -> None:
    house = House()
    answer = bytearray()
    sent = 0
    async with trio.open_nursery() as nursery:
        other = GoodClient(connect(house, nursery, Peer(address=("192.0.2.7", 1))))
        hostile = connect(house, nursery, Peer(address=("192.0.2.66", 1)))

        async def read(*, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            answer.extend(await read_all(hostile))

        await nursery.start(read)
        for piece in attack.pieces():
            try:
                await hostile.send_all(piece)
            except trio.BrokenResourceError:
                break
            sent += len(piece)
            await trio.testing.wait_all_tasks_blocked()
            await assert_prompt(other)
            await trio.sleep(attack.pause_s)
        else:
            if attack.over_at:
                await trio.sleep_until(attack.over_at - 0.5)
                await assert_prompt(other)
            elif attack.kind is not None:
                await hostile.send_eof()  # a client that goes when it is told to
        await trio.testing.wait_all_tasks_blocked()
        await assert_prompt(other)
        await other.stream.aclose()
        if attack.over_at:
            await trio.sleep_until(attack.over_at + attack.pause_s)
        await trio.testing.wait_all_tasks_blocked()
        assert house.server.stats.open == 0
    assert trio.current_time() <= attack.over_at + attack.pause_s
    assert bytes(answer).startswith(attack.answer)
    assert bool(answer) == bool(attack.answer)
    assert house.kinds == ([] if attack.kind is None else [attack.kind])
    assert house.errors == []
    assert house.server.stats.bodies_bytes == 0
    assert all(request.path == "/fine" for request in house.requests)
    assert sent <= SMALL.linger_bytes_max + SMALL.body_bytes_max + 200_000


@pytest.mark.parametrize("path", ["/flood", "/events"])
async def test_a_stalled_reader_ends_at_the_write_limit_or_with_the_grace(
    path: str, autojump_clock: MockClock
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        other = GoodClient(connect(house, nursery, Peer(address=("192.0.2.7", 1))))
        await assert_prompt(other)
        # Nothing is sent on this pair that is not being read at the same moment.
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(house.server.serve_stream, theirs)
        await ours.send_all(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        await trio.sleep(SMALL.send_s - 1)
        await assert_prompt(other)
        assert house.server.stats.open == 2
        await trio.sleep(2)
        assert house.server.stats.open == 1
        assert house.kinds == [Refusal.SEND_TIMEOUT]
        await other.stream.aclose()


@pytest.mark.parametrize("path", ["/flood", "/events"])
async def test_a_stalled_reader_does_not_hold_up_the_shutdown(
    path: str, autojump_clock: MockClock
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(house.server.serve_stream, theirs)
        await ours.send_all(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        await ours.receive_some()
        await trio.testing.wait_all_tasks_blocked()
        house.server.shutdown()
    assert trio.current_time() == SMALL.grace_s
    assert house.cleaned == [path[1:]]
    assert house.kinds == [Refusal.GRACE_ENDED]


async def test_a_buffer_full_of_tiny_chunks_does_not_hold_up_the_loop(
    autojump_clock: MockClock,
) -> None:
    house = House()
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery)
        chunks = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
        await stream.send_all(POST + b"Transfer-Encoding: chunked\r\n" + CLOSE + chunks)
        nursery.start_soon(take_turns)
        assert (await read_all(stream)).endswith(b"x" * 5000)
        nursery.cancel_scope.cancel()
    assert turns >= 5000
