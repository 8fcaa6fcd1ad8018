"""What 10,000 statuses cost to read, against `json.loads`, which only parses.

Run it by hand: ``python tests/bench/bench_codec.py``. Best of 30, in milliseconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.net.clock import Clock
from dnslb.sources.etcd_codec import Held
from dnslb.sources.etcd_follow import Seen
from dnslb.sources.etcd_reports import AgentKey
from dnslb.sources.healthd_codec import WireMonitors, read_monitors, write_statuses

COUNT = 10_000


def best_ms(work: Callable[[], object], times: int = 30) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found) * 1e3


def etcd_values(wire: WireMonitors, legacy: bytes) -> tuple[Callable[[], object], ...]:
    """Reads what a healthd stored: always the same statuses, or two lists in turn."""
    at = Now(0.0, 0.0, 1e9)
    values = [legacy, legacy.replace(b"true", b"false", 1)]

    def reader(values: list[bytes]) -> Callable[[], object]:
        key = AgentKey("a", Clock(), Counter(), lambda: (wire, True), lambda agent, error: None)
        turns = count()

        def read() -> object:
            turn = next(turns)
            value = values[turn % len(values)]
            return key._to_report(Seen(Held("a", value, turn), at, stored=False), value)

        read()
        return read

    whole = [b'{"Status":%b,"Time":%d}' % (values[i], 1_000_000_000 + i) for i in (0, 1)]
    later = b'{"Status":%b,"Time":1000000030}' % values[0]
    return reader([whole[0], later]), reader(whole)


def main() -> None:
    monitors = tuple(
        Monitor("http", f"10.0.{n // 250}.{n % 250}", 8080, path="/healthz") for n in range(COUNT)
    )
    wire = WireMonitors(MonitorList(monitors, tuple(range(COUNT))))
    votes = bytes([1]) * (COUNT - 1) + bytes([2])
    legacy_list = read_monitors(wire.legacy_body, rich=False)
    rich_list = read_monitors(wire.rich_body, rich=True)
    legacy = write_statuses(legacy_list, votes, {COUNT - 1: "connection refused"})
    rich = write_statuses(rich_list, votes, {COUNT - 1: "connection refused"})
    same = bytes(bytearray(legacy))
    etcd_same, etcd_other = etcd_values(wire, legacy)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("json.loads, legacy body (baseline)", lambda: json.loads(legacy)),
        ("json.loads, rich body (baseline)", lambda: json.loads(rich)),
        ("parse and match, legacy by position", lambda: wire.match(legacy, rich=False)),
        (
            "parse and match, legacy by address",
            lambda: wire.match(legacy, rich=False, trust_position=False),
        ),
        ("parse and match, rich by id", lambda: wire.match(rich, rich=True)),
        ("compare an unchanged body", lambda: legacy == same),
        ("a value in etcd, only its Time is new", etcd_same),
        ("a value in etcd, one status is new", etcd_other),
        ("write legacy statuses", lambda: write_statuses(legacy_list, votes, {})),
        ("write rich statuses", lambda: write_statuses(rich_list, votes, {})),
        ("read a rich list", lambda: read_monitors(wire.rich_body, rich=True)),
    ]
    print(f"{COUNT} statuses, legacy body {len(legacy)} bytes, rich body {len(rich)} bytes")
    for name, work in rows:
        print(f"{name:40}{best_ms(work):9.3f} ms")


if __name__ == "__main__":
    main()
