"""The daemon with a real etcd: the original's own cases, mixed fleets, and etcd's bad days."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.etcd import Etcd, StartEtcd, Store, stored
from tests.system.stage import Stage

AGENTS = ("ams", "fra", "waw")
# Which API is spoken makes no difference to a daemon; that both are alike is tried at the source.
both = pytest.mark.parametrize("installed", ["v2", "v3"], indirect=True)


class Installation:
    """A daemon whose agents report to a Go healthd, of which only its keys in etcd are seen."""

    def __init__(self, directory: Path, server: Etcd, api: str) -> None:
        self.stage = Stage(directory)
        self.server = server
        self.store = Store(server, api)
        self.configure()

    def configure(self, *more: str) -> None:
        agents = json.dumps(AGENTS)
        lines = (f"agents = {agents}", f'etcd = "{self.server.url}"', *more)
        self.stage.more = "\n".join(lines)
        self.stage.configure()

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{endpoint.port}" for endpoint in self.stage.endpoints]

    @property
    def list(self) -> str:
        return json.dumps([f"http://{a}" for a in self.addresses], separators=(",", ":"))

    def vote(self, *up: bool, agents: tuple[str, ...] = AGENTS, age_s: float = 0.0) -> None:
        for agent in agents:
            votes = dict(zip(self.addresses, up, strict=True))
            self.store.report(agent, votes, age_s=age_s)

    def stays(self, *octets: str, seconds: float = 1.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.stage.answer() == set(octets)
            time.sleep(0.02)

    def rows(self) -> dict[str, str]:
        found = self.stage.json("status")["attention"]
        return {row["kind"]: row["sentence"] for row in found}

    def wait_list(self) -> None:
        self.stage.wait(lambda: self.store.get("monitors") == self.list)

    def close(self) -> None:
        self.stage.close()


@pytest.fixture
def made() -> Iterator[list[Installation]]:
    installations: list[Installation] = []
    yield installations
    for one in installations:
        one.close()


@pytest.fixture
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, etcd: StartEtcd, made: list[Installation]
) -> Installation:
    """Not started yet; what Go's programs have, unless a test asks for v3."""
    api: str = getattr(request, "param", "v2")
    made.append(Installation(tmp_path, etcd(v2=api == "v2"), api))
    return made[0]


@both
def test_the_monitor_list_is_pushed_and_mended(installed: Installation) -> None:
    stage, store = installed.stage, installed.store
    stage.start()
    installed.wait_list()
    store.put("monitors", '["tcp://203.0.113.1:22"]')
    installed.wait_list()
    store.delete("monitors")
    installed.wait_list()
    gone = stage.endpoints.pop()
    installed.configure()
    assert stage.process is not None
    stage.process.send_signal(signal.SIGHUP)
    installed.wait_list()
    gone.down()


@both
def test_two_of_three_agents_decide(installed: Installation) -> None:
    stage = installed.stage
    installed.vote(True, True)
    stage.start()
    stage.wait_answer("1", "2")
    installed.vote(True, False, agents=("ams",))
    installed.stays("1", "2")
    installed.vote(True, False, agents=("fra",))
    stage.wait_answer("1")
    installed.vote(True, True, agents=("waw", "fra"))
    stage.wait_answer("1", "2")


def test_an_agent_five_minutes_old_does_not_count(installed: Installation) -> None:
    stage = installed.stage
    installed.vote(True, True)
    stage.start()
    stage.wait_answer("1", "2")
    stage.stop(signal.SIGKILL)
    installed.vote(True, False, agents=("ams",))
    installed.vote(True, False, agents=("fra",), age_s=300)
    stage.start()
    stage.wait(lambda: stage.json("endpoints")[1]["votes"]["ams"]["vote"] == "down")
    installed.stays("1", "2")
    votes = stage.json("endpoints")[1]["votes"]
    assert votes["fra"]["vote"] == "unknown"
    installed.vote(True, False, agents=("fra",))
    stage.wait_answer("1")


def test_all_down_leaves_the_name_alone(installed: Installation) -> None:
    stage = installed.stage
    installed.vote(True, True)
    stage.start()
    stage.wait_answer("1", "2")
    installed.vote(False, False)
    stage.wait(lambda: stage.json("status")["loadbalancers"]["down"] == 1)
    installed.stays("1", "2")
    assert stage.ctl("status", "--check").returncode == 1


def test_etcd_away_changes_nothing_is_shown_and_it_recovers(installed: Installation) -> None:
    stage, server = installed.stage, installed.server
    installed.vote(True, True)
    stage.start()
    stage.wait_answer("1", "2")
    installed.wait_list()
    server.wipe()
    stage.wait(lambda: "etcd" in installed.rows())
    (row,) = [r for r in stage.json("status")["attention"] if r["kind"] == "etcd"]
    assert "DNS stays as it is" in row["sentence"]
    assert row["since"]
    installed.stays("1", "2")
    server.start()
    # An empty etcd: the list is written again, and nothing is concluded from missing keys.
    installed.wait_list()
    installed.stays("1", "2")
    installed.vote(True, False)
    stage.wait_answer("1")
    assert stage.stop() == 0


def test_a_dry_run_writes_no_list(installed: Installation) -> None:
    stage = installed.stage
    installed.vote(True, True)
    stage.start("-dry-run")
    stage.wait(lambda: stage.json("endpoints")[0]["state"] == "up")
    time.sleep(1)
    assert installed.store.get("monitors") is None


def test_a_clock_that_is_wrong_is_shown_and_counts_for_nothing(
    installed: Installation,
) -> None:
    stage = installed.stage
    installed.vote(True, True)
    stage.start()
    stage.wait_answer("1", "2")
    stop = threading.Event()

    def keep_posting() -> None:
        while not stop.wait(0.1):
            installed.vote(True, False, agents=("ams", "fra"), age_s=-60)

    poster = threading.Thread(target=keep_posting)
    poster.start()
    try:
        stage.wait(lambda: stage.json("endpoints")[1]["votes"]["fra"]["vote"] == "unknown")
        ams = next(a for a in stage.json("status")["agents"] if a["name"] == "ams")
        # A Time has whole seconds.
        assert re.search("(59|60) s ahead of ours, so none of them counts", ams["sentence"])
        assert -61.5 < ams["skew_seconds"] < -58.5
        installed.stays("1", "2")
    finally:
        stop.set()
        poster.join()


def test_an_etcd_that_is_away_at_the_start_is_no_reason_not_to_start(
    installed: Installation,
) -> None:
    stage = installed.stage
    installed.server.stop()
    stage.start()
    stage.wait(lambda: "etcd" in installed.rows())
    assert "connection refused" in installed.rows()["etcd"]
    installed.server.start()
    installed.vote(True, True)
    stage.wait_answer("1", "2")
    installed.wait_list()


def test_the_bytes_of_go_programs_are_what_was_documented() -> None:
    """What the other tests write in the place of Go's healthd (docs/health-protocol.md)."""
    assert stored({"10.0.0.1:80": True}, at=1_700_000_000.9) == (
        '{"Status":[{"DidChange":false,"Healthy":true,"IP":"10.0.0.1","Message":"success",'
        '"Port":80}],"Time":1700000000}'
    )
    assert stored({"10.0.0.1:80": None}, at=1.0) == (
        '{"Status":[{"DidChange":false,"Healthy":false,"IP":"","Message":"","Port":0}],"Time":1}'
    )
