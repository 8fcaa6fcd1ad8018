"""Whole zones by AXFR: as another implementation reads them, and complete or not at all."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from functools import partial

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
import trio

from dnslb.errors import ProviderRefusal, ProviderTemporary
from dnslb.model.rrset import RRsetKey
from dnslb.providers import rfc2136
from dnslb.providers.rfc2136 import (
    TRANSFER_AGAIN_S,
    TRANSFER_BYTES_A_NAME,
    TRANSFER_NAMES_MIN,
)
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_reading import Observed
from dnslb.providers.rfc2136_transfer import BrokenTransfer, TransferReader, transfer
from dnslb.providers.rfc2136_wire import Request, dns_key, name_wire, query
from tests.providers.rfc2136_peer import Peer
from tests.providers.rfc2136_stage import WWW, ZONE, ShiftedClock, change, provider_on
from tests.system.named import ADMIN, KEY, POLICY, Named, NamedZone, StartNamed

NAMES = tuple(f"n{i}.{ZONE}" for i in range(3000))
RECORDS = "".join(
    f"n{i} {60 + i % 3} A 192.0.2.{i % 250}\nn{i} {60 + i % 3} A 198.51.100.{i % 250}\n"
    f"n{i} AAAA 2001:db8::{i:x}\nn{i} TXT x{'x' * (i % 200)}\nc{i} CNAME n{i}.Elsewhere.TEST.\n"
    for i in range(3000)
)
SMALLER = "".join(RECORDS.splitlines(keepends=True)[:5000])
SMALL = "".join(RECORDS.splitlines(keepends=True)[:300])
MORE = "WWW A 192.0.2.1\n* A 192.0.2.9\ncut NS ns1\na.cut A 192.0.2.4\n@ A 192.0.2.5\n@ MX 1 www\n"
WANTED = {name_wire(name): name for name in NAMES}
NO_TRANSFER = 'allow-transfer { key "admin-key."; };'


async def test_a_large_zone_is_read_as_dnspython_reads_it(named: StartNamed) -> None:
    options = POLICY + " dnssec-policy default;"
    server = named(NamedZone(ZONE, RECORDS + MORE, options))
    names = frozenset([*NAMES, *(f"c{i}.{ZONE}" for i in range(3000)), ZONE, WWW, f"*.{ZONE}"])
    link = ServerLink(Server(*server.address, KEY))
    asked = asked_for([*names, f"a.cut.{ZONE}", f"no.{ZONE}"])
    observed = await transfer(link, ZONE, asked)
    whole = await trio.to_thread.run_sync(server.transfer, ZONE)
    rrsets, cnames = {}, {}
    for owner, rdataset in whole.iterate_rdatasets():
        name = owner.to_text(omit_final_dot=True).lower()
        if rdataset.rdtype == dns.rdatatype.CNAME and name in names:
            cnames[name] = rdataset[0].to_text().removesuffix(".").lower()
        if rdataset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and name in names:
            rdatas = {rdata.to_wire() for rdata in rdataset}
            rrsets[name, dns.rdatatype.to_text(rdataset.rdtype)] = (rdataset.ttl, rdatas)
    assert observed.found.keys() == {(name, t) for name in asked for t in asked[name]}
    records = {key: observed.records(*key) for key in observed.found}
    assert {k: (r.ttl, set(r.rdatas)) for k, r in records.items() if r.rdatas} == rrsets
    aliases = {name: alias.target for name in asked if (alias := observed.alias(name))}
    assert aliases == cnames
    assert len(rrsets) == 2 * len(NAMES) + 3
    assert len(cnames) == 3000
    assert [name for name in asked if observed.elsewhere(name)] == [f"a.cut.{ZONE}"]
    await link.aclose()


def asked_for(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names, ("A", "AAAA"))


# ------------------------------------------------------------------------- damaged transfers


class Recorded:
    """One transfer as it came: its request and its messages."""

    def __init__(self, request: Request, messages: list[bytes], key: TsigKey | None) -> None:
        self.request, self.messages = request, messages
        self.signer = dns_key(key) if key else None

    def read(self, messages: Iterable[bytes], wall: float) -> TransferReader:
        reader = TransferReader(ZONE, WANTED, self.request, self.signer)
        for message in messages:
            for _ in reader.feed(message, wall):
                pass
        return reader


async def record(server: Named, key: TsigKey | None = KEY) -> tuple[Recorded, float]:
    link = ServerLink(Server(*server.address, key))
    request = link.sign(partial(query, ZONE, "AXFR"))
    connection = await link.connect()
    await connection.send(request.wire, 5)
    reader = TransferReader(ZONE, WANTED, request, link.signer)
    messages = []
    while not reader.done:
        messages.append(await connection.receive(5))
        list(reader.feed(messages[-1], link.wall()))
    await connection.aclose()
    return Recorded(request, messages, key), link.wall()


async def test_a_part_of_a_transfer_is_never_taken_for_the_whole(named: StartNamed) -> None:
    recorded, wall = await record(named(NamedZone(ZONE, SMALLER)))
    messages = recorded.messages
    assert len(messages) > 3
    assert recorded.read(messages, wall).done
    assert not recorded.read(messages[:-1], wall).done
    lacking = [messages[:i] + messages[i + 1 :] for i in range(len(messages) - 1)]
    swapped = [messages[0], messages[2], messages[1], *messages[3:]]
    twice = [messages[0], *messages]
    for damaged in (*lacking, swapped, twice, [*messages, messages[-1]]):
        with pytest.raises((BrokenTransfer, dns.exception.DNSException)):
            recorded.read(damaged, wall)


async def test_no_changed_byte_goes_unnoticed(named: StartNamed) -> None:
    recorded, wall = await record(named(NamedZone(ZONE, SMALL)))
    luck = random.Random(1)
    for _ in range(300):
        at = luck.randrange(len(recorded.messages))
        message = bytearray(recorded.messages[at])
        message[luck.randrange(len(message))] ^= 1 << luck.randrange(8)
        damaged = [*recorded.messages[:at], bytes(message), *recorded.messages[at + 1 :]]
        with pytest.raises((BrokenTransfer, dns.exception.DNSException)):
            recorded.read(damaged, wall)


async def test_an_unsigned_transfer_does_not_count_where_there_is_a_key(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, RECORDS), zone_defaults="allow-transfer { any; };")
    recorded, wall = await record(server, key=None)
    assert recorded.read(recorded.messages, wall).done
    recorded.signer = dns_key(KEY)
    with pytest.raises(BrokenTransfer, match="it is not signed"):
        recorded.read(recorded.messages, wall)


async def test_a_transfer_whose_end_is_not_signed_does_not_count(named: StartNamed) -> None:
    recorded, wall = await record(named(NamedZone(ZONE, SMALLER)))
    *before, last = recorded.messages
    bare = last[:10] + b"\0\0" + last[12 : last.rindex(b"\x09dnslb-key\0")]
    with pytest.raises(BrokenTransfer, match="its last message is not signed"):
        recorded.read([*before, bare], wall)


def made(*sections: list[str], request: Request) -> list[bytes]:
    """Messages with these records, unsigned."""
    messages = []
    for lines in sections:
        message = dns.message.Message(id=request.id)
        message.flags = dns.flags.QR
        for line in lines:
            name, rest = line.split(" ", 1)
            rtype, data = rest.split(" ", 1)
            message.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, data))
        messages.append(message.to_wire())
    return messages


SOA, LATER = (f"{ZONE}. SOA ns1.{ZONE}. host.{ZONE}. {n} 1 1 1 1" for n in (1, 2))
HOST = f"n1.{ZONE}. A 192.0.2.1"


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ([[HOST], [SOA]], "did not begin with the SOA"),
        ([[SOA, HOST, LATER]], "changed meanwhile"),
        ([[SOA, HOST], [LATER]], "changed meanwhile"),
        ([[SOA, HOST, SOA, HOST]], "after its end"),
        ([[SOA, HOST, SOA], [HOST]], "after its end"),
    ],
)
def test_what_is_no_transfer_of_one_version_is_refused(sections: list[list[str]], why: str) -> None:
    request = Request(query(ZONE, "AXFR", 7))
    with pytest.raises(BrokenTransfer, match=why):
        Recorded(request, [], None).read(made(*sections, request=request), 0.0)


def test_a_whole_transfer_may_come_in_one_message_or_in_many() -> None:
    request = Request(query(ZONE, "AXFR", 7))
    for sections in ([[SOA, HOST, SOA]], [[SOA], [HOST], [SOA]]):
        reader = Recorded(request, [], None).read(made(*sections, request=request), 0.0)
        assert reader.done
        assert reader.kept.addresses == {(f"n1.{ZONE}", "A"): (60, [b"\xc0\0\2\1"])}


@pytest.mark.parametrize(
    "damage",
    [
        lambda wire: wire[:-1],
        lambda wire: wire[:14] + b"\xc0\xff" + wire[16:],
        lambda wire: wire[:12] + b"\xc0\x0c" + wire[14:],
        lambda wire: wire[:12] + b"\x7f" + wire[13:],
        lambda wire: wire[:6] + b"\xff\xff" + wire[8:],
        lambda wire: b"",
    ],
    ids=["cut", "forward pointer", "own pointer", "long label", "more records", "empty"],
)
def test_a_malformed_message_is_dropped(damage: object) -> None:
    request = Request(query(ZONE, "AXFR", 7))
    (wire,) = made([SOA, HOST, SOA], request=request)
    with pytest.raises(BrokenTransfer):
        Recorded(request, [], None).read([damage(wire)], 0.0)  # type: ignore[operator]


# ------------------------------------------------------------------------------- on the wire


async def test_a_transfer_that_is_cut_off_says_so(mock_time: None, nursery: trio.Nursery) -> None:
    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        (message,) = made([SOA, HOST], request=Request(wire))
        await stream.send_all(len(message).to_bytes(2, "big") + message)
        await stream.aclose()

    link = Peer(nursery, behave).link()
    with pytest.raises(ProviderTemporary, match="dropped, since it closed the connection"):
        await transfer(link, ZONE, asked_for([NAMES[1]]))


async def test_a_transfer_that_trickles_ends_in_time(
    mock_time: None, nursery: trio.Nursery
) -> None:
    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        first, more = made([SOA], [HOST], request=Request(wire))
        while True:
            await stream.send_all(len(first).to_bytes(2, "big") + first)
            first = more
            await trio.sleep(3)

    link = Peer(nursery, behave).link()
    with pytest.raises(ProviderTemporary, match="it took more than 20 s"):
        await transfer(link, ZONE, asked_for([NAMES[1]]))


@pytest.mark.parametrize(
    ("key", "zone", "sentence"),
    [
        (KEY, ZONE, """add 'allow-transfer { key "dnslb-key."; };'"""),
        (None, ZONE, "add 'allow-transfer { our address; };'"),
        (ADMIN, "example.net", "is not authoritative for example.net"),
        (TsigKey("nobody", "hmac-sha256", b"x"), ZONE, "does not know the key 'nobody'"),
    ],
)
async def test_a_refused_transfer_says_what_is_missing(
    named: StartNamed, key: TsigKey | None, zone: str, sentence: str
) -> None:
    server = named(NamedZone(ZONE), zone_defaults=NO_TRANSFER)
    with pytest.raises(ProviderRefusal) as caught:
        await transfer(ServerLink(Server(*server.address, key)), zone, asked_for([WWW]))
    assert sentence in str(caught.value)


# ---------------------------------------------------------------------------------- scanning


def transfers(server: Named) -> int:
    """How many were asked for, by the server's own log."""
    log = server.log
    return log.count("AXFR started") + log.count("AXFR/IN' denied")


