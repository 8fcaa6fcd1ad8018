"""Connections that are kept, end, hang and lie: what is asked again, and what never is."""

from __future__ import annotations

from functools import partial

import dns.rcode
import pytest
import trio
import trio.testing

from dnslb.errors import OutcomeUnknown, ProviderRefusal, ProviderTemporary
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import (
    ANSWER_S_MAX,
    CONNECT_S_MAX,
    IDLE_S_MAX,
    UPDATE_S_MAX,
    ServerLink,
)
from dnslb.providers.rfc2136_wire import Update, query
from tests.providers.rfc2136_peer import (
    HOST,
    PORT,
    Behave,
    Peer,
    answer,
    answer_and_close,
    answer_in_pieces,
    answer_twice,
    close,
    keep_silent,
    response,
    say,
)
from tests.system.named import KEY, NamedZone, StartNamed, free_port

ZONE = "example.org"
ASK = partial(query, ZONE, "SOA")
UPDATE = Update(ZONE).to_wire
OTHER = TsigKey(KEY.name, KEY.algorithm, b"another secret, of anybody at all")


@pytest.fixture
def peer(mock_time: None, nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def test_one_connection_serves_one_after_the_other(peer: Peer) -> None:
    link = peer.link()
    for _ in range(5):
        assert (await link.ask(ASK)).rcode() == dns.rcode.NOERROR
    assert (peer.connects, len(peer.seen), link.idle) == (1, 5, 1)
    await link.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert (peer.open, link.idle) == (0, 0)


async def test_an_answer_may_come_in_pieces(peer: Peer) -> None:
    peer.behave = answer_in_pieces
    link = peer.link()
    await link.ask(ASK)
    await link.ask(ASK)
    assert peer.connects == 1
    await link.aclose()


async def test_what_the_server_closed_meanwhile_is_asked_again_elsewhere(peer: Peer) -> None:
    peer.behave = answer_and_close
    link = peer.link()
    await link.ask(ASK)
    await link.ask(ASK)
    assert (peer.connects, len(peer.seen)) == (2, 2)
    await link.aclose()


async def test_what_ends_on_a_new_connection_is_not_asked_for_ever(peer: Peer) -> None:
    peer.behave = close
    link = peer.link()
    with pytest.raises(ProviderTemporary, match="gave no answer: it closed the connection"):
        await link.ask(ASK)
    assert (peer.connects, link.idle) == (1, 0)


async def test_a_connection_that_rested_too_long_is_not_used(peer: Peer) -> None:
    link = peer.link()
    await link.ask(ASK)
    await trio.sleep(IDLE_S_MAX - 1)
    await link.ask(ASK)
    assert peer.connects == 1
    await trio.sleep(IDLE_S_MAX + 1)
    await link.ask(ASK)
    assert peer.connects == 2
    await trio.testing.wait_all_tasks_blocked()
    assert peer.open == 1
    await link.aclose()


@pytest.mark.parametrize("worn", [False, True])
async def test_an_update_is_never_sent_twice(peer: Peer, worn: bool) -> None:
    link = peer.link()
    if worn:
        await link.ask(ASK)
    peer.behave = close
    async with link.visit() as visit:
        with pytest.raises(OutcomeUnknown, match="no answer came"):
            await visit.send(link.sign(UPDATE))
    assert (peer.updates, peer.connects, link.idle) == (1, 1, 0)


async def test_an_update_without_an_answer_is_unknown_after_its_time(peer: Peer) -> None:
    peer.behave = keep_silent
    link = peer.link()
    began = trio.current_time()
    async with link.visit() as visit:
        with pytest.raises(OutcomeUnknown, match=r"within 10 s.*has to be read again"):
            await visit.send(link.sign(UPDATE))
    assert trio.current_time() - began == pytest.approx(UPDATE_S_MAX)
    assert (peer.updates, link.idle) == (1, 0)


async def test_a_question_without_an_answer_ends_in_time(peer: Peer) -> None:
    peer.behave = keep_silent
    link = peer.link()
    began = trio.current_time()
    with pytest.raises(ProviderTemporary, match="nothing came within 5 s"):
        await link.ask(ASK)
    assert trio.current_time() - began == pytest.approx(ANSWER_S_MAX)
    assert link.idle == 0


@pytest.mark.parametrize("method", ["ask", "send"])
async def test_what_was_cancelled_in_the_middle_leaves_no_half_used_connection(
    peer: Peer, method: str
) -> None:
    link = peer.link()
    await link.ask(ASK)
    peer.behave = keep_silent
    with trio.move_on_after(1) as scope:
        async with link.visit() as visit:
            if method == "ask":
                await visit.ask(ASK)
            else:
                await visit.send(link.sign(UPDATE))
    assert scope.cancelled_caught
    assert link.idle == 0
    peer.behave = answer
    await link.ask(ASK)
    assert peer.connects == 2
    await link.aclose()


async def test_what_is_left_over_is_not_taken_for_the_next_answer(peer: Peer) -> None:
    peer.behave = answer_twice
    link = peer.link()
    for _ in range(3):
        await link.ask(ASK)
    assert (peer.connects, link.idle) == (3, 0)


LIES: list[Behave] = [
    say(id_change=1),
    say(flags=0),
]


@pytest.mark.parametrize("behave", LIES, ids=["another id", "no response"])
async def test_what_may_be_anybodys_answer_is_dropped(peer: Peer, behave: Behave) -> None:
    peer.behave = behave
    link = peer.link()
    with pytest.raises(ProviderTemporary, match="it answers something else"):
        await link.ask(ASK)
    async with link.visit() as visit:
        with pytest.raises(OutcomeUnknown, match="it answers something else"):
            await visit.send(link.sign(UPDATE))
    assert (link.idle, peer.updates) == (0, 1)


async def raw(data: bytes, peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
    await stream.send_all(len(data).to_bytes(2, "big") + data)


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 12, b"\xff" * 300])
async def test_garbage_is_no_answer(peer: Peer, data: bytes) -> None:
    peer.behave = partial(raw, data)
    link = peer.link()
    with pytest.raises(ProviderTemporary, match="was dropped"):
        await link.ask(ASK)
    async with link.visit() as visit:
        with pytest.raises(OutcomeUnknown):
            await visit.send(link.sign(UPDATE))


