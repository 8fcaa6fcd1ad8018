"""What the documents name exists: links, decisions, tests, scenarios, metrics.

Not whether what they say of it is true.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
METRIC = re.compile(r"(?:dnslb|etcdcontroller|dnscontroller)_[a-z_]*[a-z]")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_what_is_named_exists(document: Path) -> None:
    known = (ROOT / "docs/reference/metrics.md").read_text()
    words = CODE.findall(document.read_text())
    paths = [word for word in words if re.fullmatch(r"tests/[\w/.*]+", word)]
    tests = [word for word in words if re.fullmatch(r"test_\w+(\.py)?", word)]
    metrics = [word for word in words if METRIC.fullmatch(word)]
    missing = [path for path in paths if not any(ROOT.glob(path.rstrip("/")))]
    missing += [test for test in tests if not is_test(test)]
    missing += [metric for metric in metrics if f"`{metric}`" not in known]
    assert missing == []


def is_test(name: str) -> bool:
    if name.endswith(".py"):
        return any(path.name == name for path in TESTS)
    return any(f"def {name}(" in text for text in TESTS.values())


def test_each_scenario_of_the_dangerous_cases_is_played() -> None:
    text = (ROOT / "docs/dangerous-cases.md").read_text()
    lists = re.findall(r"scenarios? ((?:`[a-z-]+\*?`(?:, )?)+)", text)
    named = [scenario for found in lists for scenario in CODE.findall(found)]
    assert len(named) > 10
    scenarios = ROOT / "tests/scenarios"
    assert [name for name in named if not any(scenarios.glob(f"{name}.txt"))] == []


def test_the_readme_leads_to_every_page() -> None:
    listed = set(LINK.findall((ROOT / "README.md").read_text()))
    assert {ids(page) for page in DOCUMENTS if page.parent.name == "docs"} - listed == set()


def test_each_decision_is_listed() -> None:
    decisions = ROOT / "docs/decisions"
    listed = set(LINK.findall((decisions / "README.md").read_text()))
    assert listed == {path.name for path in decisions.glob("*.md")} - {"README.md"}
