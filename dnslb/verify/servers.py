"""Whom to ask about a zone: the servers that were named, or those that the zone itself names.

The NS RRset is asked of the primary or the provider first, where they are known, since they know
a zone that is not delegated yet; else of the system's resolver. Every address of every host is
a server of its own.

Law: a host that could not be looked up is not a host without an address: then it is not known who
has to answer, and nothing is called published.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver
import trio

from dnslb.errors import ProviderError
from dnslb.verify.answer import Records, Silence, question, to_answer, to_targets
from dnslb.verify.exchange import Exchange, Server

SERVERS_MAX = 32
LOOKUP_S_MAX = 10.0
ASK_S_MAX = 2.0
_NOTHING_THERE = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

LookUp = Callable[[str], Awaitable[tuple[str, ...]]]


class NotKnown(Exception):
    """Nobody can be named; ``str()`` is why."""


@dataclass(frozen=True, slots=True)
class Found:
    """``left_out``: servers that have to be asked and cannot be, and why."""

    servers: tuple[Server, ...]
    left_out: tuple[str, ...] = ()


class ServerFinder:
    """``named``: hosts and ports that take the place of the zone's own. ``primary``: who is asked
    first. ``provider``: zone → its name servers, as the provider has them; raises
    `ProviderError`. ``name_servers``, ``addresses``: the system's resolver, which raises
    `NotKnown` when it fails. ``port``: where the zone's own servers listen."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        named: tuple[tuple[str, int], ...] = (),
        primary: tuple[str, int] | None = None,
        provider: LookUp | None = None,
        name_servers: LookUp | None = None,
        addresses: LookUp | None = None,
        port: int = 53,
    ) -> None:
        self._exchange = exchange
        self._named = named
        self._primary = primary
        self._provider = provider
        self._name_servers = name_servers or resolve_name_servers
        self._addresses = addresses or resolve_addresses
        self._port = port

    async def find(self, zone: str) -> Found:
        """Raises `NotKnown`."""
        if self._named:
            return await self._look_up(self._named)
        primary = await self._primary_server()
        hosts = await self._ask_primary(primary, zone) if primary else ()
        hosts = hosts or await self._ask_provider(zone) or await self._name_servers(zone)
        if not hosts:
            raise NotKnown(f"no name servers are known for {zone}")
        return await self._look_up([(host, self._port) for host in sorted(hosts)], primary)

    async def _look_up(
        self, hosts: Iterable[tuple[str, int]], primary: Server | None = None
    ) -> Found:
        servers: dict[tuple[str, int], Server] = {}
        left_out: list[str] = []
        for host, port in hosts:
            name = None if _is_address(host) else host
            addresses = (host,) if name is None else await self._addresses_of(host, primary)
            if not addresses:
                left_out.append(f"{host} has no address")
            for address in addresses:
                servers.setdefault((address, port), Server(address, port, name))
        some = tuple(servers.values())[:SERVERS_MAX]
        left_out += [f"{s} is one too many" for s in list(servers.values())[SERVERS_MAX:]]
        if not some:
            raise NotKnown("; ".join(left_out))
        return Found(some, tuple(left_out))

    async def _addresses_of(self, host: str, primary: Server | None) -> tuple[str, ...]:
        if primary is not None:
            found = [await self._ask(primary, host, rtype) for rtype in ("A", "AAAA")]
            values = tuple(v for f in found if isinstance(f, Records) for v in f.values)
            if values:
                return values
        return await self._addresses(host)

    async def _primary_server(self) -> Server | None:
        if self._primary is None:
            return None
        host, port = self._primary
        if _is_address(host):
            return Server(host, port)
        addresses = await self._addresses(host)
        return Server(addresses[0], port, host) if addresses else None

    async def _ask_primary(self, primary: Server, zone: str) -> tuple[str, ...]:
        query = question(zone, "NS")
        message = await self._exchange.exchange(primary, query, ASK_S_MAX)
        if isinstance(message, Silence) or isinstance(to_answer(query, message), Silence):
            return ()
        return to_targets(query, message)

    async def _ask_provider(self, zone: str) -> tuple[str, ...]:
        if self._provider is None:
            return ()
        try:
            return await self._provider(zone)
        except ProviderError:
            return ()  # it is said elsewhere that it fails; the resolver knows them, too

    async def _ask(self, server: Server, name: str, rtype: str) -> Records | Silence:
        return await self._exchange.ask(server, question(name, rtype), ASK_S_MAX)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve_name_servers(zone: str) -> tuple[str, ...]:
    """The hosts of the NS RRset, by the system's resolver; none when there is no such zone."""
    try:
        # A new one each time, since the machine may have moved to another network.
        resolver = dns.asyncresolver.Resolver()
        answer = await resolver.resolve(f"{zone}.", "NS", lifetime=LOOKUP_S_MAX)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except (dns.exception.DNSException, OSError) as e:
        raise NotKnown(f"the name servers of {zone} could not be looked up: {e}") from e
    return tuple(record.target.to_text(omit_final_dot=True) for record in answer)


async def resolve_addresses(host: str) -> tuple[str, ...]:
    """All addresses, by the system's resolver; none when it says that there are none."""
    try:
        with trio.fail_after(LOOKUP_S_MAX):
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except trio.TooSlowError as e:
        raise NotKnown(
            f"the address of {host} could not be looked up within {LOOKUP_S_MAX:g} s"
        ) from e
    except socket.gaierror as e:
        if e.errno in _NOTHING_THERE:
            return ()
        raise NotKnown(f"the address of {host} could not be looked up: {e.strerror}") from e
    except UnicodeError:
        return ()  # no name that an address could be found for
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))
