"""Three opinions over real mutual TLS: the built-in prober and two `dnslb agent` processes."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.pki import Authority
from tests.system.stage import CLI, Stage


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Fleet:
    """A daemon that hears agents, and the agents' processes by name."""

    def __init__(self, directory: Path) -> None:
        self.stage = Stage(directory)
        self.pki = Authority(directory / "pki")
        self.port = free_port()
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        server = self.pki.issue("127.0.0.1", name="server")
        self.stage.more = (
            f'agents = ["t1", "ams", "waw"]\nhealthd-listen = "127.0.0.1:{self.port}"\n'
            f'healthd-ca = "{server.ca}"\nhealthd-crt = "{server.cert}"\n'
            f'healthd-key = "{server.key}"\n'
        )
        self.stage.configure()

    def start_agent(self, name: str, certificate_of: str | None = None) -> None:
        files = self.pki.issue(
            f"{certificate_of or name}.agents.test", common_name=certificate_of or name
        )
        upstream = f"https://127.0.0.1:{self.port}/"
        flags = ["-name", name, "-upstream", upstream, "-ca", files.ca, "-crt", files.cert]
        with (self.stage.directory / f"{name}.log").open("ab") as log:
            command = [*CLI, "agent", *map(str, flags), "-key", str(files.key), "-keep-alive", "1"]
            self.agents[name] = subprocess.Popen(command, stderr=log)

    def votes(self, endpoint: int) -> dict[str, str]:
        seen = self.stage.json("endpoints")[endpoint]["votes"]
        return {agent: vote["vote"] for agent, vote in seen.items()}

    def close(self) -> None:
        for process in self.agents.values():
            process.kill()
            process.wait()
        self.stage.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.close()


def test_agents_vote_and_the_majority_moves_dns(fleet: Fleet) -> None:
    stage = fleet.stage
    stage.start()
    assert stage.answer() == set()
    fleet.start_agent("ams")
    fleet.start_agent("waw")
    stage.wait_answer("1", "2")
    stage.wait(lambda: fleet.votes(0) == {"t1": "up", "ams": "up", "waw": "up"})
    stage.endpoints[1].down()
    stage.wait_answer("1")
    stage.endpoints[1].up()
    stage.wait_answer("1", "2")
    fleet.agents["waw"].terminate()
    assert fleet.agents["waw"].wait(timeout=10) == 0
    stage.endpoints[1].down()
    stage.wait_answer("1")


def test_an_agent_under_another_name_is_refused_and_told_so(fleet: Fleet) -> None:
    stage = fleet.stage
    stage.start()
    fleet.start_agent("ams", certificate_of="waw")
    log = stage.directory / "ams.log"
    stage.wait(lambda: log.exists() and "403" in log.read_text())
    assert "Traceback" not in log.read_text()
    assert fleet.votes(0)["ams"] == "unknown"
    assert stage.answer() == set()
