"""``dnslb raft recover`` on real directories: what it says, refuses and does, and kill -9."""

from __future__ import annotations

import io
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dnslb.daemon.command_line import run
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import Batch, Entry, Stored, bootstrap, regular
from dnslb.election.raft.membership import Configuration, Member
from dnslb.election.raft.store import DATABASE_NAME, SqliteStore
from dnslb.election.statedir import StateDirectory
from dnslb.net.clock import wall_s

pytestmark = pytest.mark.usefixtures("log_settings", "bare_environment")
Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
BOTH = ("--dead", "b", "--dead=c")


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELECTION", "CFG", "INSTANCE_ID", "RAFT_DIR", "RAFT_ADDRESS", "PROVIDER"):
        monkeypatch.delenv(name, raising=False)


def read(raft_dir: Path, one: str = "a") -> Stored:
    store = SqliteStore(raft_dir / one)
    try:
        return store.load()
    finally:
        store.close()


@pytest.fixture
def raft_dir(tmp_path: Path) -> Path:
    """With the directory of ``a``, of three: up to 5 committed, 6 and 7 logged."""
    (tmp_path / "raft" / "a").mkdir(parents=True)
    store = SqliteStore(tmp_path / "raft" / "a")
    journal = Journal(store)
    members = [
        Member(one, f"127.0.0.1:{port}", "voter", incarnation)
        for one, port, incarnation in (("b", 3650, "bb"), ("c", 3652, "cc"))
    ]
    us = Member("a", "127.0.0.1:3648", "voter", journal.incarnation)
    journal.append(bootstrap(Configuration("c1", 1_700_000_000, (us, *members))))
    journal.append(*(Entry(regular(b"%d" % index, 1), index, 4) for index in range(3, 8)))
    journal.set_term(6, "b")
    journal.set_commit(5)
    journal.sync()
    journal.close()
    return tmp_path / "raft"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Verb:
    def __init__(self, raft_dir: Path, capsys: Captured) -> None:
        self.raft_dir = raft_dir
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *argv: str, one: str = "a", port: int = 3648) -> int:
        self._capsys.readouterr()
        where = ["-election", "raft", "-instance-id", one, "-raft-dir", str(self.raft_dir)]
        address = ["-raft-address", f"127.0.0.1:{port}"]
        code = run(["raft", "recover", *where, *address, *argv])
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def verb(raft_dir: Path, capsys: Captured) -> Verb:
    return Verb(raft_dir, capsys)


# ----------------------------------------------------------------------------- what it does


def test_a_new_cluster_is_made_of_what_is_left(verb: Verb) -> None:
    before, began = read(verb.raft_dir), int(wall_s())
    assert verb.run(*BOTH) == 0
    assert verb.err == ""
    journal = Journal(SqliteStore(verb.raft_dir / "a"))
    made = journal.configuration
    journal.close()
    assert made.cluster_id not in ("", "c1")
    assert made.epoch >= began
    assert [(one.id, one.address, one.suffrage) for one in made.members] == [
        ("a", "127.0.0.1:3648", "voter")
    ]
    assert made.members[0].incarnation == journal.incarnation != before.incarnation
    assert [one.command for one in journal.entries[2:7]] == [
        regular(b"%d" % index, 1) for index in range(3, 8)
    ]
    assert f"a is the only member of the new cluster {made.cluster_id}, epoch" in verb.out
    assert f"mv {verb.raft_dir}/b {verb.raft_dir}/b.old" in verb.out
    assert "dnslbctl raft add_voter c 127.0.0.1:3652 0" in verb.out
    assert verb.run(*BOTH) == 1
    assert f"a is the only voter of cluster {made.cluster_id}" in verb.err
    assert Journal(SqliteStore(verb.raft_dir / "a")).configuration == made


def test_it_shows_first_and_changes_nothing(verb: Verb) -> None:
    database = verb.raft_dir / "a" / DATABASE_NAME
    before = database.read_bytes()
    assert verb.run("-dry-run") == 0
    for line in (
        "  cluster     c1, epoch 1700000000, term 6",
        "  log         up to index 7, of term 4; committed up to 5",
        "              6 to 7 are logged here, and perhaps committed",
        "  member      a at 127.0.0.1:3648, voter, this one",
        "  member      b at 127.0.0.1:3650, voter",
        "Nothing was changed (-dry-run).",
    ):
        assert line in verb.out.splitlines()
    assert verb.run("-dry-run", *BOTH) == 0
    assert verb.run() == 1
    assert "give --dead b --dead c; nothing was changed" in verb.err
    assert verb.run("--dead", "b") == 1
    assert "give --dead c; nothing was changed" in verb.err
    assert database.read_bytes() == before


