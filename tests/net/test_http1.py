"""One connection: what is asked and what is answered, without anybody misbehaving."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from dnslb.net.http_limits import Refusal
from dnslb.net.peer import Peer
from tests.net.visitors import (
    GET,
    GET_CLOSE,
    GoodClient,
    House,
    ask,
    assert_prompt,
    connect,
    read_all,
)


@pytest.fixture
def house() -> House:
    return House()


async def test_an_answer_has_a_length_and_keeps_the_connection(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(GET)
    assert await stream.receive_some() == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nfine\n"
    )
    await stream.send_all(GET_CLOSE)
    assert (await read_all(stream)).endswith(b"\r\nConnection: close\r\n\r\nfine\n")
    assert house.server.stats.requests == 2


async def test_the_handler_sees_the_request(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    peer = Peer(address=("192.0.2.1", 5))
    await ask(
        house,
        nursery,
        b"POST /echo?a=1&b=%20&a=2 HTTP/1.1\r\nHost: x\r\nX-Agent-Name: a\r\nx-agent-name: b\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
        peer,
    )
    (request,) = house.requests
    assert (request.method, request.path, request.body) == ("POST", "/echo", b"hi")
    assert request.parameters == {"a": "2", "b": " "}
    assert request.headers["x-agent-name"] == "a, b"
    assert request.peer == peer


async def test_pipelined_requests_are_answered_in_order(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    echo = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    answer = await ask(house, nursery, echo + b"one" + echo + b"two" + GET_CLOSE)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"one") < answer.index(b"two") < answer.index(b"fine")
    assert house.kinds == []


async def test_http_1_0_closes_after_the_answer(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answer = await ask(house, nursery, b"GET /fine HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\nfine\n")


async def test_a_stream_to_http_1_0_is_not_chunked(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answer = await ask(house, nursery, b"GET /three HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\none two three")
    assert b"chunked" not in answer


async def test_a_stream_is_chunked_and_ends(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answer = await ask(house, nursery, b"GET /three HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in answer
    assert answer.endswith(b"\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n")


@pytest.mark.parametrize("path", [b"/fine", b"/three", b"/events", b"/raises", b"/nowhere"])
async def test_head_has_no_body(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock, path: bytes
) -> None:
    answer = await ask(
        house, nursery, b"HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path
    )
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
    if path == b"/fine":
        assert b"content-length: 5" in answer


async def test_expect_100_continue(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
        b"Content-Length: 2\r\n\r\n"
    )
    assert await stream.receive_some() == b"HTTP/1.1 100 \r\n\r\n"
    await stream.send_all(b"hi")
    assert (await read_all(stream)).endswith(b"\r\n\r\nhi")


async def test_expect_100_continue_is_not_answered_when_too_much_is_announced(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n"
    )
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")


async def test_bytes_read_before_are_part_of_the_request(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery, received=GET_CLOSE[:7])
    await stream.send_all(GET_CLOSE[7:])
    assert (await read_all(stream)).endswith(b"fine\n")
    whole = connect(house, nursery, received=GET_CLOSE)
    assert (await read_all(whole)).endswith(b"fine\n")


async def test_a_handlers_refusal_keeps_the_connection(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = GoodClient(connect(house, nursery))
    assert await client.ask("/forbidden") == (403, b"Not for you.\n")
    await assert_prompt(client)


async def test_a_handler_that_raises_costs_one_answer(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = GoodClient(connect(house, nursery))
    status, text = await client.ask("/raises")
    assert status == 500
    assert b"boom" not in text
    await assert_prompt(client)
    (error,) = house.errors
    assert str(error) == "boom in a handler"
    assert error.__notes__ == ["while answering GET /raises for an unnamed peer"]
    assert house.server.stats.refused[Refusal.HANDLER_FAILED] == 1


async def test_a_handler_that_takes_too_long_is_given_up(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = GoodClient(connect(house, nursery))
    status, text = await client.ask("/stuck")
    assert (status, trio.current_time()) == (503, house.limits.handler_s)
    assert b"may or may not" in text
    assert house.kinds == [Refusal.HANDLER_TIMEOUT]
    await assert_prompt(client)


async def test_a_stream_that_raises_is_cut_and_nothing_else(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    other = GoodClient(connect(house, nursery))
    answer = await ask(house, nursery, b"GET /raises-in-stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n3\r\none\r\n")  # no final chunk: the client sees the cut
    assert [str(error) for error in house.errors] == ["boom in a stream"]
    assert house.kinds == []
    assert house.server.stats.refused[Refusal.STREAM_FAILED] == 1
    await assert_prompt(other)


async def test_a_quiet_stream_has_heartbeats(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await stream.receive_some()
    assert b"content-type: text/event-stream\r\ncache-control: no-store" in head
    assert await stream.receive_some() == b"d\r\ndata: first\n\n\r\n"
    for beat in (1, 2, 3):
        assert await stream.receive_some() == b"3\r\n:\n\n\r\n"
        assert trio.current_time() == 5 * beat
    await stream.aclose()


async def test_a_streams_reader_that_leaves_frees_it_at_once(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.receive_some()
    await trio.testing.wait_all_tasks_blocked()
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert house.cleaned == ["events"]
    assert house.server.stats.open == 0
    assert (trio.current_time(), house.errors, house.kinds) == (0, [], [])


async def test_an_idle_connection_ends_without_a_word(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(GET)
    await stream.receive_some()
    assert await read_all(stream) == b""
    assert trio.current_time() == house.limits.idle_s
    assert house.kinds == []


async def test_a_client_may_close_its_half_before_the_answer(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.send_eof()
    assert (await read_all(stream)).endswith(b"slow\n")


async def test_bodies_are_counted_while_they_are_held(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stream = connect(house, nursery)
    await stream.send_all(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    await stream.send_all(b"12345")
    await trio.testing.wait_all_tasks_blocked()
    assert house.server.stats.bodies_bytes == 5
    await stream.send_all(b"6789")
    await trio.testing.wait_all_tasks_blocked()
    assert house.server.stats.bodies_bytes == 9
    await stream.receive_some()
    await trio.testing.wait_all_tasks_blocked()
    assert house.server.stats.bodies_bytes == 0


async def test_all_bodies_together_have_a_limit(
    house: House, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    head = b"POST /stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"
    for _ in range(5):
        await connect(house, nursery, Peer(address=("192.0.2.1", 1))).send_all(head + b"x" * 10_000)
    await trio.testing.wait_all_tasks_blocked()
    answer = await ask(house, nursery, head + b"x")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer
    assert house.kinds[0] is Refusal.BODIES_SIZE
    await assert_prompt(GoodClient(connect(house, nursery)))
    nursery.cancel_scope.cancel()