@pytest.mark.parametrize("scan", [False, True])
async def test_many_names_are_one_transfer(named: StartNamed, scan: bool) -> None:
    server = named(NamedZone(ZONE, RECORDS))
    async with provider_on(server) as provider:
        names = NAMES[:500]
        whole = await provider.read(ZONE, frozenset(names), scan=scan)
        assert transfers(server) == 1
        parts = [await provider.read(ZONE, frozenset(names[i : i + 10])) for i in range(0, 500, 10)]
        assert transfers(server) == 1
    assert whole.rrsets == {key: rrset for part in parts for key, rrset in part.rrsets.items()}


async def test_a_transfer_of_a_copy_that_lags_behind_is_corrected(
    named: StartNamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of an inline-signed zone may be, or of a secondary that forwards updates."""
    server = named(NamedZone(ZONE, SMALL))
    names = frozenset(NAMES[:50])
    async with provider_on(server) as provider:
        old = await transfer(provider._link, ZONE, asked_for(sorted(names)))
        await change(server, lambda update: update.replace(NAMES[3] + ".", 60, "A", "192.0.2.77"))
        await change(server, lambda update: update.delete(NAMES[4] + ".", "AAAA"))

        async def stale(*_: object) -> Observed:
            return old

        monkeypatch.setattr(rfc2136, "transfer", stale)
        reading = await provider.read(ZONE, names, scan=True)
    assert reading.rrsets[RRsetKey(NAMES[3], "A")].values == ("192.0.2.77",)
    assert RRsetKey(NAMES[4], "AAAA") not in reading.rrsets
    assert len(reading.rrsets) == 2 * 50 - 1


async def test_a_refused_transfer_is_said_once_and_done_without(
    named: StartNamed, caplog: pytest.LogCaptureFixture
) -> None:
    server = named(NamedZone(ZONE, RECORDS), zone_defaults=NO_TRANSFER)
    clock = ShiftedClock()
    names = frozenset(NAMES[:50])
    async with provider_on(server, clock=clock) as provider:
        wanted = await provider.read(ZONE, names)
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                assert await provider.read(ZONE, names, scan=True) == wanted
            assert transfers(server) == 1
            clock.mono += TRANSFER_AGAIN_S + 1
            assert await provider.read(ZONE, names, scan=True) == wanted
            assert transfers(server) == 2
    (said,) = caplog.messages
    assert "allow-transfer" in said
    assert "one by one" in said


async def test_a_zone_too_large_for_the_names_is_asked_instead(named: StartNamed) -> None:
    names = frozenset(NAMES[:TRANSFER_NAMES_MIN])
    server = named(NamedZone(ZONE, RECORDS))
    size = sum(map(len, (await record(server))[0].messages))
    assert size > len(names) * TRANSFER_BYTES_A_NAME
    before = transfers(server)
    async with provider_on(server) as provider:
        for _ in range(2):
            reading = await provider.read(ZONE, names, scan=True)
            assert len(reading.rrsets) == 2 * len(names)
    assert transfers(server) == before + 1


async def test_a_scan_shows_what_is_there_now(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, SMALL))
    async with provider_on(server) as provider:
        names = frozenset(NAMES[:50])
        await provider.read(ZONE, names, scan=True)
        await change(server, lambda update: update.replace(NAMES[3] + ".", 60, "A", "192.0.2.77"))
        reading = await provider.read(ZONE, names, scan=True)
        assert reading.rrsets[RRsetKey(NAMES[3], "A")].values == ("192.0.2.77",)