def test_the_dead_are_typed_by_name_at_a_terminal(
    verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(verb.raft_dir)
    for typed in ("b\nyes\n", "b\n", "", "c\nb\n", "b\nB\n"):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        assert verb.run() == 1
        assert "nothing was changed" in verb.err
    assert read(verb.raft_dir) == before
    monkeypatch.setattr("sys.stdin", Terminal("b\nc\n"))
    assert verb.run() == 0
    assert "Is c at 127.0.0.1:3652 gone for good?" in verb.out


def test_another_address_is_told_and_taken(verb: Verb) -> None:
    assert verb.run(*BOTH, port=4000) == 0
    assert "Its address was 127.0.0.1:3648; -raft-address says 127.0.0.1:4000." in verb.out
    journal = Journal(SqliteStore(verb.raft_dir / "a"))
    assert journal.configuration.members[0].address == "127.0.0.1:4000"
    journal.close()


def test_where_nothing_fences_the_others_are_to_be_switched_off(verb: Verb) -> None:
    assert verb.run("-dry-run") == 0
    assert "Without -provider no DNS is written." in verb.out
    zones = ["-file-dir", str(verb.raft_dir), "-file-shared"]
    assert verb.run("-dry-run", "-provider", "file", *zones) == 0
    assert "Provider file does not compare" in verb.out
    assert "switch the others off first" in verb.out
    key = verb.raft_dir / "key"
    key.write_text('key "k" { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0"; };')
    key.chmod(0o600)
    bind = ["-provider", "bind", "-owner-id", "o", "-bind-key-file", str(key)]
    bind += ["-bind-server", "127.0.0.1"]
    assert verb.run("-dry-run", *bind) == 0
    assert "Provider bind refuses what an old member still writes" in verb.out
    assert verb.run("-dry-run", *bind, "-bind-ownership=false") == 0
    assert "Provider bind does not compare" in verb.out


def test_the_guide_shows_what_is_printed(tmp_path: Path, capsys: Captured) -> None:
    guide = (ROOT / "docs" / "cluster.md").read_text()
    [block] = re.findall(r"-dry-run\n +```\n +```\n(.+?)\n +```\n", guide, re.DOTALL)
    shown = textwrap.dedent(block).replace("/var/lib/dnslb", str(tmp_path))
    (tmp_path / "fra-1").mkdir()
    journal = Journal(SqliteStore(tmp_path / "fra-1"))
    members = [
        Member(f"fra-{i}", f"10.0.0.{i}:3648", "voter", journal.incarnation) for i in (1, 2, 3)
    ]
    journal.append(bootstrap(Configuration("9836ed468481e2c0", 1_795_629_323, tuple(members))))
    journal.append(*(Entry(regular(b"x", 1), index, 3) for index in range(3, 13)))
    journal.set_term(3, "fra-1")
    journal.set_commit(11)
    journal.sync()
    journal.close()
    where = ["-instance-id", "fra-1", "-raft-dir", str(tmp_path), "-raft-insecure"]
    flags = ["-election", "raft", "-raft-address", "10.0.0.1:3648", *where]
    assert run(["raft", "recover", "-dry-run", *flags]) == 0
    assert capsys.readouterr().out.startswith(f"{shown}\n")


# --------------------------------------------------------------------------- what it refuses


def test_a_member_that_runs_is_left_alone(verb: Verb) -> None:
    before = read(verb.raft_dir)
    with StateDirectory(verb.raft_dir / "a"):
        assert verb.run(*BOTH) == 1
    assert "in use by process" in verb.err
    assert "Only a stopped member can be recovered. Nothing was changed." in verb.err
    store = SqliteStore(verb.raft_dir / "a")
    assert verb.run(*BOTH) == 1
    assert "in use by another process; stop that dnslb first" in verb.err
    store.close()
    assert read(verb.raft_dir) == before


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--dead", "b", "--dead", "x"), "--dead 'x': the members beside a are b, c"),
        (("--dead", "a", *BOTH), "--dead a: that is this member"),
        (("--dead",), "--dead needs the id of a member"),
        (("--dead=",), "--dead needs the id of a member"),
        (("b", *BOTH), "raft recover takes no 'b'"),
        (("--yes", *BOTH), "there is no flag '--yes'"),
    ],
)
def test_wrong_words_change_nothing(verb: Verb, argv: tuple[str, ...], told: str) -> None:
    before = read(verb.raft_dir)
    assert verb.run(*argv) == 1
    assert told in verb.err
    assert read(verb.raft_dir) == before


def test_other_elections_and_other_verbs_are_refused(capsys: Captured) -> None:
    assert run(["raft", "recover", "-election", "singleton", "-instance-id", "a"]) == 1
    assert "raft recover is for -election raft, not singleton" in capsys.readouterr().err
    assert run(["raft", "add_voter", "b"]) == 1
    assert "expected raft recover, found 'add_voter'" in capsys.readouterr().err
    assert run(["raft"]) == 0
    assert "usage: dnslb raft recover" in capsys.readouterr().out


