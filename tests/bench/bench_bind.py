"""How fast a real BIND is written and compared; beside each figure the bare floor of the same run.

Run: ``python tests/bench/bench_bind.py``. Reported, not asserted. Goals: the provider adds ≤ 5 ms
(median) to a bare update; a decision is answered within ≤ 15 ms (median); 1,000 names of one zone
change within ≤ 1.5 s; comparing 10,000 records holds the event loop ≤ 20 ms.

The bare update is the provider's own message, signed beforehand, sent over a kept connection: what
is left is BIND, its journal on the disk, and the loopback.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import dns.asyncbackend
import dns.asyncquery
import dns.query
import dns.update
import dns.xfr
import dns.zone
import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.daemon.instance import Instance
from dnslb.daemon.load import load_config
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.plan import Change, Plan
from dnslb.model.report import DOWN, UP, Report
from dnslb.model.rrset import RRset
from dnslb.net.clock import Clock
from dnslb.ports.source import Deliver
from dnslb.ports.watched import Watched
from dnslb.providers.rfc2136 import BATCH_MAX, Rfc2136Provider
from dnslb.providers.rfc2136_wire import Update, address_rdata, dns_key, query
from tests.providers.rfc2136_stage import TOKEN, WWW, ZONE, a, provider_on
from tests.system.named import HOST, KEY, Named, NamedZone, key_statement

ROUNDS = 200
NAMES = tuple(f"n{i}.{ZONE}" for i in range(1000))
RECORDS = "".join(f"{name}. 60 A 192.0.2.1\n" for name in (WWW, *NAMES))
SCANNED = 10_000
TURNS = 15


def show(label: str, taken: list[float], floor: float | None = None) -> float:
    """Milliseconds; returns the median. ``floor``: the median to hold it against."""
    taken.sort()
    median = statistics.median(taken)
    against = "" if floor is None else f"   {median - floor:+7.2f} ms   x {median / floor:5.2f}"
    print(f"{label:52} median {median:8.2f} ms   max {taken[-1]:8.2f} ms{against}")
    return median


async def timed(deed: Awaitable[object]) -> float:
    began = time.perf_counter()
    await deed
    return (time.perf_counter() - began) * 1e3


@contextmanager
def server_with(records: str) -> Iterator[Named]:
    with tempfile.TemporaryDirectory() as directory:
        server = Named(Path(directory), NamedZone(ZONE, records))
        try:
            yield server
        finally:
            server.stop()


# ------------------------------------------------------------------------------- one change


def changed(before: RRset, octet: int) -> Change:
    return Change(before.key, before, a(before.key.name, f"192.0.2.{octet}"), "bench", "health")


async def write(provider: Rfc2136Provider, *changes: Change) -> None:
    prepared = await provider.prepare(Plan(ZONE, changes, TOKEN.term), TOKEN)
    try:
        await prepared.send()
    finally:
        await prepared.aclose()


def bare_update(names: tuple[str, ...], octet: int) -> Callable[[int], bytes]:
    update = Update(ZONE)
    for name in names:
        update.replace(name, "A", 60, [address_rdata(f"192.0.2.{octet}")])
    return update.to_wire


async def wait_answered(ask: Callable[[], Awaitable[bytes]], octet: int) -> None:
    wanted = bytes([192, 0, 2, octet])
    while wanted not in await ask():
        await trio.lowlevel.checkpoint()


async def one_change(server: Named) -> float:
    """Returns the floor."""
    backend = dns.asyncbackend.get_backend("trio")
    bare, theirs, ours, answered = list[float](), list[float](), list[float](), list[float]()
    before = a(WWW, "192.0.2.1")
    async with provider_on(server, takes=TOKEN) as provider, asker(server) as ask:
        link = provider._link
        for i in range(ROUNDS):
            octet = 10 + 4 * (i % 60)
            async with link.visit() as visit:
                request = link.sign(bare_update((WWW,), octet))
                bare.append(await timed(visit.send(request)))

            async def by_dnspython(octet: int = octet + 1) -> None:
                update = dns.update.UpdateMessage(ZONE, keyring=dns_key(KEY))
                update.replace(f"{WWW}.", 60, "A", f"192.0.2.{octet}")
                await dns.asyncquery.tcp(update, HOST, port=server.port, backend=backend)

            theirs.append(await timed(by_dnspython()))
            before = a(WWW, f"192.0.2.{octet + 1}")
            ours.append(await timed(write(provider, changed(before, octet + 2))))
            before = a(WWW, f"192.0.2.{octet + 2}")

            async def until_answered(before: RRset = before, octet: int = octet + 3) -> None:
                await write(provider, changed(before, octet))
                await wait_answered(ask, octet)

            answered.append(await timed(until_answered()))
    floor = show("bare update, signed before, kept connection", bare)
    show("dnspython: build, sign, connect, update", theirs, floor)
    show("provider: prepare (rehearsed) and send", ours, floor)
    show("provider: prepare, send, and answered", answered, floor)
    return floor


@asynccontextmanager
async def asker(server: Named) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Asks for the address of www by UDP, without a parser."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.connect(server.address)

        async def ask() -> bytes:
            await socket.send(query(WWW, "A", 7))
            return await socket.recv(512)

        yield ask


# ------------------------------------------------------------------------------- 1,000 names


async def thousand_names(server: Named) -> None:
    batches = [NAMES[at : at + BATCH_MAX] for at in range(0, len(NAMES), BATCH_MAX)]
    bare, ours = list[float](), list[float]()
    async with provider_on(server, takes=TOKEN) as provider:
        link = provider._link

        async def floor(octet: int) -> None:
            async with link.visit() as visit:
                for batch in batches:
                    await visit.send(link.sign(bare_update(batch, octet)))

        async def all_of_them(octet: int) -> None:
            for batch in batches:
                changes = (changed(a(name, f"192.0.2.{octet - 1}"), octet) for name in batch)
                await write(provider, *changes)

        for round_ in range(5):
            bare.append(await timed(floor(10 + 2 * round_)))
            ours.append(await timed(all_of_them(11 + 2 * round_)))
    median = show("1,000 names: bare, five updates", bare)
    show("1,000 names: provider", ours, median)


# ---------------------------------------------------------------------------- the drift scan


class Turns(trio.abc.Instrument):
    """The longest time between two visits of the event loop to the world; of this thread's own
    time, so that what else runs on this machine does not count."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0

    def after_io_wait(self, timeout: float) -> None:
        self._began = time.thread_time()

    def before_io_wait(self, timeout: float) -> None:
        if self._began:
            self.longest_s = max(self.longest_s, time.thread_time() - self._began)


