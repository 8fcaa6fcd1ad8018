"""The durable ground of one member: one sqlite database for log, vote, promises and snapshot.

Not the copy in memory (`journal`), and not the directory's lock (`statedir`), though sqlite locks
too. One database, because truncating the log and writing the snapshot that stands for it must be
one transaction: between two files a crash falls (`raft-engine.md`, defect 4).

Law (`safety.md` 5.1): `commit` returns when sqlite has synced its log of writes (WAL with
synchronous=FULL: every transaction), or raises `StoreError`. After that error the store refuses
everything: nobody knows what it holds until it is opened anew. What cannot be trusted at the start
is refused with what a person can do; it is never read as empty.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from dnslb.election.raft.log import Batch, Entry, Facts, Snapshot, Stored
from dnslb.errors import StoreError

DATABASE_NAME = "raft.sqlite"
APPLICATION_ID = 0x646E736C
FORMAT = 1

_SCHEMA = """
create table log (
    position integer primary key, term integer not null, command blob not null,
    digest integer not null
) strict;
create table facts (
    one integer primary key check (one = 1), content blob not null, digest integer not null
) strict;
create table snapshot (
    one integer primary key check (one = 1), content blob not null, digest integer not null
) strict;
"""


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    incarnation: str
    facts: Facts


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_contents = msgspec.msgpack.Decoder(_Content)
_snapshots = msgspec.msgpack.Decoder(Snapshot)


class SqliteStore:
    """``directory`` exists. The database is made when it is missing, with a new incarnation.
    Raises `StoreError` when it is damaged, of another format, or in use."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / DATABASE_NAME
        self._broken: str | None = None
        _make_file(self.path)
        try:
            self._database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        except sqlite3.Error as e:
            raise StoreError(f"The raft store {self.path} cannot be opened: {e}.") from e
        try:
            self._prepare()
            self._stored = self._read()
        except BaseException:
            self._database.close()
            raise

    def load(self) -> Stored:
        """As it was when it was opened."""
        return self._stored

    def close(self) -> None:
        self._broken = self._broken or "it is closed"
        self._database.close()

    # ------------------------------------------------------------------------------- opening

    def _prepare(self) -> None:
        with self._reading():
            ask = self._database.execute
            ask("pragma locking_mode = exclusive")
            [mode] = ask("pragma journal_mode = wal").fetchone()
            if mode != "wal":
                raise StoreError(
                    f"The raft store {self.path} lies on a file system without what sqlite needs "
                    f"for a log of writes (journal mode {mode}): choose another with -raft-dir."
                )
            ask("pragma synchronous = full")
            ask("pragma cell_size_check = on")
            ask("begin exclusive")
            [application] = ask("pragma application_id").fetchone()
            [tables] = ask("select count(*) from sqlite_schema").fetchone()
            if (application, tables) == (0, 0):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    ask(statement)
                ask(f"pragma application_id = {APPLICATION_ID}")
                ask(f"pragma user_version = {FORMAT}")
                self._write_facts(secrets.token_hex(8), Facts())
            elif application != APPLICATION_ID:
                raise StoreError(f"{self.path} is a database of another program: {_advice()}")
            ask("commit")

    def _read(self) -> Stored:
        with self._reading():
            ask = self._database.execute
            [version] = ask("pragma user_version").fetchone()
            if version != FORMAT:
                raise StoreError(
                    f"The raft store {self.path} has format {version}, this dnslb reads {FORMAT}: "
                    "it was written by another version; start that one."
                )
            [verdict] = ask("pragma quick_check(1)").fetchone()
            if verdict != "ok":
                raise self._damaged(verdict)
            rows = ask("select content, digest from facts").fetchall()
            content = _contents.decode(self._sound(rows, "facts") or b"")
            rows = ask("select content, digest from snapshot").fetchall()
            taken = self._sound(rows, "snapshot")
            snapshot = None if taken is None else _snapshots.decode(taken)
            entries = []
            for index, term, command, digest in ask(
                "select position, term, command, digest from log order by position"
            ):
                if _entry_digest(index, term, command) != digest:
                    raise self._damaged(f"entry {index} is not what was written")
                entries.append(Entry(command, index, term))
            stored = Stored(content.incarnation, content.facts, tuple(entries), snapshot)
            if (reason := _incoherence(stored)) is not None:
                raise self._damaged(reason)
            self._incarnation = content.incarnation
            return stored

    def _sound(self, rows: list[tuple[bytes, int]], table: str) -> bytes | None:
        """The content of a table of one row, or None when it has none."""
        for content, digest in rows:
            if zlib.crc32(content) != digest:
                raise self._damaged(f"the {table} are not what was written")
            return content
        if table == "facts":
            raise self._damaged("term and vote are missing")
        return None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreError(
                    f"The raft store {self.path} is in use by another process; stop that dnslb "
                    "first."
                ) from e
            raise StoreError(f"The raft store {self.path} cannot be opened: {e}.") from e
        except (sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError) as e:
            raise self._damaged(str(e)) from e

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(f"The raft store {self.path} is damaged: {reason}. {_advice()}")

    # ------------------------------------------------------------------------------- writing

    def commit(self, batch: Batch) -> None:
        if self._broken is not None:
            raise StoreError(f"The raft store {self.path} takes nothing any more: {self._broken}.")
        ask = self._database.execute
        try:
            ask("begin immediate")
            if batch.snapshot is not None:
                content = _encode(batch.snapshot)
                ask(
                    "insert or replace into snapshot values (1, ?, ?)",
                    (content, zlib.crc32(content)),
                )
            ask(
                "delete from log where position < ? or position >= ?",
                (batch.first, batch.rewrite_from),
            )
            self._database.executemany(
                "insert into log values (?, ?, ?, ?)",
                (
                    (index, term, command, _entry_digest(index, term, command))
                    for command, index, term in batch.entries
                ),
            )
            incarnation = batch.incarnation or self._incarnation
            if batch.facts is not None:
                self._write_facts(incarnation, batch.facts)
            ask("commit")
            self._incarnation = incarnation
        except sqlite3.Error as e:
            self._broken = str(e)
            with contextlib.suppress(sqlite3.Error):
                ask("rollback")
            raise StoreError(
                f"The raft store {self.path} cannot be written: {e}; what was asked for is not in "
                "force. Make room, or give the disk back, then start again."
            ) from e

    def _write_facts(self, incarnation: str, facts: Facts) -> None:
        content = _encode(_Content(incarnation, facts))
        self._database.execute(
            "insert or replace into facts values (1, ?, ?)", (content, zlib.crc32(content))
        )