async def unsigned(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
    await stream.send_all(response(wire, rcode=dns.rcode.REFUSED))


async def signed_for_another_request(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
    await stream.send_all(response(peer.seen[0], KEY, id_change=wire_id(wire, peer.seen[0])))


def wire_id(wire: bytes, other: bytes) -> int:
    return int.from_bytes(wire[:2], "big") - int.from_bytes(other[:2], "big")


async def test_an_answer_counts_only_with_the_keys_signature(peer: Peer) -> None:
    link, peer.key = peer.link(KEY), KEY
    assert (await link.ask(ASK)).had_tsig
    for behave, why in (
        (unsigned, r"TSIG.*says REFUSED"),
        (signed_for_another_request, "fails to verify"),
    ):
        peer.behave = behave
        with pytest.raises(ProviderTemporary, match=why):
            await link.ask(ASK)
        async with link.visit() as visit:
            with pytest.raises(OutcomeUnknown, match=why):
                await visit.send(link.sign(UPDATE))
    assert link.idle == 0


async def test_a_signature_by_another_secret_is_none(peer: Peer) -> None:
    async def forge(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        await stream.send_all(response(wire, KEY, signed_by=OTHER))

    peer.behave = forge
    with pytest.raises(ProviderTemporary, match="was dropped"):
        await peer.link(KEY).ask(ASK)


async def test_a_refused_key_leaves_open_what_became_of_an_update(peer: Peer) -> None:
    """That refusal carries no signature, so it proves nothing about what was sent before."""
    link, peer.key = peer.link(KEY), KEY
    peer.behave = say(tsig_error=dns.rcode.BADKEY)
    with pytest.raises(ProviderRefusal, match="does not know the key"):
        await link.ask(ASK)
    async with link.visit() as visit:
        with pytest.raises(OutcomeUnknown, match="does not know the key"):
            await visit.send(link.sign(UPDATE))


async def test_a_server_that_takes_no_connection_is_unreachable_in_time(mock_time: None) -> None:
    async def connect(host: str, port: int) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    link = ServerLink(Server(HOST, PORT, None), connect=connect)
    began = trio.current_time()
    with pytest.raises(ProviderTemporary, match=r"ns\.test:53 cannot be reached.*within 3 s"):
        await link.ask(ASK)
    assert trio.current_time() - began == pytest.approx(CONNECT_S_MAX)


async def test_a_closed_port_is_unreachable() -> None:
    with pytest.raises(ProviderTemporary, match=r"Connection refused; look whether named runs"):
        await ServerLink(Server("127.0.0.1", free_port(), None)).ask(ASK)


async def test_a_restart_of_named_between_requests_is_not_noticed(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    link = ServerLink(Server(*server.address, KEY))
    first = await link.ask(ASK)
    assert link.idle == 1
    await trio.to_thread.run_sync(server.stop)
    await trio.to_thread.run_sync(server.start)
    assert (await link.ask(ASK)).answer == first.answer
    await trio.to_thread.run_sync(server.stop)
    with pytest.raises(ProviderTemporary, match="cannot be reached"):
        await link.ask(ASK)
    assert link.idle == 0
