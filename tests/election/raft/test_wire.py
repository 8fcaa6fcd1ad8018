"""Streams between members, in memory and by a mock clock: greeting, one stream, bounds, ends."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from dnslb.election.raft import wire as wire_module
from dnslb.election.raft.frames import (
    HELLO_BYTES_MAX,
    MAGIC,
    Hello,
    Identity,
    Refusal,
    frame,
    greeting_frame,
    greeting_from_bytes,
)
from dnslb.election.raft.log import COMMAND_BYTES_MAX, Entry
from dnslb.election.raft.messages import (
    MESSAGE_BYTES_MAX,
    Append,
    Ask,
    Message,
    Outdated,
    to_bytes,
)
from dnslb.election.raft.wire import (
    GREETING_S,
    GREETINGS_EACH_MAX,
    QUEUE_FRAMES_MAX,
    STRANGERS_MAX,
    Wire,
)
from tests.election.raft.network import SETTLED_S, Driver, identity, network, raw, read_frame
from tests.election.raft.stage import configuration

# ------------------------------------------------------------------------------------- together


async def test_two_members_greet_and_speak(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        a, b = await net.add("a"), await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        assert net.drivers["a"].told == [("connected", "b")]
        assert net.drivers["b"].told == [("connected", "a")]
        a.send("b", Outdated(3))
        b.send("a", Ask(4, 5, 6))
        await trio.sleep(SETTLED_S)
        assert net.drivers["b"].told[-1] == ("a", Outdated(3))
        assert net.drivers["a"].told[-1] == ("b", Ask(4, 5, 6))
        assert a.peers == {"b"}


async def test_the_greater_id_dials_and_the_other_only_where_that_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        a, b = await net.add("a"), await net.add("b")
        a.set_peers({"b": "b"})
        b.set_peers({"a": "a"})
        await trio.sleep(2)
        assert net.dialled == [("b", "a")]
    async with network() as net:
        a, _ = await net.add("a"), await net.add("b")
        a.set_peers({"b": "b"})
        await trio.sleep(2)
        assert net.dialled == [("a", "b")]


async def test_a_stream_that_ends_is_dialled_again(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        await net.streams[0].aclose()
        await trio.sleep(0.5)
        told = [("connected", "b"), ("disconnected", "b"), ("connected", "b")]
        assert net.drivers["a"].told == told


async def test_who_is_no_peer_any_more_is_not_dialled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        b.set_peers({})
        await trio.sleep(2)
        assert net.drivers["b"].told == [("connected", "a"), ("disconnected", "a")]
        assert len(net.dialled) == 1


async def test_attempts_grow_rarer_and_go_on(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        b = await net.add("b")
        b.set_peers({"a": "nowhere"})
        await trio.sleep(60)
        assert 55 < len(net.dialled) < 130
        assert (
            net.drivers["b"].sentences()[0] == "a at nowhere cannot be reached: Connection refused."
        )


# ---------------------------------------------------------------------------------- one stream


async def test_the_newest_stream_wins_and_the_older_is_not_heard_any_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        a = await net.add("a")
        older = await raw(a, net.nursery, "b")
        await read_frame(older)
        newer = await raw(a, net.nursery, "b")
        await read_frame(newer)
        await trio.sleep(SETTLED_S)
        with pytest.raises(trio.BrokenResourceError):
            await older.send_all(frame(to_bytes(Outdated(1))))
        await newer.send_all(frame(to_bytes(Outdated(2))))
        await trio.sleep(SETTLED_S)
        assert net.drivers["a"].told == [
            ("connected", "b"),
            ("disconnected", "b"),
            ("connected", "b"),
            ("b", Outdated(2)),
        ]


async def test_bytes_that_wait_on_an_older_stream_are_dropped(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older stream ends in the middle of what it just delivered."""
    async with network() as net:
        a = await net.add("a")
        driver = net.drivers["a"]
        older = await raw(a, net.nursery, "b")
        await read_frame(older)
        plain = driver.receive

        def receive(peer: str, message: Message) -> None:
            plain(peer, message)
            a.hang_up(peer)

        monkeypatch.setattr(driver, "receive", receive)
        await older.send_all(frame(to_bytes(Outdated(1))) + frame(to_bytes(Outdated(2))))
        await trio.sleep(SETTLED_S)
        assert driver.told == [("connected", "b"), ("b", Outdated(1)), ("disconnected", "b")]


# ------------------------------------------------------------------------------------- bounds


