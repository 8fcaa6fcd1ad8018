"""The box around pysyncobj: what must never happen in it, and what it replaces.

The attacks on pysyncobj itself show that its defects are real; when one of these tests fails with
a newer pysyncobj, that one has mended it.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.journal import MemoryJournal
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from dnslb.election.raft import engine, upstream
from dnslb.election.raft.engine import Engine
from dnslb.election.raft.journal import BrokenLog
from dnslb.election.raft.upstream import Instant
from tests.election.raft.stage import Stage, entry, filled

# ------------------------------------------------------------------------- the box around it


def test_a_contradiction_of_what_is_committed_stops_the_member() -> None:
    stage = Stage("abc")
    filled(stage, 5)
    stage.call("b", 1, 5, 1, commit=5)
    stage.connect("c")
    with pytest.raises(BrokenLog):
        stage.call("c", 2, 3, 1, entry(4, 2))


def test_two_leaders_of_one_term_stop_the_member() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0)
    with pytest.raises(BrokenLog, match="c and b both lead term 1"):
        stage.call("c", 1, 2, 0)


@pytest.mark.parametrize("name", upstream.METHODS)
def test_a_private_name_that_is_gone_is_noticed_at_import(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SyncObj, f"_SyncObj__{name}")
    with pytest.raises(ImportError, match=name):
        upstream.check_upstream()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "VERSION", "0.3.18")
    with pytest.raises(ImportError, match=r"made for pysyncobj 0\.3\.17; this one is 0\.3\.18"):
        upstream.check_upstream()


def test_each_override_is_checked() -> None:
    replaced = {name for name in vars(Engine) if name.startswith("_SyncObj__")}
    assert replaced <= {f"_SyncObj__{name}" for name in upstream.METHODS}


def test_it_starts_no_thread_and_opens_nothing() -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    stages = [Stage("abc") for _ in range(3)]
    stages[0].lead("b")
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files


# ------------------------------------------------------------------- pysyncobj without the box


class Wire(Transport):  # type: ignore[misc]  # pysyncobj has no types
    def __init__(self) -> None:
        super().__init__(None, None, None)
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, node: Any, message: dict[str, Any]) -> bool:
        self.sent.append((node.id, message))
        return True

    def receive(self, peer: str, **message: Any) -> None:
        self._onMessageReceived(Node(peer), message)


class Bare:
    """pysyncobj as it is, member ``a``; it shares the clock of the box."""

    def __init__(self, others: str) -> None:
        self.mono = 1000.0
        self.wire = Wire()
        self.at(0)
        conf = SyncObjConf(
            autoTick=False,
            useFork=False,
            dynamicMembershipChange=True,
            journalFile=MemoryJournal(),
            commandsWaitLeader=False,
        )
        self.raft = SyncObj(Node("a"), [Node(one) for one in others], conf, transport=self.wire)

    def at(self, seconds: float) -> None:
        self.mono += seconds
        Instant.mono = self.mono

    def get(self, name: str) -> Any:
        return getattr(self.raft, f"_SyncObj__{name}")

    def stand(self) -> int:
        self.wire._onNodeConnected(Node("b"))
        self.at(10)
        self.raft.doTick(0.0)
        return int(self.get("raftCurrentTerm"))

    def entries(self, first: int, last: int) -> list[tuple[bytes, int, int]]:
        return [(b"\x01", index, 1) for index in range(first, last + 1)]

    def call(self, **message: Any) -> None:
        message = {"term": 1, "commit_index": 1, "prevLogIdx": 1, "prevLogTerm": 0, **message}
        self.wire.receive("b", type="append_entries", **message)


def test_upstream_1_takes_several_changes_of_members_at_once() -> None:
    bare = Bare("")
    for _ in range(3):
        bare.at(10)
        bare.raft.doTick(0.0)
    for other in "bcd":
        bare.raft.addNodeToCluster(Node(other))
    bare.raft.doTick(0.0)
    assert len(bare.raft.otherNodes) == 3


def test_upstream_2_takes_back_what_it_acknowledged() -> None:
    bare = Bare("bcde")
    bare.call(entries=bare.entries(2, 20))
    assert bare.wire.sent[-1][1]["next_node_idx"] == 21
    bare.call(entries=bare.entries(2, 5))
    assert bare.get("raftLog")[-1][1] == 5


def test_upstream_3_counts_answers_of_any_term() -> None:
    bare = Bare("bc")
    bare.wire.receive("b", type="response_vote", term=bare.stand())
    last = bare.get("raftLog")[-1][1]
    bare.wire.receive("b", type="next_node_idx", next_node_idx=last + 1, reset=False, success=True)
    bare.raft.doTick(0.0)
    assert bare.raft.raftCommitIndex == last


def test_upstream_8_counts_one_vote_twice() -> None:
    bare = Bare("bcde")
    term = bare.stand()
    for _ in range(2):
        bare.wire.receive("b", type="response_vote", term=term)
    assert bare.get("raftState") == engine.LEADER


def test_upstream_9_never_tells_an_old_leader() -> None:
    bare = Bare("bc")
    bare.call(term=5, entries=[])
    sent = len(bare.wire.sent)
    bare.call(term=4, entries=[])
    assert len(bare.wire.sent) == sent


def test_upstream_17_falls_over_an_answer_of_who_is_gone() -> None:
    bare = Bare("bc")
    bare.wire.receive("b", type="response_vote", term=bare.stand())
    with pytest.raises(KeyError):
        bare.wire.receive("z", type="next_node_idx", next_node_idx=2, reset=False, success=True)
