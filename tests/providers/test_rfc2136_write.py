"""Writing to a real BIND: many changes and many writers at once, and what is broken off."""

from __future__ import annotations

from functools import partial

import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import pytest
import trio
import trio.testing

from dnslb.errors import (
    OutcomeUnknown,
    ProviderConflict,
    ProviderRefusal,
)
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers.rfc2136 import BATCH_MAX, PreparedUpdate, Rfc2136Provider
from dnslb.providers.rfc2136_link import UPDATES_MAX
from dnslb.providers.rfc2136_wire import query
from tests.providers.rfc2136_peer import Behave, Peer, answer, close, keep_silent, only
from tests.providers.rfc2136_stage import (
    TOKEN,
    WWW,
    ZONE,
    a,
    change,
    plan,
    provider_on,
    records,
    write,
)
from tests.system.named import HOST, POLICY, Named, NamedZone, StartNamed

SIGNED = POLICY + " dnssec-policy default;"
INLINE = SIGNED + " inline-signing yes;"
KEY_A = RRsetKey(WWW, "A")


def names(count: int) -> list[str]:
    return [f"n{i}.{ZONE}" for i in range(count)]


@pytest.mark.parametrize("options", [POLICY, SIGNED, INLINE], ids=["plain", "signed", "inline"])
async def test_two_hundred_changes_are_one_update(named: StartNamed, options: str) -> None:
    server = named(NamedZone(ZONE, "n0 A 192.0.2.9\nother A 192.0.2.8\n", options))
    wanted = [a(name, f"192.0.2.{i}") for i, name in enumerate(names(BATCH_MAX))]
    async with provider_on(server, takes=TOKEN) as provider:
        serial = server.serial(ZONE)
        receipt = await write(provider, *wanted)
        assert set(receipt.rrsets) == set(wanted)
        reading = await provider.read(ZONE, frozenset(names(BATCH_MAX)))
    assert dict(reading.rrsets) == {rrset.key: rrset for rrset in wanted}
    if options == POLICY:
        assert server.serial(ZONE) == serial + 1
    assert any(
        line.startswith(f"other.{ZONE}. 60 IN A 192.0.2.8") for line in await records(server)
    )