async def test_a_full_queue_ends_the_stream(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        a = await net.add("a")
        await read_frame(await raw(a, net.nursery, "b"))
        await trio.sleep(SETTLED_S)
        for _ in range(QUEUE_FRAMES_MAX):
            a.send("b", Outdated(1))
        assert a.peers == {"b"}
        a.send("b", Outdated(1))
        await trio.sleep(SETTLED_S)
        assert a.peers == frozenset()
        assert net.drivers["a"].told[-1] == ("disconnected", "b")


async def test_a_queue_is_bounded_in_bytes_too(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "QUEUE_BYTES_MAX", 100)
    async with network() as net:
        a = await net.add("a")
        await read_frame(await raw(a, net.nursery, "b"))
        for _ in range(20):
            a.send("b", Outdated(1))
        await trio.sleep(SETTLED_S)
        assert a.peers == frozenset()


async def test_after_the_greeting_messages_may_be_large(
    autojump_clock: trio.testing.MockClock,
) -> None:
    large = Append(1, 1, 0.4, 1, 1, 1, 1, (Entry(bytes(COMMAND_BYTES_MAX), 2, 1),))
    async with network() as net:
        a, b = await net.add("a"), await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        b.send("a", large)
        a.send("b", large)
        await trio.sleep(SETTLED_S)
        assert net.drivers["a"].told[-1] == ("b", large)
        assert net.drivers["b"].told[-1] == ("a", large)


async def test_messages_to_nobody_are_gone(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        a = await net.add("a")
        a.send("b", Outdated(1))
        stream = await raw(a, net.nursery, "b")
        await read_frame(stream)
        a.send("b", Outdated(2))
        assert await read_frame(stream) == to_bytes(Outdated(2))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        MAGIC[:-1] + b"\x02" + greeting_frame(Hello("b", "a", "c1", "ab", 1)),
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + (HELLO_BYTES_MAX + 1).to_bytes(4, "big"),
        MAGIC + frame(b"\x80"),
        MAGIC + greeting_frame(Refusal("no")),
        b"",
        MAGIC[:3],
    ],
)
async def test_what_is_no_greeting_ends_the_stream(
    data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with network() as net:
        a = await net.add("a")
        ours, theirs = trio.testing.memory_stream_pair()
        net.nursery.start_soon(a.accept, theirs)
        await ours.send_all(data)
        with trio.fail_after(GREETING_S + 1):
            assert await ours.receive_some() == b""
        assert net.drivers["a"].told == []


async def test_bytes_that_were_read_already_are_the_begin(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        a = await net.add("a")
        greeting = MAGIC + greeting_frame(Hello("b", "a", "c1", "ab", 1))
        for cut in (1, len(MAGIC), len(MAGIC) + 3, len(greeting)):
            ours, theirs = trio.testing.memory_stream_pair()
            net.nursery.start_soon(a.accept, theirs, greeting[:cut])
            if greeting[cut:]:
                await ours.send_all(greeting[cut:])
            assert greeting_from_bytes(await read_frame(ours)) == identity("a").hello("b")


async def test_greetings_under_way_are_bounded_and_who_is_new_gets_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        a = await net.add("a")
        silent = []
        for _ in range(GREETINGS_EACH_MAX):
            ours, theirs = trio.testing.memory_stream_pair()
            net.nursery.start_soon(a.accept, theirs)
            silent.append(ours)
            await trio.testing.wait_all_tasks_blocked()
        await read_frame(await raw(a, net.nursery, "b"))
        assert await silent[0].receive_some() == b""
        for stream in silent[1:]:
            await stream.send_all(MAGIC + greeting_frame(Hello("c", "a", "c1", "ab", 1)))
            await read_frame(stream)
        assert trio.current_time() < GREETING_S


async def test_strangers_with_a_stream_are_bounded_and_the_newest_stay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whoever waits to be added does not know yet who will add it."""
    async with network() as net:
        a = await net.add("a")
        net.drivers["a"].us = Identity("a", "ab", "", 1, configuration("bc"))
        for one in ("b", "c", *(f"x{number}" for number in range(2 * STRANGERS_MAX))):
            await read_frame(await raw(a, net.nursery, one))
            await trio.testing.wait_all_tasks_blocked()
        newest = {f"x{number}" for number in range(STRANGERS_MAX, 2 * STRANGERS_MAX)}
        assert a.peers == {"b", "c"} | newest


@pytest.mark.parametrize(
    "data", [frame(b"\x80"), (MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"), frame(b"x" * 5000)]
)
async def test_what_is_no_message_ends_the_stream_and_is_told(
    data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with network() as net:
        a = await net.add("a")
        stream = await raw(a, net.nursery, "b")
        await read_frame(stream)
        await stream.send_all(data)
        assert await stream.receive_some() == b""
        [sentence] = net.drivers["a"].sentences()
        assert sentence.startswith("b does not speak as a member")
        assert net.drivers["a"].told[-1] == ("disconnected", "b")


# ---------------------------------------------------------------------------------------- TCP


async def test_members_meet_over_real_sockets() -> None:
    async with trio.open_nursery() as nursery:
        a = Wire(driver_a := Driver(identity("a")), luck=random.Random(1))
        b = Wire(Driver(identity("b")), luck=random.Random(1))
        await nursery.start(a.run)
        await nursery.start(b.run)
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, a.accept, [listener])
        port = listener.socket.getsockname()[1]
        b.set_peers({"a": f"127.0.0.1:{port}"})
        with trio.fail_after(10):
            while not b.peers or not a.peers:
                await trio.testing.wait_all_tasks_blocked()
            b.send("a", Ask(1, 2, 3))
            while ("b", Ask(1, 2, 3)) not in driver_a.told:
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
