"""Who gets a place, who has to go, and how the server ends."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from dnslb.net.http_limits import Limits, Refusal
from dnslb.net.http_message import Request, Response
from dnslb.net.http_server import HttpServer
from dnslb.net.peer import Peer, UnixCredentials
from tests.net.visitors import GET, SMALL, GoodClient, House, assert_prompt, connect, read_all

STUCK = b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n"


def at(host: str) -> Peer:
    return Peer(address=(host, 50_000))


# ---------------------------------------------------------------------------------- the places


async def test_a_crowd_of_one_peer_takes_no_place_from_another(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        other = GoodClient(connect(house, nursery, at("192.0.2.7")))
        await assert_prompt(other)
        crowd = [connect(house, nursery, at("192.0.2.66")) for _ in range(100)]
        await wait_all_tasks_blocked()
        assert house.server.stats.open == 1 + SMALL.connections_per_peer_max
        assert house.kinds == [Refusal.EVICTED] * 90
        await assert_prompt(other)
        assert await read_all(crowd[0]) == b""  # the longest idle had to go
        newcomer = GoodClient(connect(house, nursery, at("192.0.2.8")))
        await assert_prompt(newcomer)
        house.server.shutdown()


async def test_when_all_is_full_whoever_holds_most_has_to_give(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        few = [GoodClient(connect(house, nursery, at(f"192.0.2.{n}"))) for n in range(12)]
        for client in few:
            await assert_prompt(client)
        for _ in range(8):
            connect(house, nursery, at("192.0.2.66"))
        await wait_all_tasks_blocked()
        assert house.server.stats.open == SMALL.connections_max
        newcomers = [GoodClient(connect(house, nursery, at(f"192.0.2.{n}"))) for n in (80, 81)]
        for client in newcomers + few:
            await assert_prompt(client)
        assert [str(peer) for _kind, peer, _ in house.refusals] == ["192.0.2.66:50000"] * 2
        house.server.shutdown()


async def test_requests_under_way_are_never_evicted(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        for _ in range(SMALL.connections_per_peer_max):
            await connect(house, nursery, at("192.0.2.66")).send_all(STUCK)
        await wait_all_tasks_blocked()
        refused = connect(house, nursery, at("192.0.2.66"))
        assert (await read_all(refused)).startswith(b"HTTP/1.1 503 ")
        assert house.kinds == [Refusal.PEER_CONNECTIONS]
        for n in range(SMALL.connections_max - SMALL.connections_per_peer_max):
            await connect(house, nursery, at(f"192.0.2.{n}")).send_all(STUCK)
        await wait_all_tasks_blocked()
        refused = connect(house, nursery, at("192.0.2.200"))
        assert (await read_all(refused)).startswith(b"HTTP/1.1 503 ")
        assert house.kinds[1:] == [Refusal.CONNECTIONS]
        nursery.cancel_scope.cancel()


async def test_users_of_this_machine_are_counted_each(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        for pid in range(SMALL.connections_per_peer_max + 3):
            connect(house, nursery, Peer(credentials=UnixCredentials(pid, 1000, 1000)))
        await wait_all_tasks_blocked()
        assert house.server.stats.open == SMALL.connections_per_peer_max
        await assert_prompt(
            GoodClient(connect(house, nursery, Peer(credentials=UnixCredentials(5, 0, 0))))
        )
        house.server.shutdown()


async def test_a_throttled_peer_is_told_when_to_come_back(autojump_clock: MockClock) -> None:
    asked: list[Peer] = []

    def throttle(peer: Peer) -> float:
        asked.append(peer)
        return 0.0 if len(asked) < 3 else 1.2

    async def handle(request: Request) -> Response:
        return Response(204)

    house = House()
    house.server = HttpServer(handle, limits=SMALL, on_error=house.errors.append, throttle=throttle)
    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery, at("192.0.2.1"))
        for _ in range(2):
            await stream.send_all(GET)
            assert await stream.receive_some() == (
                b"HTTP/1.1 204 No Content\r\ncontent-type: application/json\r\n\r\n"
            )
        await stream.send_all(GET)
        answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 2\r\n" in answer
        house.server.shutdown()
    assert asked == [at("192.0.2.1")] * 3


# ------------------------------------------------------------------------------------- the end


async def test_at_shutdown_the_idle_go_at_once(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        silent, kept = connect(house, nursery), connect(house, nursery)
        await assert_prompt(GoodClient(kept))
        await wait_all_tasks_blocked()
        house.server.shutdown()
        assert (await read_all(silent), await read_all(kept)) == (b"", b"")
    assert trio.current_time() == 0
    assert house.kinds == []


async def test_at_shutdown_a_request_under_way_is_answered(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery)
        slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        await stream.send_all(slow + slow)
        await wait_all_tasks_blocked()
        house.server.shutdown()
        answer = await read_all(stream)
    assert answer.count(b"HTTP/1.1 200 OK") == 1  # the second was not begun
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"slow\n")
    assert trio.current_time() == 3


async def test_at_shutdown_what_takes_longer_than_the_grace_is_cut(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery)
        await stream.send_all(STUCK)
        half = connect(house, nursery)
        await half.send_all(b"GET /fine HT")
        await wait_all_tasks_blocked()
        house.server.shutdown()
        house.server.shutdown()
        assert await read_all(stream) == b""
        assert await read_all(half) == b""
    assert trio.current_time() == SMALL.grace_s
    assert house.kinds == [Refusal.GRACE_ENDED] * 2


async def test_at_shutdown_streams_see_closing(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery)
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await wait_all_tasks_blocked()
        house.server.shutdown()
        assert (await read_all(stream)).endswith(b"data: bye\n\n\r\n0\r\n\r\n")
    assert trio.current_time() == 0


async def test_who_comes_after_the_shutdown_is_let_go(autojump_clock: MockClock) -> None:
    house = House()
    house.server.shutdown()
    async with trio.open_nursery() as nursery:
        assert await read_all(connect(house, nursery)) == b""
        assert await read_all(connect(house, nursery, received=GET)) == b""
    assert trio.current_time() == 0


class _Listener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out memory streams."""

    def __init__(self) -> None:
        self.closed = False
        self.give, self._take = trio.open_memory_channel[trio.abc.Stream](10)

    async def accept(self) -> trio.abc.Stream:
        return await self._take.receive()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