def test_only_a_members_directory_is_touched(verb: Verb) -> None:
    assert verb.run(*BOTH, one="z") == 1
    assert "there is no raft.sqlite. Look at -raft-dir and -instance-id." in verb.err
    assert not (verb.raft_dir / "z").exists()
    other = verb.raft_dir / "z"
    other.mkdir()
    database = sqlite3.connect(other / DATABASE_NAME)
    database.execute("create table theirs (x)")
    database.close()
    before = (other / DATABASE_NAME).read_bytes()
    assert verb.run(*BOTH, one="z") == 1
    assert "was not written by dnslb" in verb.err
    (other / DATABASE_NAME).write_bytes(b"")
    assert verb.run(*BOTH, one="z") == 1
    assert [one.name for one in other.iterdir()] == [DATABASE_NAME]
    assert (other / DATABASE_NAME).read_bytes() == b""
    (other / DATABASE_NAME).write_bytes(before)
    shutil.copytree(verb.raft_dir / "a", verb.raft_dir / "y")
    assert verb.run(*BOTH, one="y") == 1
    assert "y is not a member of the cluster in its own log (a, b, c are)" in verb.err


def test_a_damaged_store_is_refused_with_advice(verb: Verb) -> None:
    (verb.raft_dir / "a" / DATABASE_NAME).write_bytes(b"not a database" * 1000)
    assert verb.run(*BOTH) == 1
    assert "is damaged" in verb.err


def test_a_log_of_two_clusters_is_refused(verb: Verb) -> None:
    store = SqliteStore(verb.raft_dir / "a")
    stored = store.load()
    other = Configuration("c2", 9, (Member("a", "127.0.0.1:3648", "voter", "aa"),))
    second = Entry(bootstrap(other).command, 8, 4)
    store.commit(Batch(first=1, rewrite_from=8, entries=(second,), facts=stored.facts))
    store.close()
    assert verb.run(*BOTH) == 1
    assert "contradicts itself: this directory belongs to cluster c1, the log to c2" in verb.err


def test_a_full_disk_leaves_the_old_member(raft_dir: Path) -> None:
    """The system refuses to let a file grow, as a full disk does."""
    program = "import sys; from dnslb.daemon.command_line import run; sys.exit(run(sys.argv[1:]))"
    where = ["-instance-id", "a", "-raft-address", "127.0.0.1:3648", "-raft-dir", str(raft_dir)]
    command = [sys.executable, "-c", program, "raft", "recover", "-election", "raft", *where]
    old = read(raft_dir)
    done = subprocess.run(
        [*command, *BOTH],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "is not in force. Make room" in done.stderr
    assert "the only member" not in done.stdout
    assert state_of(raft_dir, old) == "old"


# ----------------------------------------------------------------------------------- kill -9


def state_of(raft_dir: Path, old: Stored) -> str:
    """ "old" or "new"; anything else fails. A start finds a journal in both."""
    stored = read(raft_dir)
    Journal(SqliteStore(raft_dir / "a")).close()
    if stored == old:
        return "old"
    assert stored.facts.cluster_id not in ("", "c1")
    assert stored.incarnation != old.incarnation
    assert (stored.facts.commit, len(stored.entries)) == (8, 8)
    return "new"


def test_kill_9_leaves_the_old_member_or_the_new_one(raft_dir: Path) -> None:
    line = [sys.executable, "-m", "tests.daemon.killed_recovery", str(raft_dir)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    old = read(raft_dir)
    *killed, last = done.stdout.splitlines()
    assert last.endswith(" 0")
    assert all(one.endswith(" killed") for one in killed)
    # begin, delete, eight entries, facts, commit; and after them all.
    assert len(killed) == 13
    after = raft_dir.with_name(f"raft-{len(killed)}")
    torn = raft_dir.with_name("torn")
    # A write that the power cut off: any beginning of what the transaction wrote.
    wal = (after / "a" / f"{DATABASE_NAME}-wal").read_bytes()
    seen = set()
    for length in (*range(0, len(wal), 1024), len(wal) - 1, len(wal)):
        shutil.copytree(after, torn, dirs_exist_ok=True)
        (torn / "a" / f"{DATABASE_NAME}-wal").write_bytes(wal[:length])
        seen.add(state_of(torn, old))
        shutil.rmtree(torn)
    assert seen == {"old", "new"}
    for cut in range(1, len(killed)):
        assert state_of(raft_dir.with_name(f"raft-{cut}"), old) == "old"
    assert state_of(after, old) == "new"
    assert state_of(raft_dir.with_name(f"raft-{len(killed) + 1}"), old) == "new"
