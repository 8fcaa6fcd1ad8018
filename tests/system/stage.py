"""Real endpoints and a real daemon process, for tests that need the whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.rdatatype
import dns.zone

from tests.system.network import HERE, Place

CLI = (sys.executable, "-c", "from dnslb.daemon.main import cli; cli()")
CTL = (sys.executable, "-m", "dnslbctl")
PATIENCE_S = 20.0
ZONE = """\
$TTL 300
@ IN SOA ns.example.org. host.example.org. ( 7 3600 600 86400 300 )
  IN NS ns
ns IN A 127.0.0.1
; nobody touches this
mail   IN   A   192.0.2.77   ; nor this
"""


def metric(port: int, name: str) -> float | None:
    """Of a daemon's metrics one that has no labels; None where it is absent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    values = [float(line.split()[1]) for line in lines if line.startswith(f"{name} ")]
    return values[0] if values else None


class Endpoint:
    """An HTTP service that is up, down (refuses) or hanging (accepts and never answers)."""

    def __init__(self, place: Place = HERE) -> None:
        self.place = place
        self._hangs = False
        self._socket: socket.socket | None = None
        self._kept: list[socket.socket] = []
        self.port = 0
        self.up()

    def up(self, hangs: bool = False) -> None:
        self.down()
        with self.place.inside():
            listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.place.address, self.port))
        listener.listen(64)
        self.port, self._socket, self._hangs = listener.getsockname()[1], listener, hangs
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            if self._hangs:
                self._kept.append(peer)
                continue
            with peer:
                try:
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                except OSError:
                    continue

    def down(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        for peer in self._kept:
            peer.close()
        self._kept = []


class Stage:
    """A directory with a zone file, a configuration, and the daemon that runs on it.

    ``publisher``: top-level keys that name another provider.
    """

    def __init__(
        self, directory: Path, endpoints: int = 2, publisher: str = "", **lb: object
    ) -> None:
        self.directory = directory
        self.zone = directory / "zones" / "example.org.zone"
        self.socket = directory / "s.sock"
        self.config = directory / "dnslb.toml"
        self.endpoints = [Endpoint() for _ in range(endpoints)]
        self.process: subprocess.Popen[bytes] | None = None
        self.zone.parent.mkdir()
        (directory / "state").mkdir()
        self.zone.write_text(ZONE)
        self.options: dict[str, object] = {"up-after": 0.2, **lb}
        self.more = ""
        self.publisher = publisher or f'provider = "file"\nfile-dir = "{self.zone.parent}"\n'
        self.configure()

    def configure(self) -> None:
        rows = ",\n".join(
            f'  {{ monitor = "http://127.0.0.1:{e.port}", address = "192.0.2.{i}" }}'
            for i, e in enumerate(self.endpoints, 1)
        )
        options = "\n".join(f"{key} = {json.dumps(value)}" for key, value in self.options.items())
        self.config.write_text(
            f'election = "singleton"\ninstance-identifier = "t1"\n{self.publisher}'
            f'state-dir = "{self.directory / "state"}"\n'
            f'control-socket = "{self.socket}"\nzone-sync-interval-upload = 0.05\n{self.more}\n'
            f'[lb."www.example.org"]\nendpoints = [\n{rows}\n]\n{options}\n'
        )

    def start(self, *flags: str) -> None:
        with (self.directory / "log").open("ab") as log:
            command = [*CLI, "-cfg", str(self.config), *flags]
            self.process = subprocess.Popen(command, stderr=log)
        self.wait(lambda: self.ctl("status").returncode == 0)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=10)
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for endpoint in self.endpoints:
            endpoint.down()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CTL, "--socket", str(self.socket), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ctl("--json", *arguments).stdout)

    def answer(self) -> set[str]:
        """The last octets of what the zone file answers for www."""
        zone = dns.zone.from_file(str(self.zone), origin="example.org.", relativize=False)
        found = zone.get_rdataset("www.example.org.", dns.rdatatype.A)
        return {r.to_text().rpartition(".")[2] for r in found} if found else set()

    def wait(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Until it is so; patience only bounds a failing test."""
        end = time.monotonic() + patience_s
        while not what():
            assert time.monotonic() < end, self.log[-2000:]
            time.sleep(0.02)

    def wait_answer(self, *octets: str) -> None:
        self.wait(lambda: self.answer() == set(octets))
