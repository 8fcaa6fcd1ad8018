"""The store against what machines do: kill -9, a full disk, a torn or rotten file, two starts."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import FIRST, Entry, Facts, Snapshot, Stored, regular
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.store import DATABASE_NAME, SqliteStore
from dnslb.errors import StoreError
from tests.election.raft.writer import COMPACT_EVERY, KEEP, command

ROOT = Path(__file__).resolve().parents[3]


def read(directory: Path) -> Stored:
    store = SqliteStore(directory)
    try:
        return store.load()
    finally:
        store.close()


def written(directory: Path, count: int = 12) -> Stored:
    """A store with some entries and a snapshot, cleanly closed."""
    store = SqliteStore(directory)
    journal = Journal(store)
    journal.set_term(3, "b")
    for index in range(2, count):
        journal.append(Entry(command(index), index, 3))
    journal.set_commit(count - 3)
    journal.note_lease(0.4)
    journal.compact(Snapshot(count - 4, 3, Configuration(), 0, b"the state"), keep=2)
    journal.sync()
    journal.close()
    return read(directory)


# ------------------------------------------------------------------------------- what it keeps


def test_a_first_start_mints_an_incarnation_that_stays(tmp_path: Path) -> None:
    first = read(tmp_path)
    assert (first.facts, first.entries, first.snapshot) == (Facts(), (), None)
    assert len(bytes.fromhex(first.incarnation)) == 8
    assert read(tmp_path).incarnation == first.incarnation
    other = tmp_path / "other"
    other.mkdir()
    assert read(other).incarnation != first.incarnation


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    stored = written(tmp_path)
    assert stored.facts == Facts(3, "b", 9, 0.4, "")
    assert [entry.position for entry in stored.entries] == [6, 7, 8, 9, 10, 11]
    assert stored.entries[-1] == Entry(command(11), 11, 3)
    assert stored.snapshot == Snapshot(8, 3, Configuration(), 0, b"the state")


def test_writes_go_through_a_log_that_is_synced_each_time(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    ask = store._database.execute
    assert ask("pragma journal_mode").fetchone() == ("wal",)
    assert ask("pragma synchronous").fetchone() == (2,)
    assert ask("pragma locking_mode").fetchone() == ("exclusive",)
    store.close()


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    read(tmp_path)
    assert (tmp_path / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_second_start_on_the_same_ground_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="in use by another process"):
        SqliteStore(tmp_path)
    store.close()
    read(tmp_path)


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(SqliteStore(tmp_path))
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        journal.sync()


# --------------------------------------------------------------------------------- kill, full


def start_writer(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "tests.election.raft.writer", str(directory), *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check_written(stored: Stored, index: int, term: int) -> None:
    """All that was said to be durable is there, and nothing of it is torn."""
    assert stored.facts.term >= term
    assert stored.entries[-1].position >= index
    for entry in stored.entries:
        assert entry in (FIRST, Entry(command(entry.position), entry.position, entry.term))
    if index >= COMPACT_EVERY:
        assert stored.snapshot is not None
        assert stored.snapshot.state == b"state of %d" % stored.snapshot.index
        assert stored.entries[0].position == stored.snapshot.index - KEEP


def kill_and_look(directory: Path, lines: int) -> None:
    with start_writer(directory) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    index, term = map(int, [line for line in said if line.endswith("\n")][-1].split())
    check_written(read(directory), index, term)


def test_kill_9_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    for lines in (1, 13, 39, 64):
        kill_and_look(tmp_path, lines)


@pytest.mark.long
def test_kill_9_over_and_over(tmp_path: Path) -> None:
    luck = random.Random(4)
    for _ in range(200):
        kill_and_look(tmp_path, luck.randrange(1, 150))


def test_a_full_disk_fails_and_nothing_is_in_force(tmp_path: Path) -> None:
    with start_writer(tmp_path, "150000") as process:
        output, _ = process.communicate()
    *said, failed, refused = output.splitlines()
    assert failed.startswith("failed: The raft store")
    assert "not in force" in failed
    assert refused.startswith("refused: ")
    assert "takes nothing any more" in refused
    index, term = map(int, said[-1].split())
    stored = read(tmp_path)
    check_written(stored, index, term)
    assert stored.entries[-1].position == index
    assert stored.facts.term == term


# ------------------------------------------------------------------------------- torn, rotten


def test_a_log_of_writes_that_is_torn_anywhere_leaves_a_whole_past(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    pasts: list[tuple[Entry, ...]] = [()]
    for index in range(2, 9):
        journal.append(Entry(regular(b"x" * 700, index), index, 0))
        journal.sync()
        pasts.append(tuple(journal.entries))
    wal = tmp_path / f"{DATABASE_NAME}-wal"
    whole, length = tmp_path / DATABASE_NAME, wal.stat().st_size
    seen = set()
    for cut in range(length, 0, -1499):
        torn = tmp_path / "torn"
        shutil.rmtree(torn, ignore_errors=True)
        torn.mkdir()
        shutil.copy(whole, torn / DATABASE_NAME)
        (torn / f"{DATABASE_NAME}-wal").write_bytes(wal.read_bytes()[:cut])
        seen.add(pasts.index(read(torn).entries))
    journal.close()
    assert len(seen) > 5


def flipped(directory: Path, at: int) -> Path:
    rotten = directory / "rotten"
    shutil.rmtree(rotten, ignore_errors=True)
    rotten.mkdir()
    data = bytearray((directory / DATABASE_NAME).read_bytes())
    data[at] ^= 0x10
    (rotten / DATABASE_NAME).write_bytes(data)
    return rotten


def test_a_rotten_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    stored = written(tmp_path)
    size = (tmp_path / DATABASE_NAME).stat().st_size
    luck = random.Random(1)
    refused = 0
    for _ in range(80):
        rotten = flipped(tmp_path, luck.randrange(size))
        try:
            assert read(rotten) == stored
        except StoreError:
            refused += 1
    assert refused > 5


DAMAGES = {
    "update log set command = x'0001' where position = 9": "entry 9 is not what was written",
    "delete from log where position = 8": "entry 9 of term 3 follows 7",
    "delete from log where position > 8": "entries up to 9 are committed, its log ends at 8",
    "delete from log": "its log is missing",
    "delete from facts": "term and vote are missing",
    "update facts set digest = 1": "the facts are not what was written",
    "delete from snapshot": "its log begins at 6, with no snapshot before it",
    "update snapshot set content = x'00'": "the snapshot are not what was written",
    "drop table log": "no such table: log",
}


@pytest.mark.parametrize("statement", DAMAGES)
def test_damage_is_refused_with_advice(tmp_path: Path, statement: str) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        database.execute(statement)
    database.close()
    with pytest.raises(StoreError) as refused:
        read(tmp_path)
    assert DAMAGES[statement] in str(refused.value)
    if "no such table" not in DAMAGES[statement]:
        assert "remove_server" in str(refused.value)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("pragma user_version = 2", "has format 2, this dnslb reads 1"),
        ("pragma application_id = 7", "of another program"),
    ],
)
def test_what_another_program_wrote_is_refused(tmp_path: Path, statement: str, reason: str) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        database.execute(statement)
    database.close()
    with pytest.raises(StoreError, match=reason):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"not a database at all, but long enough", b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(content)
    with pytest.raises(StoreError):
        read(tmp_path)


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / DATABASE_NAME
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreError):
        read(tmp_path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be made"):
        SqliteStore(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
