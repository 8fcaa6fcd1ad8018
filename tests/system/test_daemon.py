"""The daemon as a process, with real endpoints and a zone file, through good and bad days."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stage import CLI, ZONE, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def timed(stage: Stage) -> list[bool]:
    """Of each endpoint, whether a round trip is told."""
    rows = stage.json("endpoints")
    return [any("round_trip_seconds" in vote for vote in row["votes"].values()) for row in rows]


def test_refusing_and_hanging_endpoints_leave_and_return(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    stage.endpoints[1].down()
    stage.wait_answer("1")
    stage.endpoints[1].up()
    stage.wait_answer("1", "2")
    stage.endpoints[0].up(hangs=True)
    stage.wait_answer("2")
    stage.wait(lambda: timed(stage) == [False, True])
    stage.endpoints[0].up()
    stage.wait_answer("1", "2")
    stage.wait(lambda: timed(stage) == [True, True])
    text = stage.zone.read_text()
    assert "; nobody touches this\nmail   IN   A   192.0.2.77   ; nor this\n" in text
    assert stage.stop() == 0


def test_the_last_living_endpoints_stay_when_all_die(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    for endpoint in stage.endpoints:
        endpoint.down()
    stage.wait(lambda: stage.json("status")["loadbalancers"]["down"] == 1)
    assert stage.answer()
    check = stage.ctl("status", "--check")
    assert check.returncode == 1
    assert "www.example.org is down" in check.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_loses_nothing(stage: Stage, number: int) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    drained = stage.ctl("drain", "192.0.2.2", "--reason", "new disk")
    assert drained.returncode == 0, drained.stderr
    assert "192.0.2.2 left DNS" in drained.stdout
    assert stage.ctl("pause", "--reason", "audit").returncode == 0
    before = stage.zone.read_bytes()
    stage.stop(number)
    stage.start()
    stage.wait(lambda: stage.json("endpoints")[0]["state"] == "up")
    assert stage.json("overrides")[0]["reason"] == "new disk"
    assert stage.json("status")["paused"] is True
    assert stage.zone.read_bytes() == before
    assert stage.ctl("resume").returncode == 0
    assert stage.ctl("clear", "192.0.2.2").returncode == 0
    stage.wait_answer("1", "2")


def test_healthy_endpoints_never_vanish_over_restarts(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        stage.stop(number)
        stage.start()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert stage.answer() == {"1", "2"}
            time.sleep(0.01)


def test_a_reload_takes_a_good_file_and_keeps_the_old_one_for_a_bad_one(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    assert stage.process is not None
    stage.config.write_text(stage.config.read_text() + 'surprise = "yes"\n')
    stage.process.send_signal(signal.SIGHUP)
    stage.wait(lambda: "surprise" in stage.log)
    assert stage.json("endpoints")[1]["state"] == "up"
    gone = stage.endpoints.pop()
    stage.configure()
    stage.process.send_signal(signal.SIGHUP)
    stage.wait_answer("1")
    gone.down()


def test_a_second_instance_on_the_same_state_is_refused(stage: Stage) -> None:
    stage.start()
    second = subprocess.run(
        [*CLI, "-cfg", str(stage.config)], capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert stage.ctl("status").returncode == 0


def test_a_hand_edit_of_ours_is_restored_and_one_of_theirs_stays(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    text = stage.zone.read_text()
    edited = text.replace("192.0.2.2\n", "192.0.2.99\n") + "new IN A 192.0.2.55\n"
    assert edited != text
    stage.zone.write_text(edited)
    assert stage.answer() == {"1", "99"}
    stage.ctl("sync")
    stage.wait_answer("1", "2")
    assert "new IN A 192.0.2.55\n" in stage.zone.read_text()


def test_an_unknown_rrset_is_held_until_approved(stage: Stage) -> None:
    stage.zone.write_text(ZONE + "www IN A 192.0.2.200\n")
    stage.start()
    stage.wait(lambda: stage.json("status")["held_changes"] == 1)
    assert stage.answer() == {"200"}
    held = [change["id"] for change in stage.json("changes") if change["state"] == "held"]
    assert stage.ctl("approve", *held).returncode == 0
    stage.wait_answer("1", "2")


def test_a_cname_and_a_broken_file_are_left_alone(stage: Stage) -> None:
    stage.zone.write_text(ZONE + "www IN CNAME elsewhere.example.net.\n")
    stage.start()
    stage.wait(lambda: "cname" in [row["kind"] for row in stage.json("status")["attention"]])
    assert "CNAME elsewhere" in stage.zone.read_text()
    broken = ZONE + "www IN A not-an-address\n"
    stage.zone.write_text(broken)
    stage.ctl("sync")
    stage.wait(lambda: "zone-error" in [row["kind"] for row in stage.json("status")["attention"]])
    assert stage.zone.read_text() == broken


def test_a_dry_run_writes_nothing_and_shows_what_it_would(stage: Stage) -> None:
    before = stage.zone.read_bytes()
    stage.start("-dry-run")
    stage.wait(lambda: stage.json("status")["pending_changes"] == 1)
    assert stage.zone.read_bytes() == before
    refused = stage.ctl("drain", "192.0.2.1", "--reason", "x")
    assert refused.returncode == 1
    assert "dry run" in refused.stderr


def test_plan_tells_and_changes_nothing(stage: Stage) -> None:
    def plan() -> subprocess.CompletedProcess[str]:
        command = [*CLI, "plan", "-cfg", str(stage.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)

    before = stage.zone.read_bytes()
    wanted = plan()
    assert wanted.returncode == 2, wanted.stderr
    assert "+ 192.0.2.1" in wanted.stdout
    assert stage.zone.read_bytes() == before
    stage.start()
    stage.wait_answer("1", "2")
    assert plan().returncode == 0
    stage.endpoints[0].down()
    assert "connection refused" in plan().stdout, "a plan says what the checks said"


def test_sigterm_ends_within_five_seconds(stage: Stage) -> None:
    stage.start()
    stage.wait_answer("1", "2")
    assert stage.stop() == 0
    assert not stage.socket.exists()
