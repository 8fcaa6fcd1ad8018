"""``dnslb raft recover`` killed before each statement of its one transaction, and after it.

Not a test. ``python -m tests.daemon.killed_recovery RAFT-DIR``: makes RAFT-DIR-K from it for each
K, and says for each K whether the process was killed. One process, which forks itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from dnslb.daemon.command_line import run
from dnslb.election.raft.log import Batch
from dnslb.election.raft.store import SqliteStore

STATEMENTS_MAX = 40


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def recover_and_die(raft_dir: Path, cut: int) -> int:
    """Before the statement of that number; where there are fewer, after all of them."""
    commit = SqliteStore.commit

    def commit_and_die(self: SqliteStore, batch: Batch) -> None:
        seen = 0

        def count(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == cut:
                kill()

        self._database.set_trace_callback(count)
        commit(self, batch)
        if seen == cut - 1:
            kill()

    SqliteStore.commit = commit_and_die  # type: ignore[method-assign]
    argv = ["raft", "recover", "-election", "raft", "-instance-id", "a"]
    argv += ["-raft-address", "127.0.0.1:3648", "-raft-dir", str(raft_dir)]
    return run([*argv, "--dead", "b", "--dead", "c"])


def main(raft_dir: Path) -> None:
    for cut in range(1, STATEMENTS_MAX):
        copy = raft_dir.with_name(f"{raft_dir.name}-{cut}")
        shutil.copytree(raft_dir, copy)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(recover_and_die(copy, cut))
        _, status = os.waitpid(child, 0)
        print(cut, "killed" if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status))
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
