"""A member's store under load, in a process of its own: says each index once it is durable.

Not a test. ``python -m tests.election.raft.writer DIRECTORY [BYTES_MAX]``; ``BYTES_MAX`` is the
size at which the system refuses to let a file grow, as a full disk does.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import Entry, Snapshot, regular
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.store import SqliteStore
from dnslb.errors import StoreError

COMPACT_EVERY = 40
KEEP = 7


def command(index: int) -> bytes:
    return regular(b"%d " % index * 30, 1)


def main(directory: Path, bytes_max: int) -> None:
    store = SqliteStore(directory)
    journal = Journal(store)
    if bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    while True:
        index = journal.last + 1
        journal.set_term(journal.facts.term + 1, "a")
        journal.append(Entry(command(index), index, journal.facts.term))
        if index % 5 == 0:
            # A new leader's word for it: the tail is taken back and written again.
            journal.cut_from(index - 1)
            for again in (index - 1, index):
                journal.append(Entry(command(again), again, journal.facts.term))
        if index > 3:
            journal.set_commit(index - 3)
        if index % COMPACT_EVERY == 0:
            at = journal.facts.commit
            term = journal.term_at(at)
            assert term is not None
            state = Snapshot(at, term, Configuration(), 0, b"state of %d" % at)
            journal.compact(state, keep=KEEP)
        try:
            journal.sync()
        except StoreError as e:
            print(f"failed: {e}", flush=True)
            journal.append(Entry(command(index + 1), index + 1, journal.facts.term))
            try:
                journal.sync()
            except StoreError as again_refused:
                print(f"refused: {again_refused}", flush=True)
            return
        print(index, journal.facts.term, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
