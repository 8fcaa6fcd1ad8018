"""What the octoDNS bridge costs beside octoDNS itself, in zones of 10 and of 10,000 records.

Run: ``python tests/bench/bench_octodns.py``. Reported, not asserted. The zones are octodns-bind's
at a real `named`; bare: the same class in this process, warm, one reading, or one reading and a
plan that is applied. Ours: a process for each pass, and three readings more at a change.
"""

from __future__ import annotations

import base64
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from octodns.provider.plan import Plan as OctodnsPlan
from octodns.record import Record
from octodns.zone import Zone
from octodns_bind import Rfc2136Provider

from dnslb.model.lease import FencingToken
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers import marker
from dnslb.providers.octodns import OctodnsProvider
from tests.system.named import KEY, Named, NamedZone

ZONE = "example.org"
TOKEN = FencingToken("bench", 1, 1, "n")
WWW = RRsetKey(f"www.{ZONE}", "A")
RUNS = 7
SIZES = (10, 10_000)


@contextmanager
def server(records: int) -> Iterator[dict[str, Any]]:
    """Settings for a server with so many records beside ours."""
    text = "".join(f"h{n} A 198.51.{n // 250 % 250}.{n % 250}\n" for n in range(records))
    text += f'www 60 A 192.0.2.1\n_dnslb 300 TXT "{marker.to_text(TOKEN)}"\n'
    with tempfile.TemporaryDirectory() as directory:
        named = Named(Path(directory), NamedZone(ZONE, text))
        try:
            secret = base64.b64encode(KEY.secret).decode()
            host, port = named.address
            yield {"host": host, "port": port, "key_name": f"{KEY.name}.", "key_secret": secret}
        finally:
            named.stop()


def median_ms(act: Callable[[int], object]) -> float:
    took = []
    for n in range(RUNS):
        began = time.perf_counter()
        act(n)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


def bare_read(provider: Any) -> Any:
    zone = Zone(f"{ZONE}.", [])
    provider.populate(zone, target=True, lenient=True)
    return zone


def bare_change(provider: Any, n: int) -> None:
    wanted = bare_read(provider).copy()
    data = {"type": "A", "ttl": 60, "value": f"192.0.2.{100 + n}"}
    wanted.add_record(Record.new(wanted, "www", data, lenient=True), replace=True, lenient=True)
    plan = provider.plan(wanted)
    ours = [change for change in plan.changes if change.record.name == "www"]
    provider.apply(OctodnsPlan(plan.existing, plan.desired, ours, plan.exists))


async def change(provider: OctodnsProvider, n: int) -> None:
    before = (await provider.read(ZONE, frozenset({WWW.name}))).rrsets[WWW]
    after = RRset(WWW, 60, (f"192.0.2.{n + 1}",))
    if before == after:
        after = RRset(WWW, 60, ("192.0.2.99",))
    plan = Plan(ZONE, (Change(WWW, before, after, "a bench", "health"),), TOKEN.term)
    write = await provider.prepare(plan, TOKEN)
    try:
        await write.send()
    finally:
        await write.aclose()


async def read(provider: OctodnsProvider) -> None:
    await provider.read(ZONE, frozenset({WWW.name}))


def measure(settings: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Bare and ours, in milliseconds."""
    theirs = Rfc2136Provider("bench", **settings)
    ours = OctodnsProvider("octodns_bind.Rfc2136Provider", settings, TOKEN.owner_id)
    return {
        "read": (
            median_ms(lambda n: bare_read(theirs)),
            median_ms(lambda n: trio.run(read, ours)),
        ),
        "read, then change": (
            median_ms(lambda n: bare_change(theirs, n)),
            median_ms(lambda n: trio.run(change, ours, n)),
        ),
    }


def main() -> None:
    print(f"medians of {RUNS}                        bare       ours   ratio")
    for size in SIZES:
        with server(size) as settings:
            rows = measure(settings)
        for what, (bare, ours) in rows.items():
            label = f"{size} records: {what}"
            print(f"{label:34} {bare:7.0f} ms {ours:7.0f} ms  {ours / bare:5.1f}")
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{size} records: largest process so far, named included: {largest:.0f} MB")


if __name__ == "__main__":
    main()
