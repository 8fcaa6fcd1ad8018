"""How long a whole ``dnslbctl status`` takes, beside what it cannot be faster than.

Not a test: `python tests/bench/bench_dnslbctl.py [rounds]` prints a table. Baselines are a bare
``python3 -c pass`` and a bare client of argparse, socket and json. The rounds are interleaved,
so that a noisy machine disturbs all alike. Byte code is cached, as it is where a package is
installed. The goal: at most three times ``python3 -c pass``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.control.server import ControlServer
from dnslb.net.clock import FakeClock
from dnslb.net.listen import open_unix
from tests.doubles.operations import ALONE, INFO, Shown, ep, lb, picture, row

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import argparse, json, socket, sys
p = argparse.ArgumentParser()
p.add_argument("--socket")
p.add_argument("verb")
a = p.parse_args()
s = socket.socket(socket.AF_UNIX)
s.connect(a.socket)
s.sendall(b"GET /v1/status HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
data = b""
while part := s.recv(65536):
    data += part
print(len(json.loads(data.split(b"\\r\\n\\r\\n", 1)[1])))
"""


def serve(path: str, started: threading.Event) -> None:
    """A daemon that only shows, in a thread of its own: its work is not what is measured."""

    async def run() -> None:
        rows = [lb(f"name-{i}.example.org", ep(f"tcp://192.0.2.{i}:80")) for i in range(1, 21)]
        shown = Shown(picture(*rows, attention=(row(),)), members=ALONE)
        server = ControlServer(shown, shown, INFO, FakeClock(), on_error=lambda error: None)
        listener = await open_unix(path)
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda **k: server.serve([listener], **k))
            started.set()

    trio.run(run)


def measure(
    cases: dict[str, list[str]], rounds: int, environ: dict[str, str]
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in cases}
    for count in range(-1, rounds):
        for name, arguments in cases.items():
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, *arguments], env=environ, capture_output=True, check=False
            )
            if count >= 0:  # the first round fills the cache of byte code
                times[name].append(time.perf_counter() - began)
            assert done.returncode == 0, done.stderr.decode()
    return times


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/here.sock"
        started = threading.Event()
        threading.Thread(target=serve, args=(path, started), daemon=True).start()
        started.wait(10)
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import dnslbctl.__main__ as m; "
        environ = {**os.environ, "DNSLB_SOCKET": path, "PYTHONPYCACHEPREFIX": f"{directory}/cache"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        times = measure(
            {
                "python3 -c pass": ["-c", "pass"],
                "argparse + socket + json": ["-c", BARE, "--socket", path, "status"],
                "dnslbctl status": ["-c", start + "sys.exit(m.main(['status']))"],
                "dnslbctl --json status": ["-c", start + "sys.exit(m.main(['--json', 'status']))"],
                "dnslbctl why": ["-c", start + "sys.exit(m.main(['why', 'name-1.example.org']))"],
                "dnslbctl --help": ["-c", start + "sys.exit(m.main(['--help']))"],
            },
            rounds,
            environ,
        )
    base = statistics.median(times["python3 -c pass"])
    print(f"{'whole process':28}{'median':>9}{'p90':>9}{'ratio':>8}")
    for name, found in times.items():
        median, p90 = statistics.median(found), statistics.quantiles(found, n=10)[8]
        print(f"{name:28}{median * 1e3:7.1f}ms{p90 * 1e3:7.1f}ms{median / base:7.2f}x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
