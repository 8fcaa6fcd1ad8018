"""Watches the servers of each zone until they answer what was applied; see `ports.verifier`.

A task for each zone in which something is expected, and in it one for each server. Nobody waits
for any of them: what comes of it is told as values.

Law: an RRset is seen when every server that can be asked was seen to answer it, since it was
expected; where nobody can be asked, nothing is. Nothing is told twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import trio

from dnslb.model.publication import Expected, Seen, Sighting
from dnslb.model.rrset import RRsetKey
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.verify.exchange import Exchange, Server
from dnslb.verify.line import Line
from dnslb.verify.servers import Found, NotKnown, ServerFinder

SERVERS_S_MAX = 300.0
"""After which it is asked anew who the servers of a zone are."""
_SEARCH = Backoff(first_s=1.0, max_s=60.0, factor=2.0, jitter=0.2)

Tell = Callable[[Sighting], None]
Luck = Callable[[], float]


class Watch:
    """Implements `dnslb.ports.verifier.Verifier`. ``timeout_s``: `-verify-timeout`."""

    def __init__(
        self,
        finder: ServerFinder,
        exchange: Exchange,
        clock: Clock,
        timeout_s: float,
        luck: Luck = random.random,
    ) -> None:
        self._finder = finder
        self._exchange = exchange
        self._clock = clock
        self.timeout_s = timeout_s
        self.luck = luck
        self._zones: dict[str, ZoneWatch] = {}
        self._found: dict[str, tuple[Found, float]] = {}
        self._nursery: trio.Nursery | None = None
        self._tell: Tell | None = None

    def expect_nowait(self, zone: str, expected: Mapping[RRsetKey, Expected]) -> None:
        watch = self._zones.get(zone)
        if watch is None:
            if not expected:
                return
            watch = self._zones[zone] = ZoneWatch(zone, self)
            if self._nursery is not None:
                self._nursery.start_soon(self._run_zone, watch)
        watch.expect(expected)

    async def run(self, tell: Tell) -> None:
        self._tell = tell
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for watch in self._zones.values():
                nursery.start_soon(self._run_zone, watch)
            await trio.sleep_forever()

    async def _run_zone(self, watch: ZoneWatch) -> None:
        await watch.run()
        # No wait since it found that nothing is expected: whatever comes now is a new watch.
        del self._zones[watch.zone]

    # ------------------------------------------------------------------- for the zones' watches

    def tell(self, sighting: Sighting) -> None:
        assert self._tell is not None
        self._tell(sighting)

    def line(self, zone: str, server: Server) -> Line:
        return Line(zone, server, self._exchange)

    def mono(self) -> float:
        return self._clock.now().mono

    async def find(self, zone: str) -> Found:
        """The servers as found lately; older ones where they cannot be found now. Raises
        `NotKnown`."""
        known = self._found.get(zone)
        if known is not None and self.mono() < known[1] + SERVERS_S_MAX:
            return known[0]
        try:
            found = await self._finder.find(zone)
        except NotKnown:
            if known is None:
                raise
            found = known[0]
        self._found[zone] = (found, self.mono())
        return found


class ZoneWatch:
    """What is expected in one zone, and its servers."""

    def __init__(self, zone: str, watch: Watch) -> None:
        self.zone = zone
        self._watch = watch
        self._expected: dict[RRsetKey, Expected] = {}
        self._lines: dict[Server, Line] = {}
        self._left_out: tuple[str, ...] = ()
        self._told = Sighting(zone)
        self._over = trio.Event()

    def expect(self, expected: Mapping[RRsetKey, Expected]) -> None:
        """Replaces what was expected; what is the same goes on being watched."""
        known = self._expected.get
        # Most are the very objects of last time, and there can be thousands.
        new = {k: e for k, e in expected.items() if known(k) is not e and known(k) != e}
        gone = self._expected.keys() - expected.keys()
        # The very objects that are being asked for stay: lines know them by identity.
        kept = {k: e for k, e in self._expected.items() if k in expected and k not in new}
        self._expected = {**new, **kept}
        for line in self._lines.values():
            line.expect(new, gone)
        if not self._expected:
            self._over.set()

    async def run(self) -> None:
        """Until nothing is expected."""
        while self._expected:
            self._over = trio.Event()
            found = await self._find()
            if found is not None:
                await self._ask(found)

    async def _find(self) -> Found | None:
        """Who is to be asked; None when nothing is expected any more."""
        attempt = 0
        while self._expected:
            try:
                return await self._watch.find(self.zone)
            except NotKnown as e:
                self._tell_state(Sighting(self.zone, unverified=str(e)))
            attempt += 1
            with trio.move_on_after(_SEARCH.delay_s(attempt, self._watch.luck())):
                await self._over.wait()
        return None

    async def _ask(self, found: Found) -> None:
        """Until nothing is expected, or it is time to look again who the servers are."""
        old, self._lines = self._lines, {}
        self._left_out = found.left_out
        for server in found.servers:
            line = old.get(server) or self._watch.line(self.zone, server)
            if server not in old:
                line.expect(self._expected, set())
            self._lines[server] = line
        self._settle()  # the last one that lagged may be none of them any more
        async with trio.open_nursery() as nursery:
            for line in self._lines.values():
                nursery.start_soon(self._ask_server, line)
            with trio.move_on_after(SERVERS_S_MAX):
                await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _ask_server(self, line: Line) -> None:
        while True:
            line.news = trio.Event()
            pause_s = float("inf")
            if line.missing:
                await line.round()
                self._settle()
            if line.missing:
                watch = self._watch
                pause_s = line.pause_s(watch.mono(), watch.timeout_s, watch.luck())
            with trio.move_on_after(pause_s):
                await line.news.wait()

    def _settle(self) -> None:
        """What all servers were seen to answer is over; whatever is new is told."""
        mono = self._watch.mono()
        lines = [line for line in self._lines.values() if line.unreachable is None]
        seen: list[Seen] = []
        if lines:
            missing = set().union(*(line.missing for line in lines))
            for key in [key for key in self._expected if key not in missing]:
                expected = self._expected.pop(key)
                seen.append(Seen(expected, mono - expected.applied_mono))
                for line in self._lines.values():
                    line.expect({}, {key})
        cut_off = [f"{i.server} {i.unreachable}" for i in self._lines.values() if i.unreachable]
        lags = [line.to_lag(mono, self._watch.timeout_s) for line in lines]
        state = Sighting(
            self.zone,
            lagging=tuple(lag for lag in lags if lag is not None),
            unasked=(*self._left_out, *cut_off) if lines else (),
            unverified=None if lines else "; ".join((*self._left_out, *cut_off)),
        )
        self._tell_state(state, tuple(seen))
        if not self._expected:
            self._over.set()

    def _tell_state(self, state: Sighting, seen: tuple[Seen, ...] = ()) -> None:
        if seen or state != self._told:
            self._told = state
            self._watch.tell(replace(state, seen=seen))
