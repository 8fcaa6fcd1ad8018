"""Reading from a real BIND where an answer is not yet the zone."""

from __future__ import annotations

import dns.update
import pytest
import trio

from dnslb.errors import ProviderError, ProviderRefusal, ProviderTemporary
from dnslb.model.rrset import RRsetKey
from dnslb.providers.rfc2136 import TRANSFER_NAMES_MIN, Rfc2136Provider
from dnslb.providers.rfc2136_errors import Server
from dnslb.providers.rfc2136_key import TsigKey
from dnslb.providers.rfc2136_link import QUERIES_MAX, ServerLink
from dnslb.providers.rfc2136_reading import ZoneReader
from tests.providers.rfc2136_stage import TOKEN, a, change, fence_of, plan
from tests.system.named import ADMIN, KEY, POLICY, Named, NamedZone, StartNamed

ZONE = "example.org"
WWW, GHOST, BELOW = f"www.{ZONE}", f"ghost.{ZONE}", f"a.cut.{ZONE}"
RECORDS = """\
www A 192.0.2.1
* A 192.0.2.66
* AAAA 2001:db8::66
cut NS ns1.elsewhere.test.
*.alias CNAME elsewhere.example.net.
old DNAME new.example.net.
"""


async def test_wildcard_is_not_taken_for_records_of_a_name(named: StartNamed) -> None:
    provider = provider_of(named(NamedZone(ZONE, RECORDS)))
    reading = await provider.read(ZONE, frozenset({WWW, GHOST, f"x.alias.{ZONE}"}))
    await provider.aclose()
    assert set(reading.rrsets) == {RRsetKey(WWW, "A")}
    assert dict(reading.cnames) == {}


async def test_wildcard_itself_can_be_read(named: StartNamed) -> None:
    provider = provider_of(named(NamedZone(ZONE, RECORDS)))
    reading = await provider.read(ZONE, frozenset({f"*.{ZONE}"}))
    await provider.aclose()
    assert {key.rtype for key in reading.rrsets} == {"A", "AAAA"}


async def test_name_below_a_dname_is_shown_as_an_alias(named: StartNamed) -> None:
    provider = provider_of(named(NamedZone(ZONE, RECORDS)))
    reading = await provider.read(ZONE, frozenset({f"a.old.{ZONE}"}))
    await provider.aclose()
    assert dict(reading.cnames) == {f"a.old.{ZONE}": "a.new.example.net"}


async def test_delegated_name_is_no_name_of_the_zone(named: StartNamed) -> None:
    provider = provider_of(named(NamedZone(ZONE, RECORDS)))
    with pytest.raises(ProviderRefusal, match=f"NS or DNAME record of cut.{ZONE}"):
        await provider.find_zone(BELOW)
    await provider.aclose()


CUT = "cut NS ns1.elsewhere.test.\na.cut A 192.0.2.5\n"
SUB = "www.sub A 192.0.2.5\n"


@pytest.mark.parametrize("scan", [False, True], ids=["asked", "transferred"])
@pytest.mark.parametrize("records", [CUT, CUT.replace("a.cut", "b.cut"), SUB + "sub NS x.test.\n"])
async def test_one_name_that_went_elsewhere_does_not_hold_up_the_others(
    named: StartNamed, records: str, scan: bool
) -> None:
    """BIND would take the address of such a name, and then not answer with it."""
    more = tuple(f"n{i}.{ZONE}" for i in range(TRANSFER_NAMES_MIN)) if scan else ()
    zones = [NamedZone(ZONE, "www A 192.0.2.1\n" + records)]
    gone = BELOW
    if records.startswith(SUB):
        gone = f"www.sub.{ZONE}"
        zones.append(NamedZone(f"sub.{ZONE}", "www A 192.0.2.7\n"))
    server = named(*zones)
    provider = provider_of(server)
    await fence_of(provider).take(ZONE, TOKEN)
    reading = await provider.read(ZONE, frozenset({WWW, gone, *more}), scan=scan)
    assert set(reading.rrsets) == {RRsetKey(WWW, "A")}
    before = server.records(ZONE)
    with pytest.raises(ProviderRefusal, match=gone.replace(".", r"\.")):
        await provider.prepare(plan(reading, a(gone, "192.0.2.8")), TOKEN)
    assert server.records(ZONE) == before
    prepared = await provider.prepare(plan(reading, a(WWW, "192.0.2.8")), TOKEN)
    await prepared.send()
    await prepared.aclose()
    assert (await provider.read(ZONE, frozenset({WWW}))).rrsets[RRsetKey(WWW, "A")].values
    await provider.aclose()


