"""Monitors, lists and statuses as tests write them down, and bodies of every kind."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.sources.healthd_codec import (
    Matched,
    WireMonitors,
)

HTTP = Monitor("http", "10.0.0.1", 80)
TCP = Monitor("tcp", "10.0.0.1", 80)
OTHER = Monitor("tcp", "10.0.0.2", 443)
SIX = Monitor("tcp", "2001:db8::1", 443)
READY = Monitor("http", "10.0.0.2", 443, path="/ready")

BLANK = {"IP": "", "Port": 0, "Healthy": False, "Message": "", "DidChange": False}

# Bytes of all kinds: garbage, JSON of any shape, and lists that are nearly right.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
URLS = st.text("htps:/.[]019-_ é\n", max_size=20) | st.sampled_from([HTTP.url, SIX.url])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "IP": st.sampled_from(["", "10.0.0.1"]) | VALUES,
        "Port": st.sampled_from([0, 80]) | VALUES,
        "Healthy": st.booleans() | VALUES,
        "Message": VALUES,
        "id": st.sampled_from([HTTP.id, "x"]) | VALUES,
        "url": URLS | VALUES,
        "interval": st.floats() | VALUES,
        "expect": st.lists(st.integers(), max_size=3) | VALUES,
        "host": st.text(max_size=5) | VALUES,
    },
)
BODIES = (
    st.binary(max_size=100)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.lists(ENTRIES | URLS, max_size=3).map(lambda value: json.dumps(value).encode())
    | st.lists(ENTRIES, max_size=3).map(lambda value: json.dumps(value).encode()[:-2])
)


def wire(*monitors: Monitor, slots: tuple[int, ...] | None = None) -> WireMonitors:
    return WireMonitors(MonitorList(monitors, slots or tuple(range(len(monitors)))))


def status(monitor: Monitor, healthy: bool, message: str = "", **more: object) -> dict[str, object]:
    found = {"IP": monitor.host, "Port": monitor.port, "Healthy": healthy}
    return {**found, "Message": message, "DidChange": False, **more}


def legacy(
    monitors: WireMonitors, *statuses: dict[str, object], trust_position: bool = True
) -> Matched:
    body = json.dumps(statuses).encode()
    return monitors.match(body, rich=False, trust_position=trust_position)


def rich(monitors: WireMonitors, *statuses: dict[str, object]) -> Matched:
    return monitors.match(json.dumps(statuses).encode(), rich=True)
