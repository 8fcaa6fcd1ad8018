"""The demo as a newcomer runs it: its own process, plain output, everything gone afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = (sys.executable, "-c", "from dnslb.daemon.main import cli; cli()", "demo")


def run_demo(*arguments: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(tmp)}
    return subprocess.run(
        [*DEMO, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_death_and_a_return_are_seen_in_the_zone(tmp_path: Path) -> None:
    done = run_demo("--plain", "--duration", "14", tmp=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers = re.findall(r"-> www\.demo\.test A  (.*?)(?:   \(|$)", done.stdout, flags=re.MULTILINE)
    sets = [set(answer.split()) for answer in answers]
    everyone = {f"192.0.2.{i}" for i in range(1, 5)}
    whole = sets.index(everyone)
    lost = sets.index(everyone - {"192.0.2.2"}, whole)
    assert everyone in sets[lost + 1 :]
    assert "connection refused" in done.stdout
    assert "\033" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_leader_dies_and_dns_stays_right(tmp_path: Path) -> None:
    done = run_demo("--cluster", "--plain", "--duration", "16", tmp=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    before, dies, after = done.stdout.partition("dies (kill -9), and 192.0.2.3 crashes")
    assert dies
    assert "-> www.demo.test A  192.0.2.1  192.0.2.3  192.0.2.4" in before
    assert re.search(r"(virginia|osaka) leads now", after)
    assert "-> www.demo.test A  192.0.2.1  192.0.2.4 " in after
    assert re.search(r"(virginia|osaka): .*192\.0\.2\.3", after), "who wrote it, and why"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_it_cleans_up(tmp_path: Path, number: int) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*DEMO, "--plain"], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"endpoints are up" in line:
                break
        assert [path.name.startswith("dnslb-demo-") for path in tmp_path.iterdir()] == [True]
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--duration", "soon"], "expected a duration"),
        (["--nonsense"], "expected dnslb demo"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path: Path, arguments: list[str], expected: str) -> None:
    done = run_demo(*arguments, tmp=tmp_path)
    assert done.returncode == 1
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
