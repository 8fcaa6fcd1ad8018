"""A daemon whose zone's marker a person gives away or takes away: what it does, and what helps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslb.model.lease import FencingToken
from dnslb.providers import marker
from tests.system.grounds import ZONE, BindGround
from tests.system.named import StartNamed
from tests.system.stage import CLI, Stage

WWW = f"www.{ZONE}"
BOTH = {"192.0.2.1", "192.0.2.2"}
THEIRS = marker.to_text(FencingToken("them", 9_000_000_000, 3, "n0"))


class Scene:
    def __init__(self, named: StartNamed, directory: Path) -> None:
        self.ground = BindGround(directory, named)
        self.stage = Stage(directory, publisher=self.ground.toml)
        self.stage.more = 'verify-servers = "off"'
        self.stage.configure()

    def verb(self, *argv: str) -> str:
        command = [*CLI, *argv, "-cfg", str(self.stage.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def row(self, kind: str) -> dict[str, Any] | None:
        rows = self.stage.json("status")["attention"]
        return next((row for row in rows if row["kind"] == kind), None)

    def wait_values(self, values: set[str]) -> None:
        self.stage.wait(lambda: self.ground.values(WWW) == values)


@pytest.fixture
def scene(named: StartNamed, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(named, tmp_path)
    yield made
    made.stage.close()


def test_an_adopted_zone_is_taken_by_the_instance_that_waits_for_it(scene: Scene) -> None:
    scene.ground.set_marker(THEIRS)
    foreign = scene.ground.foreign()
    stage = scene.stage
    stage.start()
    stage.wait(lambda: "'them'" in str(stage.json("status")["attention"]))
    assert f"dnslb adopt {ZONE}" in str(stage.json("status")["attention"])
    assert scene.ground.values(WWW) == set()
    scene.verb("adopt", ZONE, "--from", "them")
    assert stage.ctl("sync").returncode == 0
    scene.wait_values(BOTH)
    (text,) = scene.ground.markers()
    token = marker.from_text(text)
    assert token.owner_id == "tests"
    assert token.epoch > 0
    assert stage.stop() == 0
    assert scene.ground.foreign() == foreign


def test_an_instance_whose_marker_is_removed_resigns_and_a_restart_helps(scene: Scene) -> None:
    stage = scene.stage
    stage.start()
    scene.wait_values(BOTH)
    scene.verb("fence", "reset", ZONE, "--yes")
    stage.endpoints[0].down()
    stage.wait(lambda: scene.row("resigned") is not None)
    row = scene.row("resigned")
    assert row is not None
    assert row["severity"] == "critical"
    assert "gone" in row["sentence"]
    assert scene.ground.values(WWW) == BOTH
    assert scene.ground.markers() == []
    assert stage.stop() == 0
    stage.start()
    scene.wait_values({"192.0.2.2"})
    assert len(scene.ground.markers()) == 1
    assert stage.stop() == 0
