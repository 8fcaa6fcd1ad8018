"""Values that the daemon's tests share: a plan, a lease, a report, and a box for events."""

from __future__ import annotations

from dnslb.model.lease import FencingToken, Lease
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.plan import Change, Plan
from dnslb.model.report import Report
from dnslb.model.rrset import RRset, RRsetKey

ZONE = "example.org"


def change(name: str = "www.example.org", *after: str) -> Change:
    key = RRsetKey(name, "A")
    return Change(key, None, RRset(key, 60, after or ("192.0.2.1",)), "for a test", "health")


def plan(*changes: Change, term: int = 0, zone: str = ZONE, basis: object = None) -> Plan:
    return Plan(zone, changes or (change(),), term, basis)


def lease(term: int = 0, nonce: str = "n1", until_boot: float = float("inf")) -> Lease:
    return Lease("here", FencingToken("owner", 1, term, nonce), until_boot)


def report(agent: str, at_mono: float, age_s: float = 0.0) -> Report:
    return Report(agent, MonitorList(), b"", at_mono, 0.0, age_s=age_s)
