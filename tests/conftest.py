"""What holds for every test: how hypothesis searches, and that nothing is skipped in silence.

Not a place for fixtures of a package: those stand in the conftest.py beside its tests.

Law: under DNSLB_REQUIRE_REAL=1 a skip is a failure, unless tests/allowed-skips names the test.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest

ALLOWED_SKIPS = Path(__file__).with_name("allowed-skips")

# Each run repeats the one before; only the long run searches where nobody has looked.
hypothesis.settings.register_profile("exact", derandomize=True, deadline=None)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("exact")


class MalformedAllowance(ValueError):
    """A line of tests/allowed-skips that allows nothing, or gives no reason."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """One line of tests/allowed-skips: a pattern of node ids, in which only ``*`` is special."""

    pattern: str
    reason: str

    def covers(self, nodeid: str) -> bool:
        literals = (re.escape(literal) for literal in self.pattern.split("*"))
        return re.fullmatch(".*".join(literals), nodeid) is not None


def parse_allowances(text: str) -> tuple[Allowance, ...]:
    """Read lines ``nodeid-pattern  # reason``; blank lines and whole-line comments are nothing.

    Raises `MalformedAllowance` for a line without a pattern or without a reason.
    """
    allowances = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = (part.strip() for part in line.partition(" # "))
        if not pattern or not reason:
            raise MalformedAllowance(f"line {number}: wanted 'nodeid-pattern  # reason': {line!r}")
        allowances.append(Allowance(pattern, reason))
    return tuple(allowances)


@dataclass(slots=True, eq=False)
class SkipLedger:
    """Every skip of a run, held against what is allowed; a plug-in, so compared by identity."""

    allowances: tuple[Allowance, ...]
    refused: list[str] = field(default_factory=list)
    used: set[Allowance] = field(default_factory=set)
    nodeids: list[str] = field(default_factory=list)

    def enter(self, nodeid: str, reason: str) -> None:
        covering = [allowance for allowance in self.allowances if allowance.covers(nodeid)]
        self.used.update(covering)
        if not covering:
            self.refused.append(f"{nodeid}: {reason}")

    def idle(self) -> list[str]:
        """Allowances that this run did not need, each with what is the matter with it."""
        return [
            f"{allowance.pattern}: the test ran"
            if any(allowance.covers(nodeid) for nodeid in self.nodeids)
            else f"{allowance.pattern}: no test of this run has that name"
            for allowance in self.allowances
            if allowance not in self.used
        ]

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.nodeids = [item.nodeid for item in session.items]

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure is reported as skipped too; `strict` looks after those.
        if report.skipped and not hasattr(report, "wasxfail"):
            self.enter(report.nodeid, _reason(report))

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.enter(report.nodeid, _reason(report))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.refused and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        sections = (
            ("skipped, but not in tests/allowed-skips: failures", self.refused, {"red": True}),
            ("tests/allowed-skips: not needed by this run", self.idle(), {"yellow": True}),
        )
        for title, lines, markup in sections:
            if lines:
                terminalreporter.write_sep("=", title, **markup)
                for line in lines:
                    terminalreporter.write_line(line)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    return longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("DNSLB_REQUIRE_REAL") != "1":
        return
    try:
        allowances = parse_allowances(ALLOWED_SKIPS.read_text())
    except MalformedAllowance as malformed:
        raise pytest.UsageError(f"{ALLOWED_SKIPS}: {malformed}") from malformed
    config.pluginmanager.register(SkipLedger(allowances), "skip-ledger")
