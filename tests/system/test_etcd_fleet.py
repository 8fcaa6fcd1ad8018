"""A mixed fleet: ours and Go's agents, through a Go healthd and etcd or straight to the daemon.

Go's programs are played after the documented facts of their protocols; etcd, the daemon and our
agents are real.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from dnslb.net.http_message import Request, Response
from dnslb.net.tls import TlsFiles, client_context
from tests.doubles.healthd import GoHealthd
from tests.doubles.pki import Authority
from tests.system.etcd import Etcd, StartEtcd
from tests.system.stage import CLI, Stage
from tests.system.test_agents import free_port


class StoringHealthd(GoHealthd):
    """With etcd behind it, by the v2 API, as Go's has it."""

    def __init__(self, files: TlsFiles, server: Etcd) -> None:
        super().__init__(files, [])
        self._server = server

    async def _handle(self, request: Request) -> Response:
        listed = await trio.to_thread.run_sync(self._server.get, "monitors")
        self.monitors = json.loads(listed or "[]")
        agent = request.headers.get("x-agent-name", "")
        before = len(self.stored.get(agent, []))
        response = await super()._handle(request)
        if len(posts := self.stored.get(agent, [])) > before:
            value = {"Status": posts[-1], "Time": int(time.time())}
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
            await trio.to_thread.run_sync(self._server.put, agent, text)
        return response


class GoHealthagent:
    """Fetches the list, splits each entry at "://" and ":", and posts what the test says."""

    def __init__(self, name: str, url: str, files: TlsFiles) -> None:
        self._url, self._headers = url, {"X-Agent-Name": name}
        self._context = client_context(files)

    def post(self, *healthy: bool) -> None:
        with httpx.Client(verify=self._context, trust_env=False, headers=self._headers) as client:
            monitors = client.get(self._url).json()
            answer = client.post(self._url, content=self._body(monitors, healthy))
        assert answer.status_code == 200

    def _body(self, monitors: list[str], healthy: tuple[bool, ...]) -> bytes:
        statuses = []
        for monitor, up in zip(monitors, healthy, strict=True):
            ip, port = monitor.split("://")[1].split(":")
            said = "success" if up else "dial tcp: connect: connection refused"
            status = {"IP": ip, "Port": int(port), "Healthy": up, "Message": said}
            statuses.append({**status, "DidChange": False})
        return json.dumps(statuses, separators=(",", ":")).encode()


class Fleet:
    def __init__(self, directory: Path, server: Etcd) -> None:
        self.stage = Stage(directory)
        self.pki = Authority(directory / "pki")
        self.healthd = StoringHealthd(self.pki.issue("127.0.0.1", name="healthd"), server)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        ours = self.pki.issue("127.0.0.1", name="receiver")
        self.stage.more = (
            f'agents = ["ams", "fra", "waw"]\netcd = "{server.url}"\n'
            f'healthd-listen = "127.0.0.1:{self.port}"\nhealthd-ca = "{ours.ca}"\n'
            f'healthd-crt = "{ours.cert}"\nhealthd-key = "{ours.key}"\n'
        )
        self.stage.configure()

    def certificate(self, name: str) -> TlsFiles:
        return self.pki.issue(f"{name}.agents.test", common_name=name)

    def start_agent(self, name: str, upstream: str) -> None:
        files = self.certificate(name)
        flags = ["-name", name, "-upstream", upstream, "-ca", files.ca, "-crt", files.cert]
        with (self.stage.directory / f"{name}.log").open("ab") as log:
            command = [*CLI, "agent", *map(str, flags), "-key", str(files.key), "-keep-alive", "1"]
            self.processes.append(subprocess.Popen(command, stderr=log))

    def votes(self, endpoint: int) -> dict[str, str]:
        seen = self.stage.json("endpoints")[endpoint]["votes"]
        return {agent: vote["vote"] for agent, vote in seen.items()}

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.stage.close()


@pytest.fixture
async def fleet(tmp_path: Path, etcd: StartEtcd, nursery: trio.Nursery) -> AsyncIterator[Fleet]:
    made = Fleet(tmp_path, etcd())
    await nursery.start(made.healthd.serve)
    yield made
    made.close()


async def test_three_ways_to_vote(fleet: Fleet) -> None:
    await trio.to_thread.run_sync(play, fleet)
    assert fleet.healthd.refused == []


def play(fleet: Fleet) -> None:
    stage = fleet.stage
    stage.start()
    stage.wait(lambda: fleet.healthd._server.get("monitors") is not None)
    fleet.start_agent("ams", fleet.healthd.url)  # ours → Go's healthd → etcd
    fleet.start_agent("fra", f"https://127.0.0.1:{fleet.port}/")  # ours → straight
    go = GoHealthagent("waw", fleet.healthd.url, fleet.certificate("waw"))
    stage.wait_answer("1", "2")
    go.post(True, True)
    stage.wait(lambda: fleet.votes(1) == {"ams": "up", "fra": "up", "waw": "up"})
    # One of them alone is not believed; with one of ours it decides.
    go.post(True, False)
    stage.wait(lambda: fleet.votes(1)["waw"] == "down")
    assert stage.answer() == {"1", "2"}
    go.post(True, True)
    stage.endpoints[1].down()
    stage.wait_answer("1")
    stage.endpoints[1].up()
    stage.wait_answer("1", "2")
    # A Go healthagent that reports straight to the daemon overtakes what it said by etcd.
    straight = GoHealthagent("waw", f"https://127.0.0.1:{fleet.port}/", fleet.certificate("waw"))
    straight.post(False, True)
    stage.wait(lambda: fleet.votes(0)["waw"] == "down")
