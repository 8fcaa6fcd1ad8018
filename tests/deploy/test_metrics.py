"""Alerts and dashboard: judged by promtool, and held against the metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslbctl.cli import VERBS
from tests.system.stage import Stage
from tests.tidy import ROOT

PROMETHEUS = ROOT / "docs/deploy/prometheus"
RULES = PROMETHEUS / "dnslb.rules.yml"
UNIT_TESTS = PROMETHEUS / "dnslb.rules.test.yml"
DASHBOARD = ROOT / "docs/deploy/grafana/dnslb.json"
REFERENCE = ROOT / "docs/reference/metrics.md"
# What Prometheus and the exposition format add by themselves.
TARGET_LABELS = frozenset({"job", "instance"})
SUFFIX_LABELS = {"_bucket": {"le"}, "_sum": set[str](), "_count": set[str]()}
OTHERS = frozenset({"up"})
# There only while there is what they tell of: a cluster, a lag, a failure, nobody to ask.
CONDITIONAL = frozenset({"dnslb_term"})

Query = tuple[str, str]
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"\b([a-z_][a-z0-9_]*)\b\s*(\{[^}]*\})?(?!\s*\()")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def queries() -> Iterator[Query]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert found is not None
            inner, label = found.groups()
            yield variable["name"], f"max by ({label}) ({inner})"


def known() -> dict[str, set[str]]:
    """Metric → its labels, of the reference, whose table is that of the program."""
    found: dict[str, set[str]] = {}
    for line in REFERENCE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            labels = {label.strip(" `") for label in cells[2].split(",")} - {""}
            name = cells[0].strip("`")
            if cells[1] == "histogram":
                for suffix, more in SUFFIX_LABELS.items():
                    found[name + suffix] = labels | more
            else:
                found[name] = labels
    return found


def used(expr: str) -> tuple[dict[str, set[str]], set[str]]:
    """The metrics of an expression with the labels that they are asked for, and the labels by
    which is grouped or matched."""
    grouped = {one.strip() for found in _GROUPING.findall(expr) for one in found.split(",")}
    rest = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub(" ", expr))
    metrics: dict[str, set[str]] = {}
    for name, braces in _SELECTOR.findall(rest):
        if name in _WORDS or re.search(rf"\b{name}\s*\(", rest):
            continue
        bare = _STRING.sub("", braces.strip("{}"))
        labels = {part.strip(" =~!") for part in bare.split(",")} - {""}
        metrics.setdefault(name, set()).update(labels)
    return metrics, grouped - {""}


def unknown(expr: str) -> set[str]:
    """What an expression names and nobody has."""
    table, (metrics, grouped) = known(), used(expr)
    wrong = metrics.keys() - table.keys() - OTHERS
    have = set(TARGET_LABELS)
    for name, labels in metrics.items():
        own = table.get(name, set()) | TARGET_LABELS
        have |= own
        wrong |= {f"{name}{{{label}}}" for label in labels - own}
    return wrong | {f"by {label}" for label in grouped - have}


def test_only_metrics_and_labels_that_exist_are_used() -> None:
    assert {(where, expr): wrong for where, expr in queries() if (wrong := unknown(expr))} == {}


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("max(dnslb_attentions) > 0", {"dnslb_attentions"}),
        ('dnslb_attention{colour="red"}', {"dnslb_attention{colour}"}),
        ("max by (zone) (dnslb_attention)", {"by zone"}),
        ("rate(dnslb_decision_to_applied_seconds[5m])", {"dnslb_decision_to_applied_seconds"}),
    ],
)
def test_others_are_found(expr: str, wrong: set[str]) -> None:
    assert unknown(expr) == wrong


def test_a_running_daemon_has_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        stage.start("-port", "0")
        port = stage.json("status")["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        stage.close()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    named = {name for _, expr in queries() for name in used(expr)[0]} - OTHERS
    bare = {re.sub("_(bucket|sum|count)$", "", name) for name in named}
    assert bare - told <= CONDITIONAL
    assert len(bare) > 40


def test_every_alert_says_what_to_press() -> None:
    verbs = {verb.name for verb in VERBS}
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        pressed = re.findall(r"dnslbctl ([a-z-]+)", rule["annotations"]["runbook"])
        assert pressed, rule["alert"]
        assert set(pressed) <= verbs, rule["alert"]


def test_every_panel_is_described_and_none_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


# ------------------------------------------------------------------------------------ promtool


def promtool(*words: str) -> tuple[int, str]:
    if shutil.which("promtool") is None:
        pytest.skip("there is no promtool here (Debian: prometheus)")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    code, text = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert (code, f"SUCCESS: {len(rules())} rules found" in text) == (0, True), text


def test_promtool_takes_the_configurations_of_the_guide(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    text = (ROOT / "docs/deploy/README.md").read_text()
    blocks = re.findall(r"```yaml\n# prometheus.yml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    # Debian's promtool is built without the discovery of Kubernetes: the rest is looked at.
    sd = re.compile(r"kubernetes_sd_configs:\n +- \{role: endpoints.*\}\n")
    for block in blocks:
        static = sd.sub("static_configs: [{targets: [a]}]\n", block)
        (tmp_path / "prometheus.yml").write_text(static)
        code, said = promtool("check", "config", str(tmp_path / "prometheus.yml"))
        assert (code, f"{len(rules())} rules found" in said) == (0, True), said


def test_the_alerts_fire_when_they_should_and_not_else(tmp_path: Path) -> None:
    code, text = promtool("test", "rules", str(UNIT_TESTS))
    assert code == 0, text
    for rule in rules():
        assert re.search(rf"\b{rule['alert']}\b", UNIT_TESTS.read_text()), rule["alert"]
    # Expected is the whole set, so one that fires too early is found as well.
    shutil.copy(UNIT_TESTS, tmp_path)
    (tmp_path / RULES.name).write_text(
        RULES.read_text().replace("_failures) > 3", "_failures) > 2")
    )
    code, text = promtool("test", "rules", str(tmp_path / UNIT_TESTS.name))
    assert (code, "DnslbZoneFails" in text) == (1, True)


def test_promtool_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    """As recording rules, with values for Grafana's variables."""
    exprs = [target["expr"] for panel in panels() for target in panel["targets"]]
    exprs = [re.sub(r"\$(job|lb)\b", "x", one.replace("$__rate_interval", "5m")) for one in exprs]
    recorded = [{"record": f"r:{i}", "expr": expr} for i, expr in enumerate(exprs)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    code, text = promtool("check", "rules", str(path))
    assert code == 0, text