async def test_more_than_a_batch_is_refused_before_anything_is_sent(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    async with provider_on(server, takes=TOKEN) as provider:
        with pytest.raises(ProviderRefusal, match="201 changes; at most 200"):
            await write(provider, *(a(name, "192.0.2.1") for name in names(BATCH_MAX + 1)))


def large(name: str, count: int = 100) -> RRset:
    return a(name, *(f"2001:db8::{i:x}" for i in range(1, count + 1)))


async def test_what_one_message_cannot_hold_goes_in_several(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    wanted = [large(name) for name in names(40)]
    async with provider_on(server, takes=TOKEN) as provider:
        serial = server.serial(ZONE)
        receipt = await write(provider, *wanted)
        assert set(receipt.rrsets) == set(wanted)
        reading = await provider.read(ZONE, frozenset(names(40)))
    assert dict(reading.rrsets) == {rrset.key: rrset for rrset in wanted}
    assert server.serial(ZONE) == serial + 2


async def test_several_messages_of_which_one_fails_are_not_called_undone(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    wanted = [large(name) for name in names(40)]
    async with provider_on(server, takes=TOKEN) as provider:
        reading = await provider.read(ZONE, frozenset(names(40)))
        prepared = await provider.prepare(plan(reading, *wanted), TOKEN)
        await change(server, lambda update: update.add(f"n39.{ZONE}.", 60, "AAAA", "2001:db8::f"))
        with pytest.raises(OutcomeUnknown, match=r"Of 2 messages for example\.org 1 took effect"):
            await prepared.send()
        await prepared.aclose()
        after = await provider.read(ZONE, frozenset(names(40)))
    assert after.rrsets[wanted[0].key] == wanted[0]
    assert after.rrsets[wanted[39].key].values == ("2001:db8::f",)


async def test_an_rrset_that_no_message_can_hold_is_refused(named: StartNamed) -> None:
    async with provider_on(named(NamedZone(ZONE)), takes=TOKEN) as provider:
        with pytest.raises(ProviderRefusal, match="too many addresses for one DNS message"):
            await write(provider, large(WWW, 2500))


async def test_a_write_is_sent_once(named: StartNamed) -> None:
    async with provider_on(named(NamedZone(ZONE)), takes=TOKEN) as provider:
        reading = await provider.read(ZONE, frozenset({WWW}))
        prepared = await provider.prepare(plan(reading, a(WWW, "192.0.2.1")), TOKEN)
        await prepared.send()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="sent once"):
                await prepared.send()
            await prepared.aclose()


# --------------------------------------------------------- what BIND takes without doing it


async def test_an_alias_that_appears_at_the_last_moment_is_a_conflict(named: StartNamed) -> None:
    """BIND would answer NOERROR and add nothing."""
    server = named(NamedZone(ZONE))
    async with provider_on(server, takes=TOKEN) as provider:
        reading = await provider.read(ZONE, frozenset({WWW}))
        wanted = plan(reading, a(WWW, "192.0.2.1"), a(WWW, "2001:db8::1"))
        prepared = await provider.prepare(wanted, TOKEN)
        await change(server, lambda update: update.add(f"{WWW}.", 60, "CNAME", "x.test."))
        with pytest.raises(ProviderConflict, match="somebody else changed it"):
            await prepared.send()
        await prepared.aclose()
        with pytest.raises(ProviderConflict):
            await provider.prepare(wanted, TOKEN)


async def test_what_is_gone_already_is_not_called_removed(named: StartNamed) -> None:
    """BIND would answer NOERROR to the removal of what is not there."""
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"))
    async with provider_on(server, takes=TOKEN) as provider:
        reading = await provider.read(ZONE, frozenset({WWW}))
        wanted = plan(reading, gone=(KEY_A,))
        prepared = await provider.prepare(wanted, TOKEN)
        await change(server, lambda update: update.delete(f"{WWW}.", "A"))
        with pytest.raises(ProviderConflict):
            await prepared.send()
        await prepared.aclose()


async def test_a_ttl_beyond_the_zones_limit_is_noticed(named: StartNamed) -> None:
    """BIND would answer NOERROR and write a smaller one."""
    options = POLICY + " max-zone-ttl 120;"
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n", options))
    async with provider_on(server, takes=TOKEN) as provider:
        assert (await write(provider, a(WWW, "192.0.2.2", ttl=100))).notices == ()
        api = a(f"api.{ZONE}", "192.0.2.3", ttl=119)
        (notice,) = (await write(provider, a(WWW, "192.0.2.2", ttl=600), api)).notices
    assert "600 s and has 120 s" in notice
    assert "'max-zone-ttl' of example.org" in notice


async def test_a_ttl_that_cannot_be_read_back_does_not_undo_the_write(
    mock_time: None, nursery: trio.Nursery
) -> None:
    provider = provider_of(Peer(nursery, only(dns.opcode.QUERY, close)))
    prepared = await provider.prepare(blind(), TOKEN)
    receipt = await prepared.send()
    await prepared.aclose()
    assert [rrset.key for rrset in receipt.rrsets] == [KEY_A]
    assert "could not be read back" in receipt.notices[0]
    await provider.aclose()


async def test_records_of_many_ttls_are_compared_by_their_addresses(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "www 60 A 192.0.2.1\n"))
    async with provider_on(server, takes=TOKEN) as provider:
        reading = await provider.read(ZONE, frozenset({WWW}))
        await change(server, lambda update: update.replace(f"{WWW}.", 300, "A", "192.0.2.1"))
        prepared = await provider.prepare(plan(reading, a(WWW, "192.0.2.2")), TOKEN)
        await prepared.send()
        await prepared.aclose()
        assert (await provider.read(ZONE, frozenset({WWW}))).rrsets[KEY_A] == a(WWW, "192.0.2.2")


# ------------------------------------------------------------------------------ signed zones


def answer_with_signature(server: Named, name: str) -> dns.message.Message:
    request = dns.message.make_query(name, "A", want_dnssec=True)
    return dns.query.tcp(request, HOST, port=server.port, timeout=5)


@pytest.mark.parametrize("options", [SIGNED, INLINE], ids=["dnssec-policy", "inline-signing"])
async def test_a_change_of_a_signed_zone_is_answered_with_its_signature(
    named: StartNamed, options: str
) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n", options))
    async with provider_on(server, takes=TOKEN) as provider:
        for host in range(2, 12):
            await write(provider, a(WWW, f"192.0.2.{host}"))
            for _ in range(500):
                found = await trio.to_thread.run_sync(answer_with_signature, server, WWW)
                shown = [rrset for rrset in found.answer if rrset.rdtype == dns.rdatatype.A]
                signatures = [r for r in found.answer if r.rdtype == dns.rdatatype.RRSIG]
                if signatures and [str(rdata) for rdata in shown[0]] == [f"192.0.2.{host}"]:
                    break
                await trio.sleep(0.01)
            else:
                pytest.fail(f"192.0.2.{host} was never answered with a signature")


# --------------------------------------------------------------- many at once, and broken off


def blind(name: str = WWW) -> Plan:
    after = a(name, "192.0.2.1")
    return Plan(ZONE, (Change(after.key, None, after, "a test", "health"),), TOKEN.term)


def provider_of(peer: Peer) -> Rfc2136Provider:
    return Rfc2136Provider(("ns.test", 53), None, "tests", ownership=False, connect=peer.connect)


async def test_only_so_many_updates_are_under_way(mock_time: None, nursery: trio.Nursery) -> None:
    provider = provider_of(Peer(nursery))
    prepared: list[PreparedUpdate] = []

    async def prepare(name: str) -> None:
        prepared.append(await provider.prepare(blind(name), TOKEN))

    for name in names(UPDATES_MAX + 4):
        nursery.start_soon(prepare, name)
    await trio.testing.wait_all_tasks_blocked()
    assert len(prepared) == UPDATES_MAX
    # Reading goes on meanwhile.
    assert (await provider._link.ask(partial(query, ZONE, "SOA"))).rcode() == dns.rcode.NOERROR
    await prepared.pop().aclose()
    await prepared[0].send()
    await prepared.pop(0).aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert len(prepared) == UPDATES_MAX
    for _ in range(3):
        while prepared:
            await prepared.pop().aclose()
        await trio.testing.wait_all_tasks_blocked()
    await assert_nothing_is_held(provider)


async def assert_nothing_is_held(provider: Rfc2136Provider) -> None:
    """All places of updates are free again."""
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            for _ in range(UPDATES_MAX):
                nursery.start_soon(provider._link.updates.acquire_on_behalf_of, object())
    await provider.aclose()


@pytest.mark.parametrize("silent_from", [0, 1], ids=["while preparing", "while sending"])
async def test_a_write_that_is_broken_off_leaves_nothing_behind(
    mock_time: None, nursery: trio.Nursery, silent_from: int
) -> None:
    peer = Peer(nursery)

    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        chosen: Behave = answer if len(peer.seen) <= silent_from else keep_silent
        await chosen(peer, stream, wire)

    peer.behave = behave
    provider = provider_of(peer)
    with trio.move_on_after(1) as scope:
        prepared = await provider.prepare(blind(), TOKEN)
        try:
            await prepared.send()
        finally:
            await prepared.aclose()
    assert scope.cancelled_caught
    assert provider._link.idle == 0
    await trio.testing.wait_all_tasks_blocked()
    assert peer.open == 0
    await assert_nothing_is_held(provider)


async def test_a_refused_write_gives_its_place_back(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    change = Change(KEY_A, a(WWW, "192.0.2.7"), a(WWW, "192.0.2.8"), "a test", "health")
    stale = Plan(ZONE, (change,), TOKEN.term)
    async with provider_on(server, takes=TOKEN) as provider:
        for _ in range(UPDATES_MAX + 1):
            with pytest.raises(ProviderConflict):
                await provider.prepare(stale, TOKEN)
        await write(provider, a(WWW, "192.0.2.1"))
        assert provider._link.idle >= 1


async def test_many_writers_of_one_rrset_never_lose_a_change(named: StartNamed) -> None:
    """Each adds its own address to what it read, again whenever another was faster."""
    server = named(NamedZone(ZONE, "www A 192.0.2.100\n"))

    async def add(provider: Rfc2136Provider, address: str) -> None:
        while True:
            reading = await provider.read(ZONE, frozenset({WWW}))
            wanted = a(WWW, address, *reading.rrsets[KEY_A].values)
            try:
                prepared = await provider.prepare(plan(reading, wanted), TOKEN)
            except ProviderConflict:
                continue
            try:
                await prepared.send()
                return
            except ProviderConflict:
                continue
            finally:
                await prepared.aclose()

    async with provider_on(server, takes=TOKEN) as provider:
        async with trio.open_nursery() as nursery:
            for host in range(20):
                nursery.start_soon(partial(add, provider, f"192.0.2.{host}"))
        reading = await provider.read(ZONE, frozenset({WWW}))
    assert len(reading.rrsets[KEY_A].values) == 21