async def with_turns(deed: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds: the whole, and the longest turn."""
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    await trio.sleep(0.001)
    whole = await timed(deed())
    await trio.sleep(0.001)  # so that the last turn ends while it is watched
    trio.lowlevel.remove_instrument(turns)
    return whole, turns.longest_s * 1e3


async def drift_scan(server: Named) -> None:
    names = frozenset(f"s{i}.{ZONE}" for i in range(SCANNED))

    async def by_dnspython() -> None:
        zone = dns.zone.Zone(ZONE)
        request, _ = dns.xfr.make_query(zone, keyring=dns_key(KEY))
        backend = dns.asyncbackend.get_backend("trio")
        await dns.asyncquery.inbound_xfr(HOST, zone, request, port=server.port, backend=backend)

    async with provider_on(server) as provider:

        async def scan() -> None:
            assert len((await provider.read(ZONE, names, scan=True)).rrsets) == SCANNED

        ours = [await with_turns(scan) for _ in range(TURNS)]
        theirs = [await with_turns(by_dnspython) for _ in range(3)]
        # Collecting what lives since the start takes most of the longest turn.
        gc.collect()
        gc.freeze()
        frozen = [await with_turns(scan) for _ in range(TURNS)]
        gc.unfreeze()
    median = show("10,000 records: dnspython's transfer", [whole for whole, _ in theirs])
    show("10,000 records: scan", [whole for whole, _ in ours], median)
    median = show("  longest turn of the loop: dnspython", [turn for _, turn in theirs])
    show("  longest turn of the loop: scan", [turn for _, turn in ours], median)
    show("  longest turn: scan, after gc.freeze()", [turn for _, turn in frozen], median)


# -------------------------------------------------------------------------- the whole daemon


class Told:
    """A source that tells what the bench says."""

    def __init__(self) -> None:
        self.ready = trio.Event()

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        self.deliver, self.monitors = deliver, monitors.value
        self.ready.set()
        await trio.sleep_forever()


def config_in(directory: Path, server: Named, names: tuple[str, ...]) -> Path:
    (directory / "state").mkdir()
    (directory / "tsig.key").write_text(key_statement(KEY))
    rows = "\n".join(
        f'[lb."{name}"]\nendpoints = ["tcp://192.0.2.1:80", "tcp://192.0.2.2:80"]\nup-after = 0'
        for name in names
    )
    path = directory / "dnslb.toml"
    path.write_text(
        'election = "singleton"\ninstance-identifier = "b"\nagents = ["a1", "a2", "a3"]\n'
        f'provider = "bind"\nowner-id = "bench"\nbind-server = "{HOST}:{server.port}"\n'
        f'bind-key-file = "{directory / "tsig.key"}"\nstate-dir = "{directory / "state"}"\n'
        f'control-socket = "{directory / "s.sock"}"\nzone-sync-interval-upload = 0.001\n'
        f'adopt-existing = true\nverify-servers = "off"\n{rows}\n[guard]\n'
        'max-withdraw-total = "100%"\n'
    )
    return path


@asynccontextmanager
async def daemon_on(
    server: Named, names: tuple[str, ...]
) -> AsyncIterator[tuple[Callable[[str, int], Awaitable[None]], Instance]]:
    """A daemon whose agents are the bench; what it yields first tells one agent's vote on the
    second endpoint of all load balancers."""
    with tempfile.TemporaryDirectory() as name:
        config = load_config(["-cfg", str(config_in(Path(name), server, names))], {})
        clock, told = Clock(), Told()
        instance = Instance(replace(config, port_given=False), clock=clock, more_sources=(told,))

        async def say(agent: str, vote: int) -> None:
            now = clock.now()
            monitors = told.monitors.monitors
            votes = bytes(UP if m.host == "192.0.2.1" else vote for m in monitors)
            await told.deliver(Report(agent, told.monitors, votes, now.mono, now.wall))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(instance.run)
            await told.ready.wait()
            for agent in config.agents:
                await say(agent, UP)
            await instance.status.wait_value(
                lambda s: all(len(s.loadbalancers[n].published or ()) == 2 for n in names)
            )
            yield say, instance
            instance.stop()


async def wait_shown(ask: Callable[[], Awaitable[bytes]], shown: bool) -> None:
    """Until the second address is answered, or no longer is. A busy poll would take the
    interpreter from the daemon, which is in this process."""
    while True:
        if (bytes([192, 0, 2, 2]) in await ask()) == shown:
            return
        await trio.sleep(0.0005)


async def decisions(server: Named, floor: float) -> None:
    taken = []
    async with daemon_on(server, (WWW,)) as (say, _), asker(server) as ask:
        vote = UP
        for _ in range(ROUNDS):
            await trio.sleep(0.02)
            vote = DOWN if vote == UP else UP
            # The third agent always says up: the second "down" decides, or the first "up".
            decides, other = ("a2", "a1") if vote == DOWN else ("a1", "a2")
            if vote == DOWN:
                await say(other, vote)
            await trio.sleep(0.005)
            began = time.perf_counter()
            await say(decides, vote)
            await wait_shown(ask, vote == UP)
            taken.append((time.perf_counter() - began) * 1e3)
            await say(other, vote)
    show("daemon: deciding report -> answered", taken, floor)


async def thousand_decisions(server: Named) -> None:
    taken = []
    async with daemon_on(server, NAMES) as (say, instance):
        vote = UP
        for _ in range(6):
            await trio.sleep(0.5)
            vote = DOWN if vote == UP else UP
            decides, other = ("a2", "a1") if vote == DOWN else ("a1", "a2")
            if vote == DOWN:
                await say(other, vote)
            await trio.sleep(0.5)
            began = time.perf_counter()
            await say(decides, vote)
            wanted = 2 if vote == UP else 1
            await instance.status.wait_value(
                lambda s, wanted=wanted: all(  # type: ignore[misc]
                    len(s.loadbalancers[n].published or ()) == wanted for n in NAMES
                )
            )
            taken.append((time.perf_counter() - began) * 1e3)
            await say(other, vote)
    show("daemon: 1,000 names, deciding report -> applied", taken)


def main() -> None:
    with server_with(RECORDS) as server:
        floor = trio.run(one_change, server)
        trio.run(thousand_names, server)
    with server_with("".join(f"s{i} 60 A 192.0.2.1\n" for i in range(SCANNED))) as server:
        trio.run(drift_scan, server)
    with server_with("") as server:
        trio.run(partial(decisions, server, floor))
    with server_with("") as server:
        trio.run(thousand_decisions, server)


if __name__ == "__main__":
    main()
