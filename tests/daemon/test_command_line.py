"""The dispatcher: verbs, help, version; and that every error is a sentence and exit code 1."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from dnslb import __version__
from dnslb.daemon import command_line
from dnslb.daemon.command_line import VERBS, run
from dnslb.daemon.config import Config
from dnslb.daemon.process import run_verb
from dnslb.errors import LocalError

ROOT = Path(__file__).resolve().parents[2]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELECTION", "CFG", "PORT", "DEBUG", "LB", "AGENT", "PROVIDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["-help"], ["help"]])
def test_help(argv: list[str], capsys: Captured) -> None:
    assert run(argv) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for word in (
        "dnslb check -cfg F",
        "dnslb check provider [--canary NAME]",
        "dnslb demo",
        "-election singleton|k8s|raft",
    ):
        assert word in captured.out
    assert max(map(len, captured.out.splitlines())) <= 100


@pytest.mark.parametrize("argv", [["-version"], ["--version"], ["version"]])
def test_version(argv: list[str], capsys: Captured) -> None:
    assert run(argv) == 0
    assert capsys.readouterr().out == f"dnslb {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["chek"], "found 'chek'; did you mean check?"),
        (["\x1b[31m"], "found '\\x1b[31m'"),
        (["-bogus"], "there is no flag '-bogus'"),
        (["check", "provider", "-cfg", "/nonexistent"], "/nonexistent: cannot be read"),
    ],
)
def test_wrong_usage_is_exit_code_1(argv: list[str], told: str, capsys: Captured) -> None:
    assert run(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert all(line.startswith("dnslb: ") for line in captured.err.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_tells_its_usage(verb: str, capsys: Captured) -> None:
    """By `SystemExit` where argparse does it."""
    try:
        code = run([verb, "--help"])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 0
    assert f"usage: dnslb {verb}" in capsys.readouterr().out


def test_nothing_at_all_says_where_to_begin(capsys: Captured) -> None:
    assert run([]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "dnslb: -election: must be given: expected singleton, k8s or raft"
    assert told[-1] == "dnslb: to see it work without any configuration: dnslb demo"


def test_the_contract_of_verbs() -> None:
    contract = {"check", "plan", "demo", "agent", "adopt", "fence", "config", "pki", "raft"}
    assert contract <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_get_what_stands_behind_them(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[object] = []
    module, name = VERBS[verb].target

    def function(argv: list[str]) -> int:
        got.append(argv)
        return 7

    def import_module(wanted: str) -> SimpleNamespace:
        got.append(wanted)
        return SimpleNamespace(**{name: function})

    monkeypatch.setattr(importlib, "import_module", import_module)
    assert run([verb, "-a", "b"]) == 7
    assert got == [module, ["-a", "b"]]


def test_an_interrupt_is_no_traceback(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> None:
        async with trio.open_nursery():
            raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_load", lambda *target: lambda argv: run_verb(wait))
    assert run(["demo"]) == 1
    assert capsys.readouterr().err == "dnslb: interrupted\n"


def test_an_error_of_a_verb_is_a_sentence(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(argv: object) -> int:
        raise LocalError("the disk is full")

    monkeypatch.setattr(command_line, "_load", lambda *target: refuse)
    assert run(["demo"]) == 1
    assert capsys.readouterr().err == "dnslb: the disk is full\n"


@pytest.mark.usefixtures("log_settings")
def test_the_daemon_gets_its_configuration_and_a_way_to_read_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "dnslb.toml"
    file.write_text('election = "singleton"\ninstance-identifier = "one"\ndrift = "report"')
    seen: list[str] = []

    def run_daemon(config: Config, reload: Callable[[], Config]) -> int:
        file.write_text('election = "singleton"\ninstance-identifier = "one"\ndrift = "hold"')
        seen.extend((config.drift, reload().drift))
        return 3

    fake = SimpleNamespace(run_daemon=run_daemon)
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    assert run(["-cfg", str(file)]) == 3
    assert seen == ["report", "hold"]
    assert "warning no load balancer is configured" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_traceback() -> None:
    code = "import sys; from dnslb.daemon.command_line import run; sys.exit(run(['help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait() == 1


def test_a_terminal_without_the_letters_is_no_traceback(tmp_path: Path) -> None:
    argv = ["check", "-election=singleton", f"-control-socket={tmp_path}/\u00e9.sock"]
    code = f"import sys; from dnslb.daemon.command_line import run; sys.exit(run({argv!r}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\\xe9.sock" in done.stdout


def test_checking_loads_neither_trio_nor_parts() -> None:
    code = (
        "import sys; from dnslb.daemon.command_line import run;"
        "run(['check', '-election=singleton']);"
        "print([m for m in ('trio', 'httpx', 'dns', 'ssl', 'msgspec') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
