"""The zones of the AutoDNS stand-in, and what search, reading and PATCH do to them.

Law: a change is made whole or not at all; what is to be removed must be named exactly as it
stands, and what is to be added must not be there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

PAGE_DEFAULT, PAGE_MAX, RECORDS_MAX = 100, 10_000, 10_000
SLIM = {
    "created", "updated", "origin", "nameServerGroup", "owner", "updater", "domainsafe",
    "wwwInclude", "virtualNameServer",
}  # fmt: skip
TYPES = frozenset(
    {
        "A", "AAAA", "ALIAS", "CAA", "CNAME", "DNSKEY", "DS", "HINFO", "HTTPS", "LOC", "MX",
        "NAPTR", "NS", "NSEC", "PROCEED", "PROCEED_MUC", "PTR", "RP", "SRV", "SSHFP", "SVCB",
        "TLSA", "TXT",
    }
)  # fmt: skip
PATCHES = {"resourceRecordsAdd", "resourceRecordsRem", "zoneGrantsAdd", "zoneGrantsRem", "grants"}
Answer = tuple[list[dict[str, Any]], str, int | None]


@dataclass
class Refused(Exception):
    """``details``: message codes, each with the value it is about."""

    status: int
    code: str
    text: str
    details: list[tuple[str, str]]


def record(name: str, rtype: str, value: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": rtype, "value": value, **more}


class Zones:
    def __init__(self) -> None:
        self.by_key: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0
        self.page_max = PAGE_MAX

    def add(
        self,
        origin: str,
        records: Iterable[dict[str, Any]] = (),
        name_server: str = "a.ns14.net",
        **more: Any,
    ) -> dict[str, Any]:
        """A zone as it stands; ``more``: fields beside or instead of the usual ones."""
        zone = {
            "created": "2024-01-02T10:00:00.000+0100",
            "updated": "2026-11-20T08:15:00.000+0100",
            "origin": origin,
            "soa": {
                "refresh": 43200,
                "retry": 7200,
                "expire": 1209600,
                "ttl": 86400,
                "email": f"ops@{origin}",
            },
            "nameServers": [{"name": f"{letter}{name_server[1:]}"} for letter in "abcd"],
            "nameServerGroup": name_server.partition(".")[2],
            "owner": {"context": 4, "user": "acme"},
            "updater": {"context": 4, "user": "acme"},
            "domainsafe": False,
            "wwwInclude": False,
            "purgeType": "DISABLED",
            "virtualNameServer": name_server,
            "action": "COMPLETE",
            "grants": [],
            "resourceRecords": list(records),
            "roid": 4711 + len(self.by_key),
            **more,
        }
        self.by_key[origin, name_server] = zone
        return zone

    def records(self, origin: str, name_server: str = "a.ns14.net") -> list[dict[str, Any]]:
        """The live list."""
        found: list[dict[str, Any]] = self.by_key[origin, name_server]["resourceRecords"]
        return found

    def answer(self, method: str, target: str, body: Any) -> Answer:
        parts = [unquote(part) for part in target.split("/")[1:]]
        match method, parts:
            case "POST", ["zone", "_search"]:
                return self._search(body)
            case "GET", ["zone", origin, name_server]:
                return [copy.deepcopy(self._get(origin, name_server))], "S0205", None
            case "PATCH", ["zone", origin, name_server]:
                self._patch(self._get(origin, name_server), body)
                return [{"origin": origin}], "S0202001", None
            case "GET", ["hello"]:
                return [], "S00000", None
        raise Refused(405, "E00000", f"{method} {target} gehört nicht zu den Tatsachen", [])

    def _get(self, origin: str, name_server: str) -> dict[str, Any]:
        zone = self.by_key.get((origin, name_server))
        if zone is None:
            raise Refused(404, "E0205", "Die Zone konnte nicht ermittelt werden.", [])
        return zone

    def _search(self, body: Any) -> Answer:
        unknown = set(body) - {"filters", "view", "orders"}
        if unknown or body.get("filters") or set(body.get("view", {})) - {
            "limit", "offset", "children", "from", "to",
        }:  # fmt: skip
            raise Refused(400, "E0205", "Abfrage", [("EF01000", str(unknown))])
        view = body.get("view", {})
        limit = min(view.get("limit", PAGE_DEFAULT), self.page_max)
        offset = view.get("offset", 0)
        found = [self.by_key[key] for key in sorted(self.by_key)]
        page = [{k: v for k, v in zone.items() if k in SLIM} for zone in found]
        return copy.deepcopy(page[offset : offset + limit]), "S0205", len(found)

    def _patch(self, zone: dict[str, Any], body: Any) -> None:
        if not isinstance(body, dict) or set(body) - PATCHES:
            raise Refused(400, "E0202001", "unbekanntes Feld", [("EF01000", str(body)[:60])])
        if any(body[key] is None for key in body):
            raise Refused(500, "E00000", "Interner Fehler", [])
        records = list(zone["resourceRecords"])
        for gone in body.get("resourceRecordsRem", []):
            if gone not in records:
                raise self._clash(zone, "EF02021", gone)
            records.remove(gone)
        for new in body.get("resourceRecordsAdd", []):
            self._check_new(zone, new)
            same = [r for r in records if _identity(r, zone) == _identity(new, zone)]
            if same:
                raise self._clash(zone, "EF02022", new)
            records.append(dict(new))
        self._check_whole(zone, records)
        zone["resourceRecords"] = records
        self.writes += 1
        zone["updated"] = f"2026-11-20T08:16:{self.writes % 60:02}.000+0100"

    def _check_new(self, zone: dict[str, Any], new: Any) -> None:
        fields = {"name": str, "ttl": int, "type": str, "value": str, "pref": int}
        for name, value in new.items():
            if not isinstance(value, fields.get(name, ())) or isinstance(value, bool):
                raise Refused(400, "E0202001", "Feld", [("EF01000", f"{name}={value!r}")])
        if new.get("type") not in TYPES or not new.get("value") or "name" not in new:
            raise Refused(400, "E0202001", "Record", [("EF01000", str(new))])
        if new["name"].endswith(zone["origin"]) or new["name"] == "@":
            raise Refused(400, "E0202001", "Name", [("EF01000", new["name"])])

    def _check_whole(self, zone: dict[str, Any], records: list[dict[str, Any]]) -> None:
        aliases = {_owner(r, zone) for r in records if r["type"] == "CNAME"}
        others = {_owner(r, zone) for r in records if r["type"] != "CNAME"}
        if aliases & others or len(records) > RECORDS_MAX:
            raise Refused(400, "E0202001", "CNAME neben anderem", [("EF02000", str(aliases))])

    def _clash(self, zone: dict[str, Any], code: str, about: dict[str, Any]) -> Refused:
        text = "Die Zone konnte auf dem Nameserver nicht aktualisiert werden."
        value = f"{about.get('name')}.{zone['origin']} {about.get('type')} {about.get('value')}"
        return Refused(400, "E0202001", text, [(code, value)])


def _owner(found: dict[str, Any], zone: dict[str, Any]) -> str:
    name = (found.get("name") or "").lower()
    if name.endswith("."):
        return name[:-1]
    return f"{name}.{zone['origin']}" if name else str(zone["origin"])


def _identity(found: dict[str, Any], zone: dict[str, Any]) -> tuple[object, ...]:
    return _owner(found, zone), found.get("type"), found.get("value"), found.get("pref")
