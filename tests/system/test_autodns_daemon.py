"""The daemon as a process against the AutoDNS stand-in: good days, storms, a lost password.

Each test starts on a state that was left cleanly, since else the first write waits ten seconds for
a predecessor's (`safety.md` 2.4).
"""

from __future__ import annotations

import signal
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.autodns.server import HTML, LIMIT, PASSWORD, SESSION, USER, Fault
from tests.system.grounds import AutoDnsGround
from tests.system.stage import Stage

WWW = "www.example.org"
NEW_PASSWORD = "ein neues / geheimes"
RATE = 2.5


class Scene:
    """A daemon, its endpoints, and AutoDNS."""

    def __init__(self, directory: Path) -> None:
        self.autodns = AutoDnsGround()
        self.api = self.autodns.api
        self.password_file = directory / "password"
        self.password_file.touch(0o600)
        self.password_file.write_text(PASSWORD)
        toml = self.autodns.toml.replace("env:DNSLB_TEST_PASSWORD", f"file:{self.password_file}")
        self.stage = Stage(directory, publisher=toml)

    def close(self) -> None:
        self.stage.close()
        self.autodns.close()

    def leave_cleanly(self) -> None:
        self.stage.start()
        assert self.stage.stop() == 0
        self.api.seen.clear()

    def wait_values(self, *octets: str) -> None:
        wanted = {f"192.0.2.{octet}" for octet in octets}
        self.stage.wait(lambda: self.autodns.values(WWW) == wanted)

    def wait_applied(self) -> None:
        """Until nothing is open any more."""
        self.stage.wait(lambda: self.stage.json("status")["pending_changes"] == 0)

    def methods_of(self, act: Callable[[], object]) -> list[str]:
        """The calls that came while ``act`` happened."""
        before = len(self.api.seen)
        act()
        return self.api.methods[before:]

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["kind"]: row for row in self.stage.json("status")["attention"]}

    def check_pace(self) -> None:
        """Never above what AutoDNS grants, whoever calls; nor above our own rate for long."""
        at = [seen.at for seen in self.api.seen]
        for first, last in zip(at, at[LIMIT:], strict=False):
            assert last - first > 1.0
        assert len(at) <= RATE * (at[-1] - at[0]) + 2
        assert self.api.limited == 0


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_a_death_is_one_patch_and_three_calls(scene: Scene) -> None:
    foreign = scene.autodns.foreign()
    scene.leave_cleanly()
    scene.stage.start()
    scene.wait_values("1", "2")
    scene.wait_applied()
    status = scene.stage.json("status")
    assert (status["provider"], status["fenced"]) == ("autodns", False)
    assert "autodns, unfenced" in scene.stage.ctl("status").stdout

    def die() -> None:
        scene.stage.endpoints[0].down()
        scene.wait_values("2")
        scene.wait_applied()

    assert scene.methods_of(die) == ["GET", "PATCH", "GET"]
    (patch,) = [seen for seen in scene.api.seen if seen.method == "PATCH"][-1:]
    (removed,) = patch.body["resourceRecordsRem"]
    assert (removed["value"], patch.body["resourceRecordsAdd"]) == ("192.0.2.1", [])
    changes = scene.stage.json("changes", "--all")
    plans = [change["plan_id"] for change in changes if change["state"] == "applied"]
    assert patch.headers["x-domainrobot-ctid"] in plans
    assert scene.stage.stop() == 0
    assert scene.autodns.foreign() == foreign
    scene.check_pace()


LATE = Fault(delay_s=1.5, lands=True)
NONSENSE = [Fault(status=200, body=HTML), Fault(status=200, body=b"{}"), Fault(status=204)]
ENOUGH = Fault(status=429, headers={"Retry-After": "1"})
TROUBLE = Fault(status=502, body=HTML)
LOST = Fault(method="PATCH", reset=True, lands=True)
SHORT = [[ENOUGH, Fault(reset=True), NONSENSE[0], Fault(hangs_up=True)], [LOST], [TROUBLE]]
LONG = [
    [ENOUGH] * 3,
    [TROUBLE] * 3,
    [Fault(reset=True), Fault(reset=True, lands=True), Fault(reset=True)],
    [LATE, Fault(hangs_up=True), Fault(drip_s=0.002, lands=True)],
    NONSENSE,
    [LOST, LATE],
]


@pytest.mark.parametrize("storms", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_storms_end_in_the_right_zone(scene: Scene, storms: list[list[Fault]]) -> None:
    foreign = scene.autodns.foreign()
    scene.leave_cleanly()
    scene.stage.start()
    scene.wait_values("1", "2")
    endpoint = scene.stage.endpoints[0]
    for number, faults in enumerate(storms):
        scene.api.faults.extend(map(copy, faults))
        endpoint.up() if number % 2 else endpoint.down()
        scene.stage.wait(lambda: not scene.api.faults, 60)
        if TROUBLE in faults:
            scene.stage.wait(lambda: "AutoDNS is in trouble" in str(scene.rows()))
        scene.wait_values(*("12" if number % 2 else "2"))
        scene.wait_applied()
    assert scene.stage.stop() == 0
    assert scene.autodns.foreign() == foreign
    at = [seen.at for seen in scene.api.seen]
    assert len(at) <= RATE * (at[-1] - at[0]) + 2
    assert scene.api.limited == 0


def test_restarts_in_a_loop_stay_within_the_budget(scene: Scene) -> None:
    scene.leave_cleanly()
    for _ in range(4):
        before = len(scene.api.seen)
        scene.stage.start()
        scene.stage.wait(lambda: len(scene.api.seen) > before)  # noqa: B023 - it is called here
        scene.stage.stop(signal.SIGKILL)
    scene.check_pace()


def test_a_lost_password_stops_all_calls_until_a_reload_and_is_shown_nowhere(
    scene: Scene,
) -> None:
    stage, api = scene.stage, scene.api
    scene.leave_cleanly()
    stage.start("-dump-http", "-debug")
    scene.wait_values("1", "2")
    api.password = NEW_PASSWORD
    stage.endpoints[0].down()
    stage.wait(lambda: "credentials-rejected" in scene.rows())
    row = scene.rows()["credentials-rejected"]
    assert row["severity"] == "critical"
    assert "SIGHUP" in row["next"]
    assert stage.ctl("status", "--check").returncode == 1
    calls = len(api.seen)
    stage.ctl("sync")
    time.sleep(1.5)
    assert len(api.seen) == calls
    scene.password_file.write_text(f"{NEW_PASSWORD}\n")
    assert stage.process is not None
    stage.process.send_signal(signal.SIGHUP)
    scene.wait_values("2")
    stage.wait(lambda: "credentials-rejected" not in scene.rows())
    port = stage.json("status")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    told = [stage.ctl(*verb).stdout for verb in (["--json", "status"], ["status"], ["events"])]
    state = [path.read_text() for path in (stage.directory / "state").iterdir()]
    assert stage.stop() == 0
    shown = "\n".join([stage.log, metrics, *told, *state])
    assert "PATCH http://127.0.0.1" in stage.log
    assert "authorization: ***" in stage.log
    for word in (PASSWORD, NEW_PASSWORD):
        basic = b64encode(f"{USER}:{word}".encode()).decode()
        for secret in (word, basic, word.replace('"', '\\"'), SESSION):
            assert secret not in shown
    scene.check_pace()