def why_no_store(directory: Path) -> str | None:
    """The sentence for a directory that no member has made its own, told without changing it;
    None when a member has, or when only opening its store can tell."""
    path = directory / DATABASE_NAME
    if not path.is_file():
        return f"{directory} is not the directory of a raft member: there is no {DATABASE_NAME}."
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0, uri=True)
        with contextlib.closing(database):
            [application] = database.execute("pragma application_id").fetchone()
    except sqlite3.Error:
        return None
    if application == APPLICATION_ID:
        return None
    return f"{path} was not written by dnslb, or its first start never ended."


def _make_file(path: Path) -> None:
    """The file for its owner alone, and its name in the directory durable."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(path, flags, 0o600))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as e:
        raise StoreError(f"The raft store {path} cannot be made: {e.strerror}.") from e


def _entry_digest(index: int, term: int, command: bytes) -> int:
    return zlib.crc32(command, zlib.crc32(struct.pack("<QQ", index, term)))


def _incoherence(stored: Stored) -> str | None:
    """Why these cannot be what one member wrote; None when they can."""
    entries, facts, snapshot = stored.entries, stored.facts, stored.snapshot
    if not entries:
        empty = snapshot is None and facts == Facts()
        return None if empty else "its log is missing"
    for before, after in pairwise(entries):
        if after.position != before.position + 1 or after.term < before.term:
            return f"entry {after.position} of term {after.term} follows {before.position}"
    first, last = entries[0], entries[-1]
    if snapshot is None and first.position != 1:
        return f"its log begins at {first.position}, with no snapshot before it"
    if snapshot is not None:
        if not first.position <= snapshot.index <= last.position:
            return f"its snapshot ends at {snapshot.index}, its log begins at {first.position}"
        if entries[snapshot.index - first.position].term != snapshot.term:
            return f"its snapshot does not fit entry {snapshot.index}"
        if facts.commit < snapshot.index:
            return f"its snapshot at {snapshot.index} is not committed"
    if facts.commit > last.position:
        return f"entries up to {facts.commit} are committed, its log ends at {last.position}"
    if facts.term < last.term:
        return f"its term {facts.term} is older than its log's {last.term}"
    return None


def _advice() -> str:
    return (
        "dnslb does not start over by itself, since this member may have voted, and acknowledged "
        "decisions that only it still remembers. While the others have a leader: remove_server "
        "for this member, move its directory away, start it, add_voter. Else put a copy of the "
        "whole directory from before in its place only if this member was not run since."
    )
