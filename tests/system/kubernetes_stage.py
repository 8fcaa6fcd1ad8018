"""Real replicas that compete for a Lease: daemons on loopback, and the double of an API server.

The double is a process of its own, so that it can stand still as one that is away does; each
replica has its built-in agent alone.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dnslbctl.client import Client, Failed
from tests.system.named import free_port
from tests.system.stage import CLI, CTL, PATIENCE_S, Endpoint
from tests.system.waiting import leading, wait_for

LEASE_S, DEADLINE_S, RETRY_S = 3, 2.0, 0.5


class Server:
    """The API server, with a kubeconfig for each of ``names``."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory = directory
        command = [sys.executable, "-m", "tests.doubles.kubernetes_api", str(directory), *names]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]
        self._token = (directory / f"{names[0]}.token").read_text()
        self._trust = ssl.create_default_context(cafile=next(directory.rglob("ca.*")))

    def kubeconfig(self, name: str) -> Path:
        return self.directory / f"{name}.kubeconfig"

    def lease(self) -> Any:
        """Its spec, or None while there is none."""
        path = "/apis/coordination.k8s.io/v1/namespaces/dns/leases/dnslb"
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"Bearer {self._token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._trust) as answer:
                return json.load(answer)["spec"]
        except urllib.error.HTTPError as error:
            error.close()
            return None

    def stand_still(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Replica:
    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.socket = directory / f"{name}.sock"
        self.log_file = directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text()


class Fleet:
    """``publisher``: top-level keys that name a provider; ``more``: of all replicas; ``others``:
    who else has a token at the API server, and the rights of a replica."""

    def __init__(
        self,
        directory: Path,
        *,
        publisher: str,
        endpoints: int = 2,
        size: int = 2,
        more: str = "",
        others: tuple[str, ...] = (),
    ) -> None:
        self.directory, self.publisher, self.more = directory, publisher, more
        names = [f"r{i}" for i in range(1, size + 1)]
        self.server = Server(directory / "api", *names, *others)
        self.endpoints = [Endpoint() for _ in range(endpoints)]
        self.replicas = {name: Replica(directory, name) for name in names}

    def __getitem__(self, name: str) -> Replica:
        return self.replicas[name]

    def configure(self, replica: Replica) -> Path:
        rows = ", ".join(
            f'{{ monitor = "http://127.0.0.1:{one.port}", address = "192.0.2.{i}" }}'
            for i, one in enumerate(self.endpoints, 1)
        )
        path = self.directory / f"{replica.name}.toml"
        path.write_text(
            f'election = "k8s"\ninstance-identifier = "{replica.name}"\n'
            f'k8s-kubeconfig = "{self.server.kubeconfig(replica.name)}"\n'
            f'k8s-lock-namespace = "dns"\nk8s-lease-duration = {LEASE_S}\n'
            f"k8s-renew-deadline = {DEADLINE_S}\nk8s-retry-period = {RETRY_S}\n"
            f'control-socket = "{replica.socket}"\nverify-servers = "off"\nport = {free_port()}\n'
            f"zone-sync-interval-upload = 0.05\n{self.publisher}\n{self.more}\n"
            f'[lb."www.example.org"]\nup-after = 0.2\nendpoints = [{rows}]\n'
        )
        return path

    def start(self, *names: str, flags: tuple[str, ...] = ()) -> None:
        for name in names:
            replica = self.replicas[name]
            with replica.log_file.open("ab") as log:
                command = [*CLI, "-cfg", str(self.configure(replica)), *flags]
                replica.process = subprocess.Popen(command, stderr=log)
        for name in names:
            self.wait(partial(self._answers, name))

    def _answers(self, name: str) -> bool:
        try:
            self.status(name)
        except Failed:
            return False
        return True

    def send_signal(self, name: str, number: int) -> None:
        process = self.replicas[name].process
        assert process is not None
        process.send_signal(number)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        replica = self.replicas[name]
        assert replica.process is not None
        replica.process.send_signal(number)
        code = replica.process.wait(timeout=10)
        replica.process = None
        return code

    def close(self) -> None:
        for replica in self.replicas.values():
            if replica.process is not None:
                replica.process.kill()
                replica.process.wait()
        self.server.close()
        for endpoint in self.endpoints:
            endpoint.down()

    # --------------------------------------------------------------------------------- asking

    def ctl(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CTL, "--socket", str(self.replicas[name].socket), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def status(self, name: str) -> Any:
        """Without a process for it; raises `Failed`."""
        return Client(str(self.replicas[name].socket), 10.0).get("/status").value

    def row(self, name: str, kind: str) -> str:
        """The sentence of the attention row of this kind; "" without one."""
        rows = self.status(name)["attention"]
        return next((row["sentence"] for row in rows if row["kind"] == kind), "")

    def holder(self, *, but: str = "") -> str:
        """The replica that may write, as its own status says, once there is one."""
        found: list[str] = []

        def look() -> bool:
            one = leading(self.replicas.values(), self.status, but)
            found.extend([one] if one else [])
            return bool(found)

        self.wait(look)
        return found[-1]

    def wait(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Until it is so; patience only bounds a failing test."""
        wait_for(self.replicas.values, what, patience_s)


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets, and ends them all with the test."""
    made: list[Fleet] = []

    def make(**more: Any) -> Fleet:
        directory = tmp_path / f"fleet-{len(made)}"
        (directory / "api").mkdir(parents=True)
        made.append(Fleet(directory, **more))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()
