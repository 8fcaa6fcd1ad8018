"""Who has to answer for a zone: named, asked of the primary, or looked up."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import dns.message
import pytest
import trio

from dnslb.errors import ProviderTemporary
from dnslb.verify.answer import Silence
from dnslb.verify.exchange import Exchange, Server
from dnslb.verify.servers import SERVERS_MAX, Found, NotKnown, ServerFinder, resolve_addresses
from tests.verify.test_answer import response

PRIMARY = ("192.0.2.10", 5300)


class Primary(Exchange):
    """Answers by these records, name by name; whatever it has none for it refuses to tell."""

    def __init__(self, records: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.records = records
        self.asked: list[Server] = []

    async def exchange(
        self, server: Server, query: dns.message.Message, limit_s: float
    ) -> dns.message.Message | Silence:
        await trio.lowlevel.checkpoint()
        self.asked.append(server)
        name, _, rtype = query.question[0].to_text().split()
        found = self.records.get(f"{name.rstrip('.')} {rtype}")
        if found is None:
            return response(query, rcode="REFUSED", aa=False)
        return response(query, *(f"{name} 60 IN {rtype} {value}" for value in found))


class Resolver:
    """The system's, with what it knows; ``fails``: what it cannot look up now."""

    def __init__(self, fails: str = "", **known: tuple[str, ...]) -> None:
        self._known = {name.replace("_", "."): values for name, values in known.items()}
        self._fails = fails
        self.asked: list[str] = []

    async def __call__(self, name: str) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        self.asked.append(name)
        if name == self._fails:
            raise NotKnown(f"{name} could not be looked up")
        return self._known.get(name, ())


NS = Resolver(example_org=("ns2.example.net", "ns1.example.org"))
ADDRESSES = Resolver(ns1_example_org=("192.0.2.1", "2001:db8::1"), ns2_example_net=("192.0.2.2",))


async def test_servers_that_were_named_take_the_place_of_the_zones_own() -> None:
    named = (("192.0.2.53", 53), ("ns1.example.org", 54))
    finder = ServerFinder(Exchange(), named=named, name_servers=NS, addresses=ADDRESSES)
    assert await finder.find("example.org") == Found(
        (
            Server("192.0.2.53", 53),
            Server("192.0.2.1", 54, "ns1.example.org"),
            Server("2001:db8::1", 54, "ns1.example.org"),
        )
    )


async def test_each_address_of_each_name_server_is_one() -> None:
    finder = ServerFinder(Exchange(), name_servers=NS, addresses=ADDRESSES)
    assert await finder.find("example.org") == Found(
        (
            Server("192.0.2.1", 53, "ns1.example.org"),
            Server("2001:db8::1", 53, "ns1.example.org"),
            Server("192.0.2.2", 53, "ns2.example.net"),
        )
    )


async def test_the_primary_is_asked_first_and_the_resolver_for_the_rest() -> None:
    primary = Primary(
        {
            "example.org NS": ("ns1.example.org.", "ns2.example.net."),
            "ns1.example.org A": ("192.0.2.77",),
            "ns1.example.org AAAA": (),
        }
    )
    names = Resolver()
    finder = ServerFinder(primary, primary=PRIMARY, name_servers=names, addresses=ADDRESSES)
    assert await finder.find("example.org") == Found(
        (Server("192.0.2.77", 53, "ns1.example.org"), Server("192.0.2.2", 53, "ns2.example.net"))
    )
    assert names.asked == []
    assert set(primary.asked) == {Server(*PRIMARY)}


async def test_where_the_primary_does_not_tell_the_resolver_is_asked() -> None:
    finder = ServerFinder(Primary({}), primary=PRIMARY, name_servers=NS, addresses=ADDRESSES)
    assert len((await finder.find("example.org")).servers) == 3


async def test_the_provider_may_know_the_name_servers_and_may_fail() -> None:
    async def fails(zone: str) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        raise ProviderTemporary("429")

    known = Resolver(example_org=("ns1.example.org",))
    for provider, count in ((known, 2), (Resolver(), 3), (fails, 3)):
        finder = ServerFinder(Exchange(), provider=provider, name_servers=NS, addresses=ADDRESSES)
        assert len((await finder.find("example.org")).servers) == count


async def test_a_name_server_without_an_address_is_left_out_and_named() -> None:
    addresses = Resolver(ns1_example_org=("192.0.2.1",))
    finder = ServerFinder(Exchange(), name_servers=NS, addresses=addresses)
    assert await finder.find("example.org") == Found(
        (Server("192.0.2.1", 53, "ns1.example.org"),), ("ns2.example.net has no address",)
    )


async def test_where_none_has_an_address_nobody_can_be_asked() -> None:
    finder = ServerFinder(Exchange(), name_servers=NS, addresses=Resolver())
    with pytest.raises(NotKnown, match=r"^ns1.example.org has no address; ns2.example.net has no"):
        await finder.find("example.org")


async def test_a_host_that_could_not_be_looked_up_is_not_one_without_an_address() -> None:
    addresses = Resolver("ns2.example.net", ns1_example_org=("192.0.2.1",))
    finder = ServerFinder(Exchange(), name_servers=NS, addresses=addresses)
    with pytest.raises(NotKnown, match=r"^ns2.example.net could not be looked up"):
        await finder.find("example.org")


async def test_a_zone_that_is_not_delegated_has_nobody() -> None:
    finder = ServerFinder(Exchange(), name_servers=Resolver(), addresses=ADDRESSES)
    with pytest.raises(NotKnown, match=r"^no name servers are known for example.org"):
        await finder.find("example.org")


async def test_an_address_under_two_names_is_asked_once() -> None:
    same = Resolver(ns1_example_org=("192.0.2.1",), ns2_example_net=("192.0.2.1",))
    finder = ServerFinder(Exchange(), name_servers=NS, addresses=same)
    assert len((await finder.find("example.org")).servers) == 1


async def test_there_is_a_limit_to_the_servers_of_a_zone() -> None:
    many = Resolver(ns1_example_org=tuple(f"192.0.2.{i}" for i in range(1, 40)), ns2_example_net=())
    found = await ServerFinder(Exchange(), name_servers=NS, addresses=many).find("example.org")
    assert len(found.servers) == SERVERS_MAX
    assert "ns1.example.org (192.0.2.39) is one too many" in found.left_out


# -------------------------------------------------------------------------- the system's resolver


async def test_addresses_come_from_the_system() -> None:
    assert "127.0.0.1" in await resolve_addresses("localhost")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), ()),
        (UnicodeError("label too long"), ()),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "ns1 could not be looked up"),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable"), "Non-recoverable"),
    ],
)
async def test_what_the_resolver_cannot_say_is_not_said_to_be_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception, found: tuple[str, ...] | str
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trio.socket, "getaddrinfo", fails)
    if isinstance(found, str):
        with pytest.raises(NotKnown, match=found):
            await resolve_addresses("ns1")
    else:
        assert await resolve_addresses("ns1") == found
