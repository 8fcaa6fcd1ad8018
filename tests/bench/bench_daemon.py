"""How soon a daemon is ready and how much memory it takes; beside it, a bare interpreter.

Run: ``python tests/bench/bench_daemon.py``. Reported, not asserted. Goals: ready within 0.5 s;
90 MB with 10,000 endpoints, which are not checked here (protocol none).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLI = (sys.executable, "-c", "from dnslb.daemon.main import cli; cli()")
RUNS = 5


def configuration(directory: Path, names: int, each: int) -> Path:
    for part in ("zones", "state"):
        (directory / part).mkdir()
    zone = directory / "zones" / "example.org.zone"
    zone.write_text("$TTL 300\n@ IN SOA ns h ( 1 3600 600 86400 300 )\n IN NS ns\n")
    rows = "\n".join(
        f'"lb{i}.example.org" = ['
        + ", ".join(f'"none://10.{i // 200}.{i % 200}.{j}:80"' for j in range(each))
        + "]"
        for i in range(names)
    )
    path = directory / "dnslb.toml"
    path.write_text(
        f'election = "singleton"\ninstance-identifier = "b"\nprovider = "file"\n'
        f'file-dir = "{zone.parent}"\nstate-dir = "{directory / "state"}"\n'
        f'control-socket = "{directory / "s.sock"}"\n[lb]\n{rows}\n'
    )
    return path


def start(names: int, each: int, settle_s: float) -> tuple[float, float]:
    """Seconds until ready, and resident MB after ``settle_s``."""
    with tempfile.TemporaryDirectory() as name:
        command = [*CLI, "-cfg", str(configuration(Path(name), names, each))]
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if " ready: " in line:
                    break
            ready_s = time.perf_counter() - began
            time.sleep(settle_s)
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            process.terminate()
            process.stderr.read()
    return ready_s, resident


def main() -> None:
    bare = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append(time.perf_counter() - began)
    print(f"python3 -c pass                    {statistics.median(bare) * 1e3:6.0f} ms")
    for names, each, settle_s in ((1, 3, 1.0), (100, 100, 15.0)):
        runs = [start(names, each, settle_s) for _ in range(RUNS if names == 1 else 2)]
        ready = statistics.median(r for r, _ in runs)
        resident = max(m for _, m in runs)
        label = f"{names * each} endpoints"
        print(f"{label:18} ready after {ready * 1e3:6.0f} ms   resident {resident:5.0f} MB")


if __name__ == "__main__":
    main()