async def test_serves_its_listeners_until_the_shutdown(autojump_clock: MockClock) -> None:
    house, listeners = House(), [_Listener(), _Listener()]
    async with trio.open_nursery() as nursery:
        await nursery.start(house.server.serve, listeners)
        for listener in listeners:
            ours, theirs = trio.testing.memory_stream_pair()
            await listener.give.send(theirs)
            await assert_prompt(GoodClient(ours))
        ours, theirs = trio.testing.memory_stream_pair()
        await listeners[0].give.send(theirs)
        await ours.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(1)
        house.server.shutdown()
        assert (await read_all(ours)).endswith(b"slow\n")
    assert [listener.closed for listener in listeners] == [True, True]
    assert trio.current_time() == 3


async def test_cancelled_from_outside_it_ends_at_once(autojump_clock: MockClock) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        listener = _Listener()
        await nursery.start(house.server.serve, [listener])
        for request in (b"", STUCK, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"):
            ours, theirs = trio.testing.memory_stream_pair()
            await listener.give.send(theirs)
            await ours.send_all(request)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 0
    assert listener.closed
    assert (house.server.stats.open, house.cleaned) == (0, ["events"])


# ----------------------------------------------------------------------- interruption, anywhere

EXCHANGE = (
    b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\n\r\nGET /three HTTP/1.1\r\nHost: x\r\n\r\n"
)


async def _exchange_until(house: House, cut: int, then: str) -> None:
    """Sends ``cut`` bytes, one by one, lets the server see each; then something happens."""
    async with trio.open_nursery() as nursery:
        other = GoodClient(connect(house, nursery, at("192.0.2.7")))
        await assert_prompt(other)
        stream = connect(house, nursery, at("192.0.2.66"))
        for n in range(cut):
            await stream.send_all(EXCHANGE[n : n + 1])
            await wait_all_tasks_blocked()
        match then:
            case "closes":
                await stream.aclose()
            case "half-closes":
                await stream.send_eof()
            case "resets":
                stream.send_stream.close()
                stream.receive_stream.close()
            case "shutdown":
                house.server.shutdown()
            case "cancelled":
                nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        if then not in {"shutdown", "cancelled"}:
            await assert_prompt(other)
            house.server.shutdown()


@pytest.mark.parametrize("then", ["closes", "half-closes", "resets", "shutdown", "cancelled"])
async def test_interrupted_after_any_byte_nothing_stays_behind(
    then: str, autojump_clock: MockClock
) -> None:
    for cut in range(len(EXCHANGE) + 1):
        house = House()
        began_at = trio.current_time()
        await _exchange_until(house, cut, then)
        assert house.errors == []
        assert house.server.stats.open == 0
        assert house.server.stats.bodies_bytes == 0
        assert set(house.kinds) <= {Refusal.DISCONNECTED, Refusal.GRACE_ENDED}
        assert trio.current_time() - began_at <= SMALL.grace_s


async def test_interrupted_at_any_moment_of_an_answer(autojump_clock: MockClock) -> None:
    # The reader takes a piece at a time from a pair that buffers nothing, then leaves.
    for path in (b"/echo", b"/three", b"/flood", b"/events"):
        for pieces in range(4):
            house = House()
            async with trio.open_nursery() as nursery:
                ours, theirs = trio.testing.lockstep_stream_pair()
                nursery.start_soon(house.server.serve_stream, theirs)
                await ours.send_all(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                for _ in range(pieces):
                    with trio.move_on_after(1):
                        await ours.receive_some(8)
                await ours.aclose()
                await wait_all_tasks_blocked()
                assert house.server.stats.open == 0
            assert house.errors == []


async def test_a_fault_in_a_handlers_nursery_while_it_is_cut_off_is_counted(
    autojump_clock: MockClock,
) -> None:
    async def fail_late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("boom while ending")

    async def handle(request: Request) -> Response:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_late)
            nursery.start_soon(trio.sleep_forever)
        raise AssertionError("unreachable")

    house = House()
    house.server = HttpServer(handle, limits=SMALL, on_error=house.errors.append)
    async with trio.open_nursery() as nursery:
        stream = connect(house, nursery)
        await stream.send_all(GET)
        await wait_all_tasks_blocked()
        house.server.shutdown()
    assert len(house.errors) == 1
    assert house.server.stats.open == 0


@pytest.mark.parametrize("name", ["idle_s", "header_bytes_max", "connections_max", "grace_s"])
def test_limits_have_to_be_limits(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})
    with pytest.raises(ValueError, match=name):
        Limits(**{name: -1})


async def test_no_body_at_all_may_be_the_limit(autojump_clock: MockClock) -> None:
    house = House(Limits(body_bytes_max=0))
    async with trio.open_nursery() as nursery:
        client = GoodClient(connect(house, nursery))
        assert (await client.ask("/fine"))[0] == 200
        assert (await client.ask("/echo", b"x"))[0] == 413
        house.server.shutdown()
