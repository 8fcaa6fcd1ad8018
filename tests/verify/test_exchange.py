"""One question over real sockets, and whatever may come back."""

from __future__ import annotations

import errno

import dns.message
import pytest
import trio

from dnslb.verify import exchange
from dnslb.verify.answer import Answer, Records, Silence, question
from dnslb.verify.exchange import SERVER_SOCKETS_MAX, Exchange, Server
from tests.verify.hostile import Hostile, good

RECORDS = Records(("192.0.2.1",), 60)


async def ask(server: Server, limit_s: float = 5.0) -> Answer:
    return await Exchange().ask(server, question("www.example.org", "A"), limit_s)


def other_question(wire: bytes) -> bytes:
    query = dns.message.make_query("mail.example.org", "A", id=int.from_bytes(wire[:2], "big"))
    return good(query.to_wire(), record="60 IN A 192.0.2.66")


def other_id(wire: bytes) -> bytes:
    reply = good(wire, record="60 IN A 192.0.2.66")
    return bytes([reply[0] ^ 1]) + reply[1:]


def not_a_response(wire: bytes) -> bytes:
    return good(wire, flags="AA", record="60 IN A 192.0.2.66")


async def test_an_answer_arrives(nursery: trio.Nursery) -> None:
    server = await Hostile(lambda wire: [good(wire)]).start(nursery)
    assert await ask(server) == RECORDS


async def test_only_a_response_to_our_question_counts(nursery: trio.Nursery) -> None:
    """What a blind attacker could send before the server answers."""
    forged = (other_question, other_id, not_a_response, lambda _: b"", lambda wire: wire[:7])
    server = await Hostile(lambda wire: [*(f(wire) for f in forged), good(wire)]).start(nursery)
    assert await ask(server) == RECORDS


async def test_each_question_has_a_port_and_an_id_of_its_own(nursery: trio.Nursery) -> None:
    hostile = Hostile(lambda wire: [good(wire)])
    server = await hostile.start(nursery)
    for _ in range(12):
        await ask(server)
    assert len(set(hostile.sources)) > 8
    assert len(set(hostile.ids)) > 8


async def test_what_was_cut_off_is_asked_for_by_tcp(nursery: trio.Nursery) -> None:
    cut = Hostile(lambda wire: [good(wire, "QR AA TC", "")], lambda wire: [good(wire)])
    assert await ask(await cut.start(nursery)) == RECORDS


async def test_by_tcp_only_our_question_counts_too(nursery: trio.Nursery) -> None:
    cut = Hostile(lambda wire: [good(wire, "QR AA TC", "")], lambda wire: [other_id(wire)])
    assert await ask(await cut.start(nursery)) == Silence("answers by TCP, but not this question")


async def test_a_connection_that_breaks_off_is_silence(nursery: trio.Nursery) -> None:
    cut = Hostile(lambda wire: [good(wire, "QR AA TC", "")], lambda _: [])
    assert await ask(await cut.start(nursery)) == Silence("breaks the connection off")


@pytest.mark.parametrize("by_tcp", [False, True])
async def test_silence_ends_in_time(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, by_tcp: bool
) -> None:
    replies = (lambda wire: [good(wire, "QR AA TC", "")]) if by_tcp else (lambda _: [])
    server = await Hostile(replies, hangs=True).start(nursery)
    assert await ask(server, 0.05) == Silence("does not answer within 0.05 s")


async def test_a_closed_port_is_noticed_at_once(nursery: trio.Nursery) -> None:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))
        port = socket.getsockname()[1]
    assert await ask(Server("127.0.0.1", port)) == Silence("does not answer: connection refused")


async def test_a_way_that_does_not_exist_is_no_fault_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_way(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(exchange, "_exchange", no_way)
    found = await ask(Server("2001:db8::53"))
    assert found == Silence("cannot be reached from here: network is unreachable", True)


async def test_few_questions_are_open_at_one_server_at_a_time(nursery: trio.Nursery) -> None:
    open_now, most = 0, 0
    gate = trio.Event()

    async def slow(*_: object) -> Silence:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await gate.wait()
        open_now -= 1
        return Silence("done")

    shared = Exchange()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "_exchange", slow)
        async with trio.open_nursery() as askers:
            for port in (53, 54):
                for _ in range(2 * SERVER_SOCKETS_MAX):
                    query = question("www.example.org", "A")
                    askers.start_soon(shared.ask, Server("192.0.2.1", port), query, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
    assert most == 2 * SERVER_SOCKETS_MAX


def test_servers_are_named_as_people_name_them() -> None:
    assert str(Server("192.0.2.53", 53, "ns1.example.org")) == "ns1.example.org (192.0.2.53)"
    assert str(Server("192.0.2.53", 5353)) == "192.0.2.53:5353"
    assert str(Server("2001:db8::53", 5353, "ns1")) == "ns1 ([2001:db8::53]:5353)"
    assert str(Server("2001:db8::53")) == "2001:db8::53"
