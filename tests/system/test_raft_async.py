"""``--async``, ``await`` and ``forget`` as people type them, before real members."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.system.raft_stage import Cluster

UNKNOWN = "is known here: a token is valid on the member that gave it as the leader"


class Typed:
    """What was typed at a member, and what came out."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def done(self, name: str, *words: str) -> str:
        return self.cluster.raft(name, *words)

    def refused(self, name: str, *words: str, code: int = 1) -> str:
        done = self.cluster.ctl(name, "raft", *words)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def token(self, name: str, *words: str) -> str:
        shown = re.fullmatch(r'operation_token: "([0-9a-f]{16})"\n', self.done(name, *words))
        assert shown is not None
        return shown[1]


def test_a_command_that_nobody_waits_for(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    typed, (m1, m2, m3) = Typed(cluster), cluster.seats.values()
    cluster.start("m1", "-raft-bootstrap")
    for name in ("m2", "m3"):
        cluster.start(name)
    cluster.wait_ready("m1", "m2", "m3")
    cluster.leader()
    added = typed.token("m1", "--async", "add_voter", "m2", m2.address, "0")
    index = typed.done("m1", "await", added)
    assert re.fullmatch(r"index: \d+\n", index)
    assert cluster.json("m1", "raft", "await", added) == {"index": int(index.split()[1])}
    # From any member, and until it is forgotten.
    assert typed.done("m2", "await", added) == index
    assert typed.done("m2", "forget", added) == "ok\n"
    for words in (("await", added), ("forget", added)):
        assert f"no command with the token '{added}' is known here" in typed.refused("m1", *words)
    done = cluster.raftadmin("--async", m1.address, "add_voter", "m3", m3.address, "0")
    (third,) = re.findall(r'operation_token: "([0-9a-f]{16})"', done.stdout)
    assert cluster.raftadmin(m2.address, "await", third).returncode == 0
    assert {m["suffrage"] for m in cluster.json("m1", "members")} == {"voter"}
    what_comes_to_nothing(typed)
    what_is_typed_wrong(typed)
    what_the_next_leader_knows(typed)


def what_comes_to_nothing(typed: Typed) -> None:
    token = typed.token("m1", "--async", "add_voter", "m9", "localhost:1", "0")
    for _ in range(2):
        assert "m9 at localhost:1 cannot be reached" in typed.refused("m2", "await", token)
    assert typed.done("m1", "forget", token) == "ok\n"
    # What is dangerous is asked for first, waited for or not.
    assert "wants --yes" in typed.refused("m1", "--async", "remove_server", "m3", "0")


def what_is_typed_wrong(typed: Typed) -> None:
    for word in ("await", "forget"):
        assert UNKNOWN[:13] in typed.refused("m1", word, "0123456789abcdef")
        assert "the token '' is known" in typed.refused("m1", word, "")
        assert "without control characters" in typed.refused("m1", word, "\x1b[31m")
        assert "at most 1000 characters" in typed.refused("m1", word, "f" * 5000)
        assert f"Usage: dnslbctl raft {word} " in typed.refused("m1", word, code=2)
        assert f"Usage: dnslbctl raft {word} " in typed.refused("m1", word, "a", "b", code=2)
        assert "--async is for commands that change" in typed.refused("m1", "--async", word, "a")
    for word in ("leader", "state", "verify_leader"):
        assert "--async is for commands that change" in typed.refused("m1", "--async", word)
    done = typed.cluster.ctl("m1", "status", "--async")
    assert done.returncode == 2
    assert "status has no option '--async'" in done.stderr


def what_the_next_leader_knows(typed: Typed) -> None:
    """Nothing of what the one before it was asked for, which says so; that one still does."""
    cluster = typed.cluster
    before = typed.token("m1", "--async", "barrier")
    assert typed.done("m1", "await", before).startswith("index: ")
    moved = typed.token(
        "m1", "--async", "leadership_transfer_to_server", "m2", cluster["m2"].address
    )
    assert typed.done("m1", "await", moved).startswith('id: "m2"\n')
    assert cluster.json("m1", "raft", "leader")["id"] == "m2"
    assert typed.done("m1", "await", before).startswith("index: ")
    for name in ("m2", "m3"):
        assert UNKNOWN in typed.refused(name, "await", before)
    done = cluster.raftadmin("--leader", cluster.multi(), "await", moved)
    assert done.returncode == 1
    assert UNKNOWN in done.stderr
    assert typed.done("m1", "forget", before) == "ok\n"
    assert UNKNOWN in typed.refused("m1", "await", before)
    lines = cluster.ctl("m1", "--json", "events").stdout.splitlines()
    assert "raft-refused" in {json.loads(line)["kind"] for line in lines}
