"""A network for several sealed roots: each with an address of its own, as pods have.

A bridge in a namespace of its own; whoever looks from there stands where a kubelet stands.
"""

from __future__ import annotations

import subprocess
import sys

from tests.deploy.sealed import Sealed
from tests.tidy import ROOT

GATEWAY = "10.1.0.254"


class Switch:
    def __init__(self) -> None:
        self._links = 0
        self._started: list[subprocess.Popen[str]] = []
        script = (
            "ip link add br0 type bridge && ip link set br0 up && "
            f"ip address add {GATEWAY}/24 dev br0 && ip link set lo up && "
            "echo up && exec sleep infinity"
        )
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n"

    def close(self) -> None:
        for process in (*self._started, self._holder):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def connect(self, sealed: Sealed, address: str) -> None:
        self._links += 1
        link = f"v{self._links}"
        self._inside("ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", sealed.pid)
        self._inside("ip", "link", "set", link, "master", "br0", "up")
        for words in (
            ("address", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            subprocess.run(["nsenter", f"--target={sealed.pid}", "--net", "ip", *words], check=True)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A process of the host's that is reached at GATEWAY; returns once it printed a line."""
        process = subprocess.Popen(
            ["nsenter", f"--target={self._holder.pid}", "--net", *command],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def succeeds(self, address: str, port: int, path: str) -> bool:
        """Whether a probe is answered with 200."""
        code = (
            "import sys, urllib.request\n"
            "try: print(urllib.request.urlopen(sys.argv[1], timeout=5).status)\n"
            "except OSError: print('no')\n"
        )
        url = f"http://{address}:{port}{path}"
        return self._inside(sys.executable, "-c", code, url) == "200\n"

    def _inside(self, *command: str) -> str:
        return subprocess.run(
            ["nsenter", f"--target={self._holder.pid}", "--net", *command],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
