"""The law of tests/conftest.py: under DNSLB_REQUIRE_REAL=1 nothing is skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Allowance, MalformedAllowance, parse_allowances

CONFTEST = Path(__file__).with_name("conftest.py")
SKIPPING = """
import pytest

def test_runs():
    pass

@pytest.mark.parametrize("server", ["named"])
def test_skips(server):
    pytest.skip("there is no named here")

@pytest.mark.xfail(strict=True)
def test_expected_failure():
    raise AssertionError
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """The test directory of a project, below its root as here: pytest treats that specially."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    directory = tmp_path / "tests"
    directory.mkdir()
    (directory / "conftest.py").write_text(CONFTEST.read_text())
    return directory


def run_pytest(tests: Path, allowed: str, *, require_real: bool) -> tuple[int, str]:
    (tests / "allowed-skips").write_text(allowed)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tests.parent,
        env={**os.environ, "DNSLB_REQUIRE_REAL": "1" if require_real else "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_skip_fails_where_everything_must_be_real(tests: Path) -> None:
    (tests / "test_some.py").write_text(SKIPPING)
    code, output = run_pytest(tests, "", require_real=True)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "tests/test_some.py::test_skips[named]: Skipped: there is no named here" in output
    assert "test_expected_failure:" not in output


def test_a_skip_passes_elsewhere(tests: Path) -> None:
    (tests / "test_some.py").write_text(SKIPPING)
    code, output = run_pytest(tests, "", require_real=False)
    assert code == pytest.ExitCode.OK, output


def test_an_allowed_skip_passes(tests: Path) -> None:
    (tests / "test_some.py").write_text(SKIPPING)
    allowed = "tests/test_some.py::test_skips[*]  # needs a name server\n"
    code, output = run_pytest(tests, allowed, require_real=True)
    assert code == pytest.ExitCode.OK, output
    assert "not needed by this run" not in output


def test_a_module_that_is_skipped_whole_fails_too(tests: Path) -> None:
    (tests / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_module')")
    code, output = run_pytest(tests, "", require_real=True)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "tests/test_whole.py: Skipped: could not import 'no_such_module'" in output


def test_idle_allowances_are_named(tests: Path) -> None:
    (tests / "test_some.py").write_text("def test_runs(): pass")
    allowed = "tests/test_some.py::test_runs  # once was hard\n*::test_gone  # gone since\n"
    code, output = run_pytest(tests, allowed, require_real=True)
    assert code == pytest.ExitCode.OK
    assert "tests/test_some.py::test_runs: the test ran" in output
    assert "*::test_gone: no test of this run has that name" in output


def test_an_allowance_without_a_reason_stops_the_run(tests: Path) -> None:
    (tests / "test_some.py").write_text(SKIPPING)
    code, output = run_pytest(tests, "tests/test_some.py::test_skips*\n", require_real=True)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "line 1: wanted 'nodeid-pattern  # reason'" in output


def test_only_the_star_is_special() -> None:
    (allowance,) = parse_allowances("# a remark\n\ntests/test_a.py::test_b[*]  # why\n")
    assert allowance == Allowance("tests/test_a.py::test_b[*]", "why")
    assert allowance.covers("tests/test_a.py::test_b[x-1]")
    assert not allowance.covers("tests/test_axpy::test_b[x]")
    assert not allowance.covers("tests/test_a.py::test_bx")


@pytest.mark.parametrize("line", ["a::b", "a::b  #", "  # only a reason", "a::b#glued"])
def test_malformed_lines(line: str) -> None:
    with pytest.raises(MalformedAllowance):
        parse_allowances(line)


def test_the_list_of_this_project_reads() -> None:
    parse_allowances(CONFTEST.with_name("allowed-skips").read_text())
