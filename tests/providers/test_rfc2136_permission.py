"""Asking whether a server would take our updates, without changing anything."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.update
import pytest
import trio

from dnslb.errors import ProviderError, ProviderRefusal
from dnslb.providers.rfc2136 import Rfc2136Provider
from tests.providers.rfc2136_peer import HOST, PORT, Peer, response
from tests.system.named import KEY, NamedZone, StartNamed

ZONE = "example.org"
NAMES = [f"n{number}.{ZONE}" for number in range(450)]
ALL = 'update-policy { grant "dnslb-key." zonesub A AAAA TXT; };'
BUT_ONE = (
    'update-policy { deny "dnslb-key." name n321.%(zone)s.; '
    'grant "dnslb-key." zonesub A AAAA TXT; };'
)


async def test_hundreds_of_names_are_judged_and_nothing_changes(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "n7 A 192.0.2.7\n", ALL))
    before = server.serial(ZONE), server.records(ZONE)
    provider = Rfc2136Provider(server.address, KEY, "tests")
    sentence = await provider.rehearse(ZONE, NAMES)
    assert sentence == (
        "the server lets the key 'dnslb-key' change the A and AAAA records of all names and the "
        "marker"
    )
    assert (server.serial(ZONE), server.records(ZONE)) == before
    await provider.aclose()


async def test_the_one_name_that_is_denied_is_found(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "", BUT_ONE))
    before = server.serial(ZONE)
    provider = Rfc2136Provider(server.address, KEY, "tests")
    with pytest.raises(ProviderRefusal, match=r"^n321\.example\.org: The server .* refuses"):
        await provider.rehearse(ZONE, NAMES)
    assert server.serial(ZONE) == before
    await provider.aclose()


async def test_what_is_asked_is_void_twice(nursery: trio.Nursery) -> None:
    """A server that ignores prerequisites changes nothing either, and is found out."""

    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        await stream.send_all(response(wire))

    peer = Peer(nursery, behave)
    provider = Rfc2136Provider((HOST, PORT), None, "tests", connect=peer.connect)
    with pytest.raises(ProviderError, match="nothing should be written by it"):
        await provider.rehearse(ZONE, NAMES[:3])
    assert peer.updates
    for wire in peer.seen:
        update = dns.message.from_wire(wire)
        assert isinstance(update, dns.update.UpdateMessage)
        (claim,) = update.prerequisite
        assert (claim.name.to_text(), claim.rdtype, claim.deleting) == (f"{ZONE}.", 6, 254)
        # Each names one record to be removed; nothing is added, no RRset goes as a whole.
        assert {rrset.deleting for rrset in update.update} == {254}
    await provider.aclose()
