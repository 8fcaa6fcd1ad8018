"""How soon the console shows something, and what it costs to watch 10,000 endpoints.

Not a test: `python tests/bench/bench_console.py [starts] [seconds]` prints two tables.

Starts are whole processes at a terminal, beside a bare ``python3 -c pass`` and ``dnslbctl status``,
interleaved. Goals: first paint within 0.5 s, live data within 0.6 s after exec.

The crowd is 10,000 endpoints of 1,000 names seen by five agents, of which 500 turn twice a second:
all endpoints of 50 names, then one of each of 500.
Its side is the real control server in a process of its own. Goals: 15 % of a core, 80 MB, a key
answered within 50 ms; for the daemon 2 % of a core more than without a watcher.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import replace
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslb.control.server import ControlServer
from dnslb.model.status import Status
from dnslb.net.clock import Clock
from dnslb.net.listen import open_unix
from tests.doubles.operations import AGENTS, INFO, Shown, agent, ep, lb, picture

ROOT = Path(__file__).resolve().parents[2]
NAMES, EACH, TURNING = 1000, 10, 500
TICK_S = 0.5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ENTERS, PAINTED, LIVE = b"\x1b[?1049h", b"Endpoints", b"HEALTHY"
PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from dnslbctl.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


# ------------------------------------------------------------------------------ the daemon's side


def crowd() -> Status:
    lbs = [
        lb(f"n{i:04}.example.org", *(ep(f"https://10.{i >> 8}.{i & 255}.{j}:443")
                                     for j in range(1, EACH + 1)))
        for i in range(NAMES)
    ]  # fmt: skip
    status = picture(*lbs)
    votes = bytes(status.agents[0].report.votes)  # type: ignore[union-attr]
    agents = (*AGENTS, "a4", "a5")
    return replace(status, agents=tuple(agent(n, status.monitors, votes) for n in agents))


def turned(status: Status, tick: int, names: int) -> Status:
    """So many endpoints turn, spread over so many names; as many live as before."""
    lbs = dict(status.loadbalancers)
    every = [*lbs]
    for number in range(names):
        view = lbs[every[(tick * names + number) % NAMES]]
        share = TURNING // names
        rows = tuple(
            e._replace(counts_as="dead" if e.counts_as == "living" else "living",
                       reason=f"turned at tick {tick}")
            for e in view.endpoints[:share]
        )  # fmt: skip
        rows += view.endpoints[share:]
        lbs[view.name] = replace(view, draw=lambda rows=rows: rows)  # type: ignore[misc]
    return replace(status, loadbalancers=lbs)


def serve(path: str, names: int) -> None:
    async def run() -> None:
        shown = Shown(crowd())
        server = ControlServer(shown, shown, INFO, Clock(), on_error=lambda error: None)
        listener = await open_unix(Path(path))
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda **k: server.serve([listener], **k))
            for tick in range(10**9):
                await trio.sleep(TICK_S)
                shown.show(turned(shown.status.value, tick, names))

    trio.run(run)


# ------------------------------------------------------------------------------------ a terminal


class Screen:
    """A program at a terminal; it begins when this is made."""

    def __init__(self, words: list[str], environ: dict[str, str], size: tuple[int, int]) -> None:
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, *words], environ)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.seen = b""

    def read(self, seconds: float) -> bytes:
        """What comes within ``seconds``, or b""."""
        if not select.select([self.fd], [], [], max(seconds, 0))[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 20)
        except OSError:
            return b""
        self.seen += data
        return data

    def until(self, text: bytes, limit_s: float = 30.0) -> float:
        """Seconds since it began when ``text`` was there."""
        end = time.perf_counter() + limit_s
        while text not in self.seen:
            if time.perf_counter() > end:
                raise SystemExit(f"{text!r} did not come: {self.seen[-500:]!r}")
            self.read(0.2)
        return time.perf_counter() - self.began

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


# ---------------------------------------------------------------------------------- measurements


def measure_starts(environ: dict[str, str], rounds: int) -> None:
    console = ["-c", PROGRAM]
    status = ["-c", PROGRAM, "status"]
    found: dict[str, list[float]] = {}

    def note(name: str, seconds: float, count: int) -> None:
        if count >= 0:  # the first round fills the cache of byte code
            found.setdefault(name, []).append(seconds)

    for count in range(-1, rounds):
        for name, words in (("python3 -c pass", ["-c", "pass"]), ("dnslbctl status", status)):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], env=environ, check=True, capture_output=True)
            note(name, time.perf_counter() - began, count)
        screen = Screen(console, environ, (80, 24))
        note("console: alternate screen", screen.until(ENTERS), count)
        note("console: first paint", screen.until(PAINTED), count)
        note("console: live data", screen.until(LIVE), count)
        screen.end()
    base = statistics.median(found["python3 -c pass"])
    print(f"{'after exec':28}{'median':>9}{'worst':>9}{'ratio':>8}")
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:28}{median * 1e3:7.0f}ms{max(times) * 1e3:7.0f}ms{median / base:7.1f}x")


def measure_watching(environ: dict[str, str], server: int, seconds: float) -> None:
    began, before = time.perf_counter(), cpu_s(server)
    time.sleep(seconds)
    alone = (cpu_s(server) - before) / (time.perf_counter() - began)
    console = ["-c", PROGRAM]
    screen = Screen(console, environ, (200, 60))
    screen.until(LIVE)
    settled = time.perf_counter() + 3
    while time.perf_counter() < settled:
        screen.read(0.1)
    began = time.perf_counter()
    before, served = cpu_s(screen.pid), cpu_s(server)
    written = 0
    while time.perf_counter() < began + seconds:
        written += len(screen.read(0.1))
    elapsed = time.perf_counter() - began
    share = (cpu_s(screen.pid) - before) / elapsed
    serving = (cpu_s(server) - served) / elapsed
    began, before = time.perf_counter(), cpu_s(screen.pid)
    answers = [answer_s(screen, b"21"[i % 2 : i % 2 + 1]) for i in range(40)]
    took = cpu_s(screen.pid) - before - share * (time.perf_counter() - began)
    print(f"console           {share:7.1%} of a core {memory_mb(screen.pid):6.0f} MB resident")
    print(f"to the terminal   {written / elapsed / 1024:7.1f} kB/s")
    quantiles = statistics.quantiles(answers, n=20)
    print(f"a key is answered {statistics.median(answers) * 1e3:7.0f} ms median "
          f"{quantiles[-1] * 1e3:4.0f} ms p95 {max(answers) * 1e3:4.0f} ms worst")  # fmt: skip
    print(f"a key costs       {took / len(answers) * 1e3:7.0f} ms of a core")
    print(f"daemon's side     {serving:7.1%} of a core, without a watcher {alone:.1%}")
    screen.end()


def answer_s(screen: Screen, key: bytes) -> float:
    """From a key that goes to another pane until the tabs, which nothing else repaints, show it."""
    quiet = time.perf_counter() + 0.07
    while time.perf_counter() < quiet:
        screen.read(0.02)
    screen.seen = b""
    began = time.perf_counter()
    os.write(screen.fd, key)
    while b"Members" not in screen.seen:
        screen.read(1.0)
        if time.perf_counter() - began > 5:
            raise SystemExit(f"{key!r} was not answered: {screen.seen[-300:]!r}")
    return time.perf_counter() - began


def main(starts: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/here.sock"
        environ = {
            **os.environ,
            "DNSLB_SOCKET": path,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PYTHONPYCACHEPREFIX": f"{directory}/cache",
        }
        for variable in ("PYTHONDONTWRITEBYTECODE", "NO_COLOR", "COLUMNS", "LINES"):
            environ.pop(variable, None)
        for names in (50, 500):
            server = subprocess.Popen([sys.executable, __file__, "serve", path, str(names)])
            try:
                while not os.path.exists(path):
                    time.sleep(0.05)
                if names == 50:
                    measure_starts(environ, starts)
                print(f"\n{NAMES * EACH:,} endpoints, {TURNING} of {names} names turn every "
                      f"{TICK_S:g} s, at 200 x 60")  # fmt: skip
                measure_watching(environ, server.pid, seconds)
            finally:
                server.kill()
                server.wait()
                Path(path).unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main(*(int(word) for word in (*sys.argv[1:], *("8", "10")[len(sys.argv) - 1 :])))
