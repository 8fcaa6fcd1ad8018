"""How long from an endpoint's death to a zone file without it, and back; a whole daemon process.

Run: ``python tests/bench/bench_failover.py``. Reported, not asserted. Bounds of the issue: refusing
within 1.1 x interval + 0.2 s, hanging within that + 2 x time-out. The floor is the check's phase:
half an interval on average.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.system.stage import Stage

ROUNDS = 12


def show(label: str, taken: list[float], bound_s: float | None) -> None:
    taken.sort()
    middle = statistics.median(taken)
    over = ""
    if bound_s is not None:
        over = f"   bound {bound_s:.2f} s, over it: {sum(t > bound_s for t in taken)}"
    print(f"{label:10} n {len(taken)}   median {middle:.2f} s   max {taken[-1]:.2f} s{over}")


def main() -> None:
    interval, timeout = 1.0, 1.0
    bound = 1.1 * interval + 0.2
    with tempfile.TemporaryDirectory() as name:
        stage = Stage(Path(name), interval=interval, timeout=timeout)
        try:
            stage.start()
            stage.wait_answer("1", "2")
            victim = stage.endpoints[1]
            for hangs, limit in ((False, bound), (True, bound + 2 * timeout)):
                lost, back = [], []
                for i in range(ROUNDS):
                    time.sleep(0.31 * (i % 4))
                    began = time.monotonic()
                    if hangs:
                        victim.up(hangs=True)
                    else:
                        victim.down()
                    stage.wait_answer("1")
                    lost.append(time.monotonic() - began)
                    time.sleep(0.17)
                    began = time.monotonic()
                    victim.up()
                    stage.wait(lambda: stage.answer() == {"1", "2"}, 400)
                    back.append(time.monotonic() - began)
                    if i % 3 == 2:  # forgets flaps: their cooldown is not measured
                        stage.stop()
                        (stage.directory / "state" / "state.json").unlink()
                        stage.zone.write_text(stage.zone.read_text().replace("www", "; www"))
                        stage.start()
                        stage.wait_answer("1", "2")
                show("hangs" if hangs else "refuses", lost, limit)
                show("returns", back, None)
        finally:
            stage.close()


if __name__ == "__main__":
    main()