async def test_name_that_came_back_is_written_again(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, CUT))
    provider = provider_of(server)
    await fence_of(provider).take(ZONE, TOKEN)
    await provider.read(ZONE, frozenset({BELOW}))
    await change(server, lambda update: update.delete(f"cut.{ZONE}."))
    reading = await provider.read(ZONE, frozenset({BELOW}))
    prepared = await provider.prepare(plan(reading, a(BELOW, "192.0.2.8")), TOKEN)
    await prepared.send()
    await prepared.aclose()
    await provider.aclose()


async def test_zone_that_is_gone_is_an_error_and_not_empty(named: StartNamed) -> None:
    provider = provider_of(named(NamedZone("org", "")))
    for names in ({WWW}, {WWW, f"x.{ZONE}"}):
        with pytest.raises(ProviderRefusal, match=f"no longer in {ZONE} but in the zone org"):
            await provider.read(ZONE, frozenset(names))
    await provider.aclose()


async def test_zone_of_an_alias_is_that_of_its_own_name(named: StartNamed) -> None:
    server = named(
        NamedZone(ZONE, "alias CNAME www.other.test.\n"),
        NamedZone("other.test", "www A 192.0.2.1\n"),
    )
    provider = provider_of(server)
    assert await provider.find_zone(f"alias.{ZONE}") == ZONE
    await provider.aclose()


async def test_zone_that_refuses_our_queries_is_not_missing(named: StartNamed) -> None:
    options = POLICY + ' allow-query { key "admin-key."; };'
    provider = provider_of(named(NamedZone(ZONE, "", options)))
    with pytest.raises(ProviderRefusal, match="'allow-query'"):
        await provider.find_zone(WWW)
    assert await provider.find_zone("www.example.net") is None
    await provider.aclose()


async def test_zone_that_is_not_loaded_is_an_error(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "www A not-an-address\n"))
    provider = provider_of(server)
    for work in (provider.find_zone(WWW), provider.read(ZONE, frozenset({WWW}))):
        with pytest.raises(ProviderTemporary, match="SERVFAIL"):
            await work
    await provider.aclose()


async def test_frozen_zone_can_still_be_read(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"))
    provider = provider_of(server)
    server.rndc("freeze", ZONE)
    reading = await provider.read(ZONE, frozenset({WWW}))
    await provider.aclose()
    assert set(reading.rrsets) == {RRsetKey(WWW, "A")}


async def test_inline_signed_zone_is_read_as_it_is_and_not_as_it_was(named: StartNamed) -> None:
    options = POLICY + " dnssec-policy default; inline-signing yes;"
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n", options))
    provider = provider_of(server)
    for host in range(1, 40):
        value = f"192.0.2.{host}"

        def edit(update: dns.update.UpdateMessage, value: str = value) -> None:
            update.replace(f"{WWW}.", 60, "A", value)

        await trio.to_thread.run_sync(server.change, ZONE, edit)
        reading = await provider.read(ZONE, frozenset({WWW}))
        assert reading.rrsets[RRsetKey(WWW, "A")].values == (value,)
    await provider.aclose()


@pytest.mark.parametrize(
    ("key", "error", "sentence"),
    [
        (TsigKey("dnslb-key", "hmac-sha256", b"wrong"), ProviderRefusal, "another secret"),
        (
            TsigKey("nobody", "hmac-sha256", b"wrong"),
            ProviderRefusal,
            "does not know the key 'nobody'",
        ),
        (TsigKey("dnslb-key", "hmac-sha512", KEY.secret), ProviderRefusal, "does not know the key"),
    ],
)
async def test_wrong_key_is_called_by_name(
    named: StartNamed, key: TsigKey, error: type[ProviderError], sentence: str
) -> None:
    provider = Rfc2136Provider(named(NamedZone(ZONE)).address, key, "tests")
    for work in (provider.find_zone(WWW), provider.read(ZONE, frozenset({WWW}))):
        with pytest.raises(error, match=sentence):
            await work
    await provider.aclose()


async def test_many_names_share_few_connections(named: StartNamed) -> None:
    names = [f"n{i}.{ZONE}" for i in range(300)]
    server = named(NamedZone(ZONE, "".join(f"{n}. A 192.0.2.1\n" for n in names)))
    link = ServerLink(Server(*server.address, ADMIN))
    observed = await ZoneReader(link).observe(ZONE, dict.fromkeys(names, ("A", "AAAA")))
    assert all(observed.records(name, "A").rdatas == (bytes([192, 0, 2, 1]),) for name in names)
    assert 1 <= link.idle <= QUERIES_MAX
    await link.aclose()


def provider_of(server: Named) -> Rfc2136Provider:
    return Rfc2136Provider(server.address, KEY, "tests")
