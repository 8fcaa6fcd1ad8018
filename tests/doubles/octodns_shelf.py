"""An octoDNS provider class of our own: one zone in a JSON file, and every way to go wrong.

Strict where it can be: it does per RRset what its plan says. ``fault`` names what it does wrong,
or, like many, in a way of its own; several are joined by "+". Each is something that a real class
does or can do. It also notes in a file beside which calls it got.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from octodns.provider.base import BaseProvider
from octodns.record import Record

NAME = "tests.doubles.octodns_shelf.Shelf"
Zone = dict[str, dict[str, list[Any]]]


class Shelf(BaseProvider):  # type: ignore[misc]
    SUPPORTS_GEO = False
    SUPPORTS_DYNAMIC = True
    SUPPORTS_ROOT_NS = True
    SUPPORTS = frozenset({"A", "AAAA", "ALIAS", "CNAME", "NS", "TXT"})

    def __init__(
        self, name: str, path: str, fault: str = "", token: str = "", **kwargs: Any
    ) -> None:
        self.log = logging.getLogger("shelf")
        self.path = Path(path)
        self.faults = fault.split("+")
        self.kept: Zone | None = None
        self.token = token
        self.readings = 0
        super().__init__(name, **kwargs)
        if "offline" in self.faults:
            raise ConnectionError("no route to shelf.example")

    def note(self, what: str) -> None:
        with self.path.with_suffix(".calls").open("a") as file:
            file.write(f"{what}\n")

    def list_zones(self) -> list[str]:
        self.note("list_zones")
        if "lists nothing" in self.faults:
            return []
        return ["example.org.", "Example.NET", "0/25.2.0.192.in-addr.arpa."]

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool | None:
        self.note("populate")
        self.readings += 1
        if "injects" in self.faults and self.readings == 2:
            change_zone(self.path, "foreign", "A", [60, ["198.51.100.77"]])
        if "injects ours" in self.faults and self.readings == 2:
            change_zone(self.path, "www", "A", [60, ["198.51.100.77"]])
        self._go_wrong("populate")
        kept = self.kept if "keeps records" in self.faults else None
        self.kept = kept or read_zone(self.path)
        for name, records in self.kept.items():
            for rtype, (ttl, values) in records.items():
                data: dict[str, Any] = {"type": rtype, "ttl": ttl}
                data |= values if isinstance(values, dict) else {"values": values}
                if rtype in ("CNAME", "ALIAS"):
                    data["value"] = data.pop("values")[0]
                zone.add_record(Record.new(zone, name, data, lenient=True), lenient=True)
        return None if "says nothing" in self.faults else "has no zone" not in self.faults

    def _include_change(self, change: Any) -> bool:
        if "leaves out" in self.faults:
            return False
        if "keeps ttl" in self.faults and change.new is not None:
            return bool(change.existing is None or change.existing.values != change.new.values)
        return True

    def _process_desired_zone(self, desired: Any) -> Any:
        if "writes others" in self.faults:
            for record in desired.records:
                if record._type == "A" and record.name == "www":
                    changed = record.copy()
                    changed.values = changed.values[:1]
                    desired.add_record(changed, replace=True)
        return super()._process_desired_zone(desired)

    def _apply(self, plan: Any) -> None:
        self.note("apply " + " ".join(sorted(str(c.record.fqdn) for c in plan.changes)))
        self._go_wrong("apply")
        if "writes the whole zone" in self.faults:
            zone: Zone = {}
            for record in plan.desired.records:
                values = getattr(record, "values", None) or [record.value]
                data = [record.ttl, [str(value) for value in values]]
                zone.setdefault(record.name, {})[record._type] = data
            self.path.write_text(json.dumps(zone))
            return
        for change in plan.changes:
            record = change.record
            if change.new is None:
                change_zone(self.path, record.name, record._type, None)
                continue
            ttl = max(record.ttl, 300) if "keeps ttl" in self.faults else record.ttl
            values = [str(value) for value in record.values]
            if "interferes" in self.faults:
                values = ["198.51.100.78"]
            if "forgets" not in self.faults:
                change_zone(self.path, record.name, record._type, [ttl, values])
        if "takes the marker" in self.faults:
            text = "dnslb owner=tests epoch=9 term=9 nonce=other"
            change_zone(self.path, "_dnslb", "TXT", [300, [text]])

    def _go_wrong(self, where: str) -> None:
        for fault in self.faults:
            what, _, at = fault.partition(" at ")
            if at == where:
                self._do(what)

    def _do(self, what: str) -> None:
        match what:
            case "raises":
                raise RuntimeError(f"no luck with {self.token} today")
            case "exits":
                sys.exit("the class has had enough")
            case "unauthorized":
                raise type("ShelfUnauthorized", (Exception,), {})("wrong token")
            case "crashes":
                print(f"dying with {self.token}", file=sys.stderr, flush=True)
                os._exit(7)
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                # Deaf as well: nothing but the kernel or SIGKILL gets through.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                time.sleep(3600)
            case "waits":
                while not self.path.with_suffix(".go").exists():
                    time.sleep(0.01)
            case "prints":
                print("to standard output, where answers go")
            case "babbles":
                write_everywhere(b'{"type": "Zones", "zones": [1]}\n')
            case "never ends":
                while True:
                    write_everywhere(b"x" * 65_536)
            case "shouts":
                print(self.token * 20_000, file=sys.stderr, flush=True)
                os._exit(8)


def write_everywhere(data: bytes) -> None:
    """To the worker's channel, too: no class has a reason to, and none is kept from it."""
    for descriptor in range(3, 12):
        try:
            os.write(descriptor, data)
        except OSError:
            continue


def read_zone(path: Path) -> Zone:
    zone: Zone = json.loads(path.read_text())
    return zone


def change_zone(path: Path, name: str, rtype: str, rrset: list[Any] | None) -> None:
    """By anybody. The file is replaced, so that a reader sees it old or new."""
    zone = read_zone(path)
    records = zone.setdefault(name, {})
    records.pop(rtype, None)
    if rrset is not None:
        records[rtype] = rrset
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(zone))
    new.replace(path)
