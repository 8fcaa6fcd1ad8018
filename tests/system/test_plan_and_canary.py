"""``dnslb plan`` with shared providers changes nothing; a canary beside a daemon disturbs none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, AutoDnsGround, BindGround, Ground
from tests.system.named import StartNamed
from tests.system.stage import CLI, Stage

WWW = f"www.{ZONE}"
OURS = marker.to_text(FencingToken("tests", 1_700_000_000, 0, "n1"))
THEIRS = marker.to_text(FencingToken("them", 1_700_000_000, 3, "n0"))


def run(stage: Stage, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [*CLI, *argv, "-cfg", str(stage.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def stage(ground: Ground, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, publisher=ground.toml)
    yield made
    made.close()


@pytest.mark.parametrize("held", [OURS, THEIRS])
def test_a_plan_takes_no_marker_and_writes_nothing(
    ground: Ground, stage: Stage, held: str | None
) -> None:
    ground.set_marker(held)
    ground.set_values(WWW, "192.0.2.1", "192.0.2.9")
    before = ground.version()
    calls = [*ground.api.methods] if isinstance(ground, AutoDnsGround) else []
    done = run(stage, "plan")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{WWW} A  (zone {ZONE})" in done.stdout
    assert "  - 192.0.2.9\n" in done.stdout
    assert "  + 192.0.2.2\n" in done.stdout
    assert "held for a person" in done.stdout
    foreign = f"critical: {ZONE}: belongs to owner id 'them'"
    assert (foreign in done.stdout) == (held == THEIRS)
    assert ground.version() == before
    assert ground.markers() == ([held] if held else [])
    if isinstance(ground, AutoDnsGround):
        assert "PATCH" not in ground.api.methods
        assert ground.api.methods[len(calls) :] == ["POST", "GET", "GET"]
        at = [seen.at for seen in ground.api.seen]
        assert at[-1] - at[0] > 3.9, "a daemon beside it keeps its share of the calls"


@pytest.mark.parametrize("known", [False, True], ids=["never read", "read before"])
def test_who_cannot_ask_does_not_say_that_nothing_would_change(
    named: StartNamed, tmp_path: Path, known: bool
) -> None:
    ground = BindGround(tmp_path, named)
    stage = Stage(tmp_path, publisher=ground.toml)
    try:
        if known:
            stage.start()
            stage.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
            assert stage.stop() == 0
        ground.named.stop()
        done = run(stage, "plan")
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"it is not known what would change at {WWW}" in done.stderr
        assert "nothing would change" not in done.stdout
        assert "cannot be reached" in done.stdout
    finally:
        stage.close()


def test_a_canary_beside_a_daemon_disturbs_nobody(named: StartNamed, tmp_path: Path) -> None:
    ground = BindGround(tmp_path, named)
    foreign = ground.foreign()
    stage = Stage(tmp_path, publisher=ground.toml)
    stage.more = f'verify-servers = "127.0.0.1:{ground.named.port}"'
    stage.configure()
    try:
        stage.start()
        stage.wait(lambda: ground.values(WWW) == {"192.0.2.1", "192.0.2.2"})
        markers = ground.markers()
        done = run(stage, "check", "provider", "--canary", f"canary.{ZONE}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "a write with a wrong token was refused" in done.stdout
        assert "served by 127.0.0.1" in done.stdout
        assert ground.markers() == markers
        stage.endpoints[0].down()
        stage.wait(lambda: ground.values(WWW) == {"192.0.2.2"})
        status = stage.json("status")
        assert (status["role"], status["fenced"]) == ("leader", True)
        assert {row["severity"] for row in status["attention"]} <= {"info"}
        assert stage.stop() == 0
        assert ground.foreign() == foreign
    finally:
        stage.close()
