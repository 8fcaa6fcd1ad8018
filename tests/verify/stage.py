"""Servers in memory, and a watch over them, under a mock clock; what a real server does is tried
with a real one (`test_named`)."""

from __future__ import annotations

from collections import Counter

import dns.message
import dns.rdatatype
import trio

from dnslb.model.publication import Expected, Lag, Sighting
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.clock import FakeClock
from dnslb.verify.answer import Answer, Records, Silence
from dnslb.verify.exchange import Exchange, Server
from dnslb.verify.servers import Found, NotKnown, ServerFinder
from dnslb.verify.watch import Watch

ZONE = "example.org"
NS1, NS2, NS3 = (Server(f"192.0.2.{i}", 53, f"ns{i}.example.org") for i in (1, 2, 3))
OLD, NEW = ("192.0.2.101",), ("192.0.2.102",)
DOWN = Silence("does not answer within 1 s")
NO_ROUTE = Silence("cannot be reached from here: network is unreachable", unreachable=True)


def key(name: str = "www", rtype: str = "A") -> RRsetKey:
    return RRsetKey(f"{name}.{ZONE}", rtype)


class Servers(Exchange):
    """What each server holds: for each key an answer, or one for everything. ``asked`` counts
    questions by server; ``delay_s`` is what an answer of a server takes."""

    def __init__(self, *servers: Server) -> None:
        super().__init__()
        self.holds: dict[Server, dict[RRsetKey, Answer]] = {server: {} for server in servers}
        self.always: dict[Server, Answer] = {}
        self.delay_s: dict[Server, float] = {}
        self.asked: Counter[Server] = Counter()
        self.names: list[tuple[Server, str]] = []

    def hold(self, values: tuple[str, ...], *keys: RRsetKey, at: tuple[Server, ...] = ()) -> None:
        for server in at or tuple(self.holds):
            for one in keys or (key(),):
                self.holds[server][one] = Records(values, 60) if values else Records()

    async def ask(self, server: Server, query: dns.message.Message, limit_s: float) -> Answer:
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        self.asked[server] += 1
        self.names.append((server, name))
        await trio.sleep(min(self.delay_s.get(server, 0.001), limit_s))
        if server in self.always:
            return self.always[server]
        return self.holds[server].get(
            RRsetKey(name, dns.rdatatype.to_text(asked.rdtype)), Records()
        )


class Finder(ServerFinder):
    """Finds these servers; ``fails``: what the next searches say instead."""

    def __init__(self, *servers: Server) -> None:
        super().__init__(Exchange())
        self.found = Found(servers)
        self.fails: list[str] = []
        self.searches = 0

    async def find(self, zone: str) -> Found:
        self.searches += 1
        await trio.sleep(0.001)
        if self.fails:
            raise NotKnown(self.fails.pop(0))
        return self.found


class Stage:
    """``told``: everything in its order; `state` is how it is now."""

    def __init__(self, *servers: Server, timeout_s: float = 60.0) -> None:
        self.servers = Servers(*servers)
        self.finder = Finder(*servers)
        self.watch = Watch(self.finder, self.servers, FakeClock(), timeout_s, luck=lambda: 0.0)
        self.told: list[Sighting] = []
        self.at: list[float] = []
        self.began = trio.current_time()

    def tell(self, sighting: Sighting) -> None:
        self.told.append(sighting)
        self.at.append(trio.current_time() - self.began)

    def applied(
        self, *keys: RRsetKey, values: tuple[str, ...] = NEW, plan_id: str | None = "plan"
    ) -> dict[RRsetKey, Expected]:
        now = FakeClock().now()
        return {
            k: Expected(k, RRset(k, 60, values) if values else None, plan_id, now.mono, now.wall)
            for k in keys or (key(),)
        }

    def expect(self, *keys: RRsetKey, values: tuple[str, ...] = NEW) -> dict[RRsetKey, Expected]:
        expected = self.applied(*keys, values=values)
        self.watch.expect_nowait(ZONE, expected)
        return expected

    @property
    def seen(self) -> list[RRsetKey]:
        return [seen.expected.key for sighting in self.told for seen in sighting.seen]

    @property
    def lagging(self) -> tuple[Lag, ...]:
        return self.told[-1].lagging if self.told else ()
