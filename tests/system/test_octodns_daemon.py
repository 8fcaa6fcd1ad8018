"""The daemon as a process, publishing through octoDNS's own YAML class: the bridge as a whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.stage import Stage

FOREIGN = {
    "": [{"type": "NS", "values": ["ns1.example.net.", "ns2.example.net."]}],
    "mail": {"type": "A", "value": "198.51.100.25"},
}


class Scene:
    def __init__(self, directory: Path) -> None:
        zones = directory / "yaml"
        zones.mkdir()
        self.file = zones / "example.org.yaml"
        self.file.write_text(yaml.safe_dump(FOREIGN))
        publisher = (
            'provider = "octodns"\nowner-id = "tests"\nverify-servers = "off"\n'
            'octodns-class = "octodns.provider.yaml.YamlProvider"\n'
        )
        self.stage = Stage(directory, publisher=publisher)
        with self.stage.config.open("a") as config:
            config.write(
                f'[octodns]\ndirectory = "{zones}"\nenforce_order = false\n'
                'escaped_semicolons = false\ndnslb-accept-writes = "zone"\n'
            )

    @property
    def zone(self) -> dict[str, Any]:
        zone: dict[str, Any] = yaml.safe_load(self.file.read_text())
        return zone

    def wait_values(self, *octets: str) -> None:
        wanted = {f"192.0.2.{octet}" for octet in octets}

        def stands() -> bool:
            www = (self.zone or {}).get("www", {})
            return {*www.get("values", []), www.get("value")} - {None} == wanted

        self.stage.wait(stands)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.stage.close()


def test_endpoints_leave_and_return_and_all_else_stays(scene: Scene) -> None:
    stage = scene.stage
    # A first run that ends cleanly, so that the second need not wait for a predecessor's write.
    stage.start()
    assert stage.stop() == 0
    stage.start()
    scene.wait_values("1", "2")
    assert scene.zone["_dnslb"]["value"].startswith("dnslb owner=tests epoch=")
    stage.endpoints[1].down()
    scene.wait_values("1")
    stage.endpoints[1].up()
    scene.wait_values("1", "2")
    status = stage.json("status")
    assert (status["provider"], status["fenced"]) == ("octodns", False)
    assert {name: scene.zone[name] for name in FOREIGN} == {
        "": {"type": "NS", "values": ["ns1.example.net.", "ns2.example.net."]},
        "mail": {"type": "A", "value": "198.51.100.25"},
    }
    assert stage.stop(signal.SIGTERM) == 0
    scene.wait_values("1", "2")


def test_a_class_that_is_not_there_is_said_in_attention(scene: Scene) -> None:
    text = scene.stage.config.read_text()
    scene.stage.config.write_text(
        text.replace("octodns.provider.yaml.YamlProvider", "octodns_nowhere.NowhereProvider")
    )
    scene.stage.start()
    scene.stage.wait(
        lambda: "pip install 'dnslb[octodns]' octodns-nowhere" in scene.stage.ctl("status").stdout
    )
    assert yaml.safe_load(scene.file.read_text()) == FOREIGN
