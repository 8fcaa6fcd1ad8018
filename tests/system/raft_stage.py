"""Real members of a cluster: daemons on loopback, in directories of their own.

Each has its built-in agent; ``publisher`` and ``lbs`` stand in the configuration of all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dnslbctl.client import Client, Failed
from tests.system.named import free_port
from tests.system.network import HERE, Place
from tests.system.stage import CLI, CTL, PATIENCE_S, Endpoint
from tests.system.waiting import leading, wait_for

RAFTADMIN = (
    *(sys.executable, "-c"),
    "import sys; from dnslbctl.__main__ import raftadmin; sys.exit(raftadmin())",
)


class Seat:
    """One member: what outlives its process."""

    def __init__(self, directory: Path, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.home = directory
        self.address = f"{place.host}:{free_port()}"
        self.socket = directory / f"{name}.sock"
        self.log_file = directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text()


class Cluster:
    """All seats run as members once `form` was called. ``lb``: more keys of the load balancer.
    ``certificates``: name → the path of a pair without its ending, ca.crt beside it. ``places``:
    where members run, by name; ``web``: where the endpoints do. ``lacking``: name → endpoints,
    counted from 1, that its configuration does not have."""

    def __init__(
        self,
        directory: Path,
        *,
        publisher: str = "",
        endpoints: int = 0,
        size: int = 3,
        lb: str = "up-after = 0.2",
        places: Mapping[str, Place] = {},
        web: Place = HERE,
    ) -> None:
        self.directory = directory
        self.publisher = publisher
        self.certificates: dict[str, Path] = {}
        self.lacking: dict[str, set[int]] = {}
        self.lb = lb
        self.endpoints = [Endpoint(web) for _ in range(endpoints)]
        names = [f"m{i}" for i in range(1, size + 1)]
        self.seats = {name: Seat(directory, name, places.get(name, HERE)) for name in names}

    def __getitem__(self, name: str) -> Seat:
        return self.seats[name]

    # ------------------------------------------------------------------------------- processes

    def configure(self, seat: Seat) -> Path:
        rows = ", ".join(
            f'{{ monitor = "http://{one.place.address}:{one.port}", address = "192.0.2.{i}" }}'
            for i, one in enumerate(self.endpoints, 1)
            if i not in self.lacking.get(seat.name, ())
        )
        lb = f'[lb."www.example.org"]\n{self.lb}\nendpoints = [{rows}]\n'
        tls = ""
        if (pair := self.certificates.get(seat.name)) is not None:
            tls = f'raft-ca = "{pair.parent / "ca.crt"}"\nraft-crt = "{pair}.crt"\n'
            tls += f'raft-key = "{pair}.key"\n'
        path = self.directory / f"{seat.name}.toml"
        path.write_text(
            f'election = "raft"\ninstance-identifier = "{seat.name}"\n'
            f'raft-address = "{seat.address}"\nraft-dir = "{self.directory}"\n'
            f'control-socket = "{seat.socket}"\nverify-servers = "off"\nport = {free_port()}\n'
            f"zone-sync-interval-upload = 0.05\n{tls}{self.publisher}\n"
            f"{lb if self.endpoints else ''}"
        )
        return path

    def start(self, name: str, *flags: str) -> Seat:
        seat = self.seats[name]
        with seat.log_file.open("ab") as log:
            command = [*seat.place.command, *CLI, "-cfg", str(self.configure(seat)), *flags]
            seat.process = subprocess.Popen(command, stderr=log)
        return seat

    def wait_ready(self, *names: str) -> None:
        for name in names:
            self.wait(partial(self._answers, name))

    def _answers(self, name: str) -> bool:
        try:
            self.status(name)
        except Failed:
            return False
        return True

    def send_signal(self, name: str, number: int) -> None:
        process = self.seats[name].process
        assert process is not None
        process.send_signal(number)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        seat = self.seats[name]
        assert seat.process is not None
        seat.process.send_signal(number)
        code = seat.process.wait(timeout=10)
        seat.process = None
        return code

    def form(self) -> None:
        """All seats run and vote; the first one founded the cluster."""
        first, *others = self.seats
        self.start(first, "-raft-bootstrap")
        for name in others:
            self.start(name)
        self.wait_ready(*self.seats)
        for name in others:
            self.raft(first, "add_voter", name, self.seats[name].address, "0")

    def close(self) -> None:
        for seat in self.seats.values():
            if seat.process is not None:
                seat.process.kill()
                seat.process.wait()
        for endpoint in self.endpoints:
            endpoint.down()

    # --------------------------------------------------------------------------------- asking

    def ctl(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(*CTL, "--socket", str(self.seats[name].socket), *arguments)

    def client(self, name: str, timeout_s: float = 10.0) -> Client:
        return Client(str(self.seats[name].socket), timeout_s)

    def status(self, name: str) -> Any:
        """Without a process for it; raises `Failed`."""
        return self.client(name).get("/status").value

    def raft(self, name: str, *arguments: str) -> str:
        done = self.ctl(name, "raft", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, name: str, *arguments: str) -> Any:
        done = self.ctl(name, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def raftadmin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(*RAFTADMIN, *arguments)

    def multi(self, *names: str) -> str:
        return "multi:///" + ",".join(self.seats[one].address for one in names or self.seats)

    def leader(self, *, but: str = "") -> str:
        """The member that leads, as its own status says, once there is one."""
        found: list[str] = []

        def look() -> bool:
            one = leading(self.seats.values(), self.status, but)
            found.extend([one] if one else [])
            return bool(found)

        self.wait(look)
        return found[-1]

    def wait(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Until it is so; patience only bounds a failing test."""
        wait_for(self.seats.values, what, patience_s)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters, and ends them all with the test."""
    made: list[Cluster] = []

    def make(**more: Any) -> Cluster:
        directory = tmp_path / f"cluster-{len(made)}"
        directory.mkdir()
        made.append(Cluster(directory, **more))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
