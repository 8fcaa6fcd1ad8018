"""Whatever a real BIND refuses becomes a sentence that says what to change, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dns.rcode
import pytest
import trio

from dnslb.errors import OutcomeUnknown, ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset
from dnslb.providers import rfc2136_errors as errors
from dnslb.providers.rfc2136 import Rfc2136Provider
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import ServerLink
from dnslb.providers.rfc2136_wire import Update, address_rdata
from tests.providers.rfc2136_peer import Peer, say
from tests.providers.rfc2136_stage import (
    NEXT,
    TOKEN,
    WWW,
    ZONE,
    ShiftedClock,
    a,
    fence_of,
    provider_on,
    records,
    write,
)
from tests.system.named import HOST, KEY, POLICY, Named, NamedZone, StartNamed

BEFORE, AFTER = a(WWW, "192.0.2.1"), a(WWW, "192.0.2.2")
WWW_RECORD = "www A 192.0.2.1\n"


def blind_plan(zone: str = ZONE, after: RRset = AFTER, before: RRset | None = BEFORE) -> Plan:
    """Made without a look at the zone."""
    change = Change(after.key, before, after, "a test", "health")
    return Plan(zone, (change,), TOKEN.term)


async def send(provider: Rfc2136Provider, plan: Plan) -> None:
    prepared = await provider.prepare(plan, TOKEN)
    try:
        await prepared.send()
    finally:
        await prepared.aclose()


async def assert_refused(
    server: Named, deed: Awaitable[object], kind: type[ProviderError], *parts: str
) -> None:
    before = await records(server)
    with pytest.raises(kind) as caught:
        await deed
    sentence = str(caught.value)
    assert [part for part in parts if part not in sentence] == [], sentence
    assert f"{HOST}:{server.port}" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert await records(server) == before


async def test_a_zone_that_is_not_here(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    async with provider_on(server) as provider:
        plan = blind_plan("example.net", a("www.example.net", "192.0.2.2"), None)
        deed = send(provider, plan)
        await assert_refused(server, deed, ProviderRefusal, "example.net (NOTAUTH)", "-bind-server")


async def test_no_key_where_one_is_wanted(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD))
    async with provider_on(server, None, ownership=False) as provider:
        await assert_refused(
            server, write(provider, AFTER), ProviderRefusal, "for no key", "-bind-key-file"
        )


async def test_an_address_that_may_write_needs_no_key(named: StartNamed) -> None:
    options = f"allow-update {{ {HOST}; key admin-key.; }};"
    async with provider_on(named(NamedZone(ZONE, WWW_RECORD, options)), None, takes=TOKEN) as it:
        await write(it, AFTER)
        assert (await it.read(ZONE, frozenset({WWW}))).rrsets == {AFTER.key: AFTER}


async def test_a_zone_without_updates(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD, ""))
    async with provider_on(server) as provider:
        policy = 'update-policy { grant "dnslb-key." zonesub A AAAA;'
        for deed in (send(provider, blind_plan()), fence_of(provider).take(ZONE, TOKEN)):
            await assert_refused(server, deed, ProviderRefusal, policy, "'dnslb-key'")


async def test_a_name_that_is_not_granted(named: StartNamed) -> None:
    options = POLICY.replace("zonesub A AAAA", f"name api.{ZONE} A AAAA")
    server = named(NamedZone(ZONE, WWW_RECORD, options))
    async with provider_on(server, takes=TOKEN) as provider:
        await assert_refused(
            server, write(provider, AFTER), ProviderRefusal, "though it takes updates", "is denied"
        )
        await write(provider, a(f"api.{ZONE}", "192.0.2.1"))


async def test_a_frozen_zone(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD))
    async with provider_on(server, takes=TOKEN) as provider:
        server.rndc("freeze", ZONE)
        for deed in (write(provider, AFTER), fence_of(provider).take(ZONE, NEXT)):
            await assert_refused(server, deed, ProviderRefusal, f"'rndc thaw {ZONE}'")
        server.rndc("thaw", ZONE)
        await write(provider, AFTER)


async def test_a_zone_that_is_frozen_at_the_last_moment(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD))
    async with provider_on(server, takes=TOKEN) as provider:
        prepared = await provider.prepare(blind_plan(), TOKEN)
        server.rndc("freeze", ZONE)
        await assert_refused(server, prepared.send(), ProviderRefusal, f"'rndc thaw {ZONE}'")
        await prepared.aclose()


async def test_an_rrset_with_more_records_than_bind_takes(named: StartNamed) -> None:
    """A refusal, so that the name is found out and the others of its zone go on."""
    server = named(NamedZone(ZONE, WWW_RECORD))
    many = a(WWW, *(f"10.0.0.{i}" for i in range(101)))
    async with provider_on(server, takes=TOKEN) as provider:
        await assert_refused(
            server, write(provider, many), ProviderRefusal, "SERVFAIL", "max-records-per-type"
        )
        await write(provider, a(WWW, *many.values[:100]))


async def test_a_name_outside_the_zone(named: StartNamed) -> None:
    """No plan can hold one; should the zone be cut otherwise some day, this is what is said."""
    server = named(NamedZone(ZONE))
    link = ServerLink(Server(*server.address, KEY))
    update = Update(ZONE)
    update.replace("www.example.net", "A", 60, [address_rdata("192.0.2.1")])
    async with link.visit() as visit:
        rcode = (await visit.send(link.sign(update.to_wire))).rcode()
    await link.aclose()
    assert rcode == dns.rcode.NOTZONE
    error = errors.update_error(link.server, ZONE, rcode, marked=True)
    assert "lies outside example.org (NOTZONE)" in str(error)


async def wait_served(provider: Rfc2136Provider) -> None:
    """Until a secondary has its zone."""
    for _ in range(1000):
        try:
            if (await provider.read(ZONE, frozenset({WWW}))).rrsets:
                return
        except ProviderTemporary:
            pass
        await trio.sleep(0.01)
    pytest.fail("the secondary never got its zone")


async def test_a_secondary(named: StartNamed) -> None:
    primary = named(NamedZone(ZONE, WWW_RECORD))
    options = f"primaries {{ {HOST} port {primary.port} key dnslb-key.; }};"
    server = named(NamedZone(ZONE, "", options, kind="secondary"))
    async with provider_on(server) as provider:
        await wait_served(provider)
        for deed in (send(provider, blind_plan()), fence_of(provider).take(ZONE, TOKEN)):
            await assert_refused(server, deed, ProviderRefusal, "primary", "secondary")


async def test_a_secondary_that_forwards_is_as_good_as_its_primary(named: StartNamed) -> None:
    primary = named(NamedZone(ZONE, WWW_RECORD))
    options = (
        f"primaries {{ {HOST} port {primary.port} key dnslb-key.; }};"
        " allow-update-forwarding { any; };"
    )
    server = named(NamedZone(ZONE, "", options, kind="secondary"))
    async with provider_on(server) as provider, provider_on(primary, takes=TOKEN):
        await wait_served(provider)
        await send(provider, blind_plan())
    assert "192.0.2.2" in " ".join(await records(primary))


# ----------------------------------------------------------------------------- keys and clocks

Act = Callable[[Rfc2136Provider], Awaitable[object]]
ACTS: dict[str, Act] = {
    "find": lambda provider: provider.find_zone(WWW),
    "read": lambda provider: provider.read(ZONE, frozenset({WWW})),
    "fence": lambda provider: fence_of(provider).take(ZONE, NEXT),
    "write": lambda provider: send(provider, blind_plan()),
}
KEYS = [
    (TsigKey("nobody", "hmac-sha256", KEY.secret), "does not know the key 'nobody' (hmac-sha256)"),
    (TsigKey(KEY.name, "hmac-sha512", KEY.secret), "'dnslb-key' (hmac-sha512)"),
    (TsigKey(KEY.name, KEY.algorithm, b"wrong"), "'dnslb-key' (hmac-sha256) with another secret"),
]


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize(("key", "sentence"), KEYS, ids=["name", "algorithm", "secret"])
async def test_a_wrong_key(named: StartNamed, key: TsigKey, sentence: str, act: Act) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD))
    async with provider_on(server, key) as provider:
        await assert_refused(server, act(provider), ProviderRefusal, sentence, "same")


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("wall", [-400.0, 400.0])
async def test_a_clock_that_is_wrong(named: StartNamed, wall: float, act: Act) -> None:
    server = named(NamedZone(ZONE, WWW_RECORD))
    async with provider_on(server, clock=ShiftedClock(wall=wall)) as provider:
        await assert_refused(
            server, act(provider), ProviderTemporary, "differ by more than 300 s", "NTP"
        )


async def test_a_clock_that_is_set_after_the_preparation(named: StartNamed) -> None:
    """What was signed before counts; what comes afterwards does not."""
    server = named(NamedZone(ZONE, WWW_RECORD))
    clock = ShiftedClock()
    async with provider_on(server, takes=TOKEN, clock=clock) as provider:
        prepared = await provider.prepare(blind_plan(), TOKEN)
        clock.wall = 9999.0
        await prepared.send()
        await prepared.aclose()
        with pytest.raises(ProviderTemporary, match="BADTIME"):
            await write(provider, BEFORE)


# ---------------------------------------------------------------------------- every rcode there is

SERVER = Server("ns.test", 53, KEY)


@pytest.mark.parametrize("rcode", [r for r in dns.rcode.Rcode if r != dns.rcode.NOERROR])
def test_every_rcode_is_an_error_with_a_sentence(rcode: dns.rcode.Rcode) -> None:
    for server in (SERVER, Server("2001:db8::1", 5353, None)):
        for error in (
            errors.query_error(server, ZONE, rcode),
            errors.transfer_error(server, ZONE, rcode),
            errors.update_error(server, ZONE, rcode, marked=True),
            errors.update_error(server, ZONE, rcode, marked=False, rehearsed=True),
        ):
            assert isinstance(error, ProviderRefusal | ProviderTemporary)
            assert str(server) in str(error)
            assert ZONE in str(error)


@pytest.mark.parametrize("rcode", [r for r in dns.rcode.Rcode if 0 < r < 16])
async def test_no_rcode_is_taken_for_done_or_for_empty(
    mock_time: None, nursery: trio.Nursery, rcode: dns.rcode.Rcode
) -> None:
    peer = Peer(nursery, say(rcode=rcode))
    server = ("ns.test", 53)
    provider = Rfc2136Provider(server, None, "tests", ownership=False, connect=peer.connect)
    acts: list[Awaitable[object]] = [
        provider.read(ZONE, frozenset({WWW})),
        send(provider, blind_plan()),
    ]
    if rcode != dns.rcode.REFUSED:  # which says that there is no such zone, too
        acts.append(provider.find_zone(WWW))
    for act in acts:
        with pytest.raises(ProviderError):
            await act
    await provider.aclose()


async def test_an_answer_that_is_lost_leaves_the_outcome_open(
    mock_time: None, nursery: trio.Nursery
) -> None:
    silent = say(rcode=dns.rcode.NOERROR)

    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        if wire[8:10] == b"\0\0":  # no changes: the rehearsal
            await silent(peer, stream, wire)

    peer = Peer(nursery, behave)
    provider = Rfc2136Provider(
        ("ns.test", 53), None, "tests", ownership=False, connect=peer.connect
    )
    with pytest.raises(OutcomeUnknown, match="has to be read again"):
        await send(provider, blind_plan())
    assert peer.updates == 2
    await provider.aclose()
