"""Which metrics there are: the original's by name, type and label, and ours."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dnslb.metrics.counters import SYNC_MS_BOUNDS, Counters
from dnslb.metrics.exposition import Histogram
from dnslb.metrics.families import BuildInfo, by_label, families, total
from dnslb.model.cluster import ClusterView
from dnslb.model.lease import FencingToken, Lease
from dnslb.model.operator import OperatorState, Pause
from dnslb.model.publication import Lag
from dnslb.model.status import Status, ZoneView
from tests.doubles.operations import ALONE, NOW, WALL, change, ep, lb, picture, row

BUILD = BuildInfo("0.1.0", "singleton", "file", "here", NOW.later(-60))
STATUS = picture(
    lb("a.example.org", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.2:80", "down")),
    lb("b.example.org", ep("tcp://192.0.2.3:80", "unknown"), state="unknown", published=None),
    changes=(change(), change("h", state="held"), change("done", state="applied")),
    attention=(row(), row("info")),
    counters={
        "reports": 7.0,
        "writes:example.org": 2.0,
        "writes:example.net": 1.0,
        "write_failures:example.org": 3.0,
        "read_failures": 1.0,
        "loop_stalls": 4.0,
        "commit_failures": 5.0,
    },
    verdicts={"up": 1, "down": 1, "unknown": 1},
)
Samples = dict[str, dict[tuple[str, ...], float]]

# Name → type and label, as in the Go program's metrics.go.
ORIGINAL = {
    "general_errors_total": ("counter", None),
    "dnscontroller_errors_dns": ("counter", None),
    "dnscontroller_lb_updates_total": ("counter", None),
    "dnscontroller_zone_updates_by_name": ("counter", "zone"),
    "etcdcontroller_errors_etcd": ("counter", None),
    "etcdcontroller_agents_total": ("gauge", None),
    "etcdcontroller_agents_up": ("gauge", None),
    "etcdcontroller_agents_down": ("gauge", None),
    "etcdcontroller_agents_status_age": ("gauge", "agent"),
    "etcdcontroller_agent_healthy_endpoints": ("gauge", "agent"),
    "etcdcontroller_lb_total_endpoints": ("gauge", "lb"),
    "etcdcontroller_lb_healthy_endpoints": ("gauge", "lb"),
    "etcdcontroller_lb_unhealthy_endpoints": ("gauge", "lb"),
    "dnscontroller_dns_sync_time": ("histogram", None),
    "etcdcontroller_etcd_sync_time": ("histogram", None),
    "etcdcontroller_etcd_monitor_sync_time": ("histogram", None),
}


def text_of(status: Status = STATUS, cluster: ClusterView = ALONE, **given: object) -> str:
    counters = Counters(**given)  # type: ignore[arg-type]
    return "".join(f.text() for f in families(status, cluster, counters, BUILD, NOW))


def samples_of(text: str) -> Samples:
    found: Samples = {}
    # The parser appends _total to what is called a counter; it is names that are looked at here.
    for family in text_string_to_metric_families(text.replace(" counter\n", " gauge\n")):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize("name", ORIGINAL)
def test_the_original_s_metrics_keep_name_type_and_label(name: str) -> None:
    kind, label = ORIGINAL[name]
    lines = text_of().splitlines()
    assert f"# TYPE {name} {kind}" in lines
    suffix = "_bucket" if kind == "histogram" else ""
    own = [line for line in lines if line.startswith((f"{name}{suffix}{{", f"{name}{suffix} "))]
    assert own
    if label is not None:
        assert all(line.startswith(f'{name}{{{label}="') for line in own)
    elif kind != "histogram":
        assert len(own) == 1


def test_the_original_s_buckets() -> None:
    assert SYNC_MS_BOUNDS == (20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)


def test_no_name_comes_twice_and_all_others_are_ours() -> None:
    types = [line.split()[2] for line in text_of().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    assert all(name.startswith("dnslb_") for name in set(types) - set(ORIGINAL))


def test_their_values() -> None:
    found = samples_of(text_of(etcd_errors=2, faults=1))
    assert found["general_errors_total"] == {(): 3 + 1 + 5 + 2 + 1}
    assert found["dnscontroller_errors_dns"] == {(): 4}
    assert found["dnscontroller_lb_updates_total"] == {(): 7}
    assert found["dnscontroller_zone_updates_by_name"] == {
        ("example.org",): 2,
        ("example.net",): 1,
    }
    assert found["etcdcontroller_lb_total_endpoints"][("a.example.org",)] == 2
    assert found["etcdcontroller_lb_healthy_endpoints"][("a.example.org",)] == 1
    assert found["etcdcontroller_lb_unhealthy_endpoints"][("b.example.org",)] == 1
    assert found["etcdcontroller_agents_status_age"][("a1",)] == 2
    assert found["etcdcontroller_agent_healthy_endpoints"][("a1",)] == 1


def test_silent_agents_are_down_and_age() -> None:
    first, second, third = STATUS.agents
    silent = replace(first, fresh=False, seen_mono=NOW.mono - 100)
    never = replace(second, fresh=False, seen_mono=None, report=None)
    found = samples_of(text_of(replace(STATUS, agents=(silent, never, third))))
    assert found["etcdcontroller_agents_total"] == {(): 3}
    assert found["etcdcontroller_agents_up"] == {(): 1}
    assert found["etcdcontroller_agents_down"] == {(): 2}
    assert found["etcdcontroller_agents_status_age"] == {("a1",): 100, ("a3",): 2}
    assert found["etcdcontroller_agent_healthy_endpoints"][("a1",)] == 0
    assert {agent for agent, _ in found["dnslb_votes"]} == {"a3"}


def test_decisions() -> None:
    found = samples_of(text_of())
    assert found["dnslb_loadbalancers"] == {
        ("healthy",): 1,
        ("degraded",): 0,
        ("down",): 0,
        ("unknown",): 1,
    }
    assert found["dnslb_published_addresses"] == {("a.example.org",): 1}
    assert found["dnslb_votes"][("a1", "down")] == 1
    assert found["dnslb_verdicts"] == {("up",): 1, ("down",): 1, ("unknown",): 1}
    assert found["dnslb_changes"] == {("pending",): 1, ("held",): 1, ("applying",): 0}
    assert found["dnslb_held_changes"] == {(): 1}
    assert found["dnslb_attention"] == {("critical",): 1, ("warning",): 0, ("info",): 1}
    assert found["dnslb_zone_last_success_timestamp_seconds"] == {("example.org",): WALL - 90}


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    zone = ZoneView("example.org", None, None, False, 3, "refused", "waiting")
    status = replace(STATUS, verdicts=None, zones={"example.org": zone}, lease=None)
    found = samples_of(text_of(status, ClusterView("follower", None, None, ())))
    for name in (
        *("dnslb_verdicts", "dnslb_zone_last_success_timestamp_seconds", "dnslb_term"),
        *("dnslb_lease_remaining_seconds", "dnslb_zone_last_read_timestamp_seconds"),
    ):
        assert name not in found
    assert found["dnslb_zone_failures"] == {("example.org",): 3}


def test_servers_that_lag_are_labels_and_others_are_not() -> None:
    lag = Lag("ns2 (192.0.2.53)", False, "answers 192.0.2.1", ("x A",), 7, WALL - 12, True)
    zone = ZoneView("example.org", WALL, WALL, False, 0, None, None, lagging=(lag,))
    blind = replace(zone, name="example.net", lagging=(), unverified="nobody is known")
    status = replace(STATUS, zones={zone.name: zone, blind.name: blind})
    found = samples_of(text_of(status))
    assert found["dnslb_zone_server_lagging"] == {("example.org", "ns2 (192.0.2.53)"): 7}
    assert found["dnslb_zone_server_lag_seconds"] == {("example.org", "ns2 (192.0.2.53)"): 12}
    assert found["dnslb_zone_unverified"] == {("example.net",): 1}


def test_authority() -> None:
    found = samples_of(text_of())
    assert found["dnslb_leader"] == found["dnslb_leader_known"] == {(): 1}
    assert found["dnslb_lease_held"] == {(): 1}
    assert found["dnslb_lease_remaining_seconds"] == {(): math.inf}
    late = Lease("here", FencingToken("o", 1, 1, "n"), good_until_boot=NOW.boot - 1)
    found = samples_of(
        text_of(replace(STATUS, lease=late), ClusterView("follower", 3, ("b", "x"), ()))
    )
    assert found["dnslb_leader"] == found["dnslb_lease_held"] == {(): 0}
    assert found["dnslb_lease_remaining_seconds"] == {(): 0}
    assert found["dnslb_term"] == {(): 3}


def test_what_people_did_shows() -> None:
    operator = OperatorState(pauses={"": Pause("", "r", "kim", WALL)})
    found = samples_of(text_of(replace(STATUS, operator=operator, gate="cold start")))
    assert found["dnslb_paused"] == found["dnslb_gate_closed"] == {(): 1}


def test_the_daemon_s_own_counters() -> None:
    counters = Counters()
    counters.count_stall(0.5)
    counters.count_stall(0.2)
    counters.refused[("control", "body_size")] += 2
    counters.dns_sync_ms.observe(30)
    counters.decided_to_applied_s.observe(0.004)
    text = "".join(f.text() for f in families(STATUS, ALONE, counters, BUILD, NOW))
    found = samples_of(text)
    assert found["dnslb_loop_stalls_total"] == {(): 4}
    assert found["dnslb_loop_stall_seconds_max"] == {(): 0.5}
    assert found["dnslb_refused_total"] == {("control", "body_size"): 2}
    assert found["dnscontroller_dns_sync_time_bucket"][("40",)] == 1
    assert found["dnslb_decision_to_applied_seconds_count"] == {(): 1}
    assert found["dnslb_build_info"] == {("0.1.0", "singleton", "file", "here"): 1}


def test_the_controller_s_totals_by_label() -> None:
    counters = {"writes:a": 1.0, "writes:b": 2.0, "writes": 4.0, "writes_lost:a": 8.0}
    assert by_label(counters, "writes") == {"a": 1.0, "b": 2.0}
    assert total(counters, "writes") == 7.0
    assert total(counters, "writes", "writes_lost") == 15.0


def test_endpoints_make_no_lines() -> None:
    few = picture(lb("a.example.org", ep("tcp://192.0.2.1:80")))
    many = picture(lb("a.example.org", *(ep(f"tcp://192.0.2.{i}:80") for i in range(1, 200))))
    assert text_of(few).count("\n") == text_of(many).count("\n")


def test_the_reference_lists_every_metric_with_its_type_and_labels() -> None:
    reference = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text()
    rows = {}
    for line in reference.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = (cells[1], cells[2].replace("`", ""))
    shown = {}
    for family in families(STATUS, ALONE, Counters(), BUILD, NOW):
        kind = "histogram" if isinstance(family, Histogram) else family.kind
        labels = () if isinstance(family, Histogram) else family.labels
        shown[family.name] = (kind, ", ".join(labels))
    assert rows == shown
