"""Against real servers: a primary, a secondary that gets no NOTIFY, one that is down, one that
refuses, and delegations that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable

import dns.update
import pytest
import trio

from dnslb.model.publication import Expected, Sighting
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.clock import Clock
from dnslb.verify import line
from dnslb.verify.exchange import Exchange
from dnslb.verify.servers import ServerFinder
from dnslb.verify.watch import Watch
from tests.system.named import Named, NamedZone, StartNamed

ZONE, WWW = "example.org", "www.example.org"
KEY = RRsetKey(WWW, "A")
PATIENCE_S = 60.0
OPEN = "allow-transfer { any; };"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lags are told at once: nobody waits for real seconds here."""
    monkeypatch.setattr(line, "TOLD_AFTER_S", 0.0)


async def no_addresses(host: str) -> tuple[str, ...]:
    """The system's resolver has never heard of the host."""
    await trio.lowlevel.checkpoint()
    return ()


class Watching:
    """A watch over real servers, and what it told."""

    def __init__(self, nursery: trio.Nursery, finder: ServerFinder) -> None:
        self.told: list[Sighting] = []
        self.watch = Watch(finder, Exchange(), Clock(), 60.0)
        self._news = trio.Event()
        nursery.start_soon(self.watch.run, self._take)

    def _take(self, sighting: Sighting) -> None:
        self.told.append(sighting)
        self._news.set()

    def expect(self, *values: str, name: str = WWW) -> None:
        key, now = RRsetKey(name, "A"), Clock().now()
        rrset = RRset(key, 60, values) if values else None
        self.watch.expect_nowait(ZONE, {key: Expected(key, rrset, "plan", now.mono, now.wall)})

    @property
    def seen(self) -> list[RRsetKey]:
        return [seen.expected.key for sighting in self.told for seen in sighting.seen]

    @property
    def lagging(self) -> dict[str, str]:
        """Server → what it says, as told last."""
        return {lag.server: lag.sentence for lag in (self.told[-1].lagging if self.told else ())}

    async def until(self, so: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not so():
                self._news = trio.Event()
                await self._news.wait()


def at(*servers: Named) -> ServerFinder:
    return ServerFinder(Exchange(), named=tuple(server.address for server in servers))


def told_as(server: Named) -> str:
    return f"127.0.0.1:{server.port}"


def put(server: Named, *values: str, name: str = WWW) -> None:
    """Somebody publishes these addresses there, at once."""

    def edit(update: dns.update.UpdateMessage) -> None:
        update.delete(f"{name}.", "A")
        for value in values:
            update.add(f"{name}.", 60, "A", value)

    server.change(ZONE, edit)


def secondary(start: StartNamed, primary: Named) -> Named:
    options = f"primaries port {primary.port} {{ 127.0.0.1; }}; masterfile-format text;"
    server = start(NamedZone(ZONE, "", options, "secondary"))
    server.rndc("retransfer", ZONE)
    return server


async def test_a_secondary_lags_until_it_transfers(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    primary = named(NamedZone(ZONE, "www A 192.0.2.1\n"), zone_defaults=OPEN)
    second = secondary(named, primary)
    watching = Watching(nursery, at(primary, second))
    watching.expect("192.0.2.1")
    await watching.until(lambda: watching.seen == [KEY])
    put(primary, "192.0.2.2")
    watching.expect("192.0.2.2")
    await watching.until(lambda: told_as(second) in watching.lagging)
    assert watching.lagging == {told_as(second): "answers 192.0.2.1 (TTL 60) for www.example.org A"}
    assert watching.seen == [KEY]
    second.rndc("retransfer", ZONE)
    await watching.until(lambda: watching.seen == [KEY, KEY])
    assert watching.lagging == {}


async def test_a_server_that_is_down_or_refuses_gives_no_answer(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    primary = named(NamedZone(ZONE, "www A 192.0.2.1\n"), zone_defaults=OPEN)
    down = secondary(named, primary)
    down.stop()
    elsewhere = named(NamedZone("example.net"))
    watching = Watching(nursery, at(primary, down, elsewhere))
    watching.expect("192.0.2.1")
    await watching.until(lambda: len(watching.lagging) == 2)
    assert watching.lagging == {
        told_as(down): "does not answer: connection refused",
        told_as(elsewhere): "answers REFUSED",
    }
    assert all(lag.silent for lag in watching.told[-1].lagging)
    down.start()
    # It may have been killed before the first transfer was on its disk.
    down.rndc("retransfer", ZONE)
    await watching.until(lambda: list(watching.lagging) == [told_as(elsewhere)])
    assert watching.seen == []


async def test_the_primary_names_the_servers_and_their_addresses(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    """``ns9`` is delegated to and has no address anywhere: left out, and told."""
    records = "www A 192.0.2.1\n@ NS ns9.example.net.\n"
    primary = named(NamedZone(ZONE, records))
    finder = ServerFinder(
        Exchange(), primary=primary.address, addresses=no_addresses, port=primary.port
    )
    watching = Watching(nursery, finder)
    watching.expect("192.0.2.1")
    await watching.until(lambda: watching.seen == [KEY])
    assert watching.told[-1].unasked == ("ns9.example.net has no address",)
    watching.expect("192.0.2.2")
    await watching.until(lambda: bool(watching.lagging))
    assert list(watching.lagging) == [f"ns1.example.org (127.0.0.1:{primary.port})"]


async def test_a_delegation_without_any_address_leaves_nobody_to_ask(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    primary = named(NamedZone("example.net"))
    finder = ServerFinder(
        Exchange(), primary=primary.address, addresses=no_addresses, name_servers=no_addresses
    )
    watching = Watching(nursery, finder)
    watching.expect("192.0.2.1")
    await watching.until(lambda: bool(watching.told))
    assert watching.told == [Sighting(ZONE, unverified="no name servers are known for example.org")]


async def test_a_name_that_is_delegated_away_is_not_answered_with_authority(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    primary = named(NamedZone(ZONE, "sub NS ns1\n"))
    watching = Watching(nursery, at(primary))
    watching.expect("192.0.2.1", name="www.sub.example.org")
    await watching.until(lambda: bool(watching.lagging))
    assert "without authority" in watching.lagging[told_as(primary)]


async def test_an_answer_too_long_for_udp_comes_by_tcp(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    values = tuple(f"192.0.2.{i}" for i in range(1, 101))
    primary = named(NamedZone(ZONE, "".join(f"www A {value}\n" for value in values)))
    watching = Watching(nursery, at(primary))
    watching.expect(*values)
    await watching.until(lambda: watching.seen == [KEY])


async def test_a_name_that_was_removed_is_absent_whatever_a_wildcard_says(
    nursery: trio.Nursery, named: StartNamed
) -> None:
    primary = named(NamedZone(ZONE, "www A 192.0.2.1\n* A 192.0.2.99\n"), zone_defaults=OPEN)
    second = secondary(named, primary)
    watching = Watching(nursery, at(primary, second))
    watching.expect("192.0.2.1")
    await watching.until(lambda: watching.seen == [KEY])
    put(primary)
    watching.expect()
    await watching.until(lambda: list(watching.lagging) == [told_as(second)])
    second.rndc("retransfer", ZONE)
    await watching.until(lambda: watching.seen == [KEY, KEY])
