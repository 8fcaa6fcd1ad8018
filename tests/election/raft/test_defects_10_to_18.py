"""The defects of pysyncobj 0.3.17, ten to eighteen, by their numbers in `docs/decisions/`.

Each is attacked as it was found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dnslb.election.raft import leading
from dnslb.election.raft.ground import Settings
from dnslb.election.raft.journal import BrokenLog
from dnslb.election.raft.leading import UNANSWERED_MAX
from dnslb.election.raft.log import COMMAND_BYTES_MAX, Entry, change_command
from dnslb.election.raft.membership import Change
from dnslb.election.raft.messages import (
    Append,
    Chunk,
    Echo,
    Heard,
    Sound,
    Vote,
)
from dnslb.election.raft.timings import LAN
from dnslb.errors import CommandRefused, StoreError
from tests.election.raft.stage import Stage, configuration, filled, snapshot_pieces

# ------------------------------------------------------------------------------------------ 10


@pytest.mark.parametrize("after", [configuration("bc"), configuration("bc", "a")])
def test_10_who_has_no_vote_does_not_stand(after: object) -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    change = Change(configuration("abc"), after)  # type: ignore[arg-type]
    stage.call("b", 1, 2, 0, Entry(change_command(change), 3, 1), commit=3)
    for _ in range(10):
        stage.wait(2)
    assert stage.member.term == 1
    assert stage.said(Sound) == []


def test_10_a_node_that_belongs_nowhere_waits() -> None:
    stage = Stage("")
    for _ in range(20):
        stage.wait(2)
    assert (stage.member.role, stage.member.term) == ("waiting", 0)
    assert stage.sent == []
    assert stage.member.deadline() == float("inf")


def test_10_another_directory_does_not_stand_for_the_member_of_its_name() -> None:
    stage = Stage("abc")
    stage.store.durable = replace(stage.store.durable, incarnation="ff")
    stage.restart()
    stage.wait(10)
    assert stage.said(Sound) == []


# ------------------------------------------------------------------------------------------ 11


def test_11_an_old_snapshot_overwrites_nothing() -> None:
    stage = Stage("abc")
    filled(stage, 9)
    stage.call("b", 1, 9, 1, commit=9)
    lines = list(stage.machine.lines)
    [piece] = snapshot_pieces(b"old", 5, 1)
    stage.receive("b", piece)
    assert stage.machine.lines == lines
    assert stage.member.journal.last == 9
    assert stage.said(Heard)[-1].next == 6


def test_11_a_snapshot_comes_in_pieces_and_is_whole_or_nothing() -> None:
    stage = Stage("abc")
    stage.connect("b")
    state = b"one\ntwo\nthree"
    one, two, three = snapshot_pieces(state, 40, 1, 5, 9)
    stage.receive("b", one)
    assert (stage.said(Heard)[-1].snapshot, stage.said(Heard)[-1].offset) == (40, 5)
    stage.receive("b", three)
    assert stage.said(Heard)[-1].offset == 5
    stage.receive("b", two)
    stage.receive("b", msgspec.structs.replace(three, data=b"XXXX"))
    assert stage.said(Heard)[-1].offset == 0
    assert stage.machine.lines == []
    for piece in (one, two, three):
        stage.receive("b", piece)
    assert stage.machine.lines == [b"one", b"two", b"three"]
    assert stage.said(Heard)[-1].next == 41
    assert (stage.member.applied, stage.member.commit) == (40, 40)
    stage.restart()
    assert stage.machine.lines == [b"one", b"two", b"three"]


def test_11_pieces_of_two_snapshots_do_not_mix() -> None:
    stage = Stage("abc")
    stage.connect("b")
    first, _ = snapshot_pieces(b"one\ntwo", 40, 1, 4)
    newer, rest = snapshot_pieces(b"one\ntwo\nthree", 50, 1, 5)
    stage.receive("b", first)
    stage.receive("b", newer)
    assert (stage.said(Heard)[-1].snapshot, stage.said(Heard)[-1].offset) == (50, 5)
    stage.receive("b", rest)
    assert stage.member.applied == 50


def test_11_members_that_come_with_a_snapshot_are_in_force() -> None:
    stage = Stage("")
    stage.connect("b")
    [piece] = snapshot_pieces(b"state", 7, 1)
    stage.receive("b", piece)
    assert stage.role() == "follower"
    stage.wait(10)
    stage.receive("b", Echo(2, 1, would_vote=True))
    assert stage.role() == "candidate"
    stage.receive("b", Vote(2, 0.0))
    assert stage.role() == "leader"


def test_11_what_follows_a_snapshot_stays() -> None:
    stage = Stage("abc")
    filled(stage, 9)
    [piece] = snapshot_pieces(b"state", 7, 1)
    stage.receive("b", piece)
    assert stage.log == [(7, 1), (8, 1), (9, 1)]


# ------------------------------------------------------------------------------------------ 12


def test_12_a_member_far_behind_is_not_flooded() -> None:
    stage = Stage("abc", settings=Settings(LAN, compact_every=10, keep=2))
    stage.lead("b")
    for i in range(30):
        stage.propose(b"%d" % i)
        stage.answer("b")
    assert stage.member.journal.first > 10
    stage.sent.clear()
    stage.connect("c")
    first = stage.said(Append, "c")[-1]
    stage.receive("c", Heard(first.term, first.round, first.sequence, 3, matches=False))
    stage.sent.clear()
    for i in range(50):
        stage.propose(b"%d" % i)
    assert len(stage.said(Chunk, "c")) <= 1
    assert len(stage.said(Append, "c")) <= 60


def test_12_a_member_that_answers_nothing_is_sent_a_bounded_number_of_entries() -> None:
    stage = Stage("abc")
    stage.lead("b", "c")
    for i in range(50):
        stage.propose(b"%d" % i)
        stage.answer("b")
    with_entries = [one for one in stage.said(Append, "c") if one.entries]
    assert len(with_entries) <= UNANSWERED_MAX
    stage.answer("c", upto=2)
    assert len(stage.said(Append, "c")[-1].entries) > 40


def test_12_a_new_stream_owes_no_answer_for_what_the_old_one_lost() -> None:
    stage = Stage("abc")
    stage.lead("b", "c")
    stage.answer("c")
    for i in range(50):
        stage.propose(b"%d" % i)
        stage.answer("b")
    assert stage.said(Append, "c")[-1].entries == ()
    stage.connect("c")
    assert any(len(one.entries) == 50 for one in stage.said(Append, "c"))


def test_12_nor_all_at_once_when_it_begins_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "BATCH_BYTES_MAX", 1)
    stage = Stage("abc")
    term = stage.lead("b")
    for i in range(50):
        stage.propose(b"%d" % i)
        stage.answer("b")
    stage.connect("c")
    [call] = stage.said(Append, "c")
    stage.receive("c", Heard(term, call.round, call.sequence, 3, matches=False))
    assert len(stage.said(Append, "c")) == 1 + UNANSWERED_MAX


def test_13_an_answer_to_what_was_never_said_stops_the_member() -> None:
    for sequence, after in ((99, 2), (1, 99)):
        stage = Stage("abc")
        term = stage.lead("b")
        with pytest.raises(BrokenLog, match="it was told 1 and 3"):
            stage.receive("b", Heard(term, 1, sequence, after, matches=True))


# ------------------------------------------------------------------------------------------ 13


def test_13_a_log_that_differs_is_found_in_a_question_a_term() -> None:
    stage = Stage("abc")
    filled(stage, 90, term=1)
    stage.connect("c")
    # What the leader has: entry 3 of term 1, and then its own.
    heard = stage.call("c", 3, 60, 2)
    assert heard is not None
    assert not heard.matches
    assert heard.next == 3


def test_13_a_refusal_is_answered_at_once_and_once() -> None:
    stage = Stage("abc")
    term = stage.lead("b")
    for i in range(9):
        stage.propose(b"%d" % i)
    guesses = stage.said(Append, "b")
    stage.sent.clear()
    for guess in guesses:
        stage.receive("b", Heard(term, guess.round, guess.sequence, 3, matches=False))
    [again] = [one for one in stage.said(Append, "b") if one.entries]
    assert again.prev == 2
    assert len(again.entries) == 10


# ------------------------------------------------------------------------------------------ 14


def test_14_a_command_is_never_cut_into_pieces() -> None:
    stage = Stage("abc")
    stage.lead("b")
    large = bytes(COMMAND_BYTES_MAX - 2)
    stage.propose(large)
    [sent] = [one for one in stage.said(Append, "b") if one.entries][-1:]
    assert len(sent.entries[-1].command) == COMMAND_BYTES_MAX
    with pytest.raises(CommandRefused, match="at most"):
        stage.propose(large + b"x")


# ------------------------------------------------------------------------------------------ 15


def test_15_a_command_that_raises_is_an_answer_and_no_dead_end() -> None:
    stage = Stage("a")
    stage.wait(1)
    stage.machine.raises = b"poison"
    bad, good = stage.propose(b"poison"), stage.propose(b"fine")
    assert [(one.ticket, one.outcome) for one in stage.finished] == [
        (bad, "applied"),
        (good, "applied"),
    ]
    assert isinstance(stage.finished[0].result, ValueError)
    assert stage.machine.lines == [b"fine"]


def test_15_a_command_of_an_unknown_version_stops_the_member() -> None:
    stage = Stage("abc")
    stage.connect("b")
    newer = Entry(b"\x00\x09data", 3, 1)
    with pytest.raises(StoreError, match="version 9, this dnslb knows 1"):
        stage.call("b", 1, 2, 0, newer, commit=3)


# ------------------------------------------------------------------------------------------ 16


def test_16_a_state_that_cannot_be_saved_is_no_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("a")
    stage.wait(1)
    stage.propose(b"x")

    def fail() -> bytes:
        raise RuntimeError("cannot be saved")

    monkeypatch.setattr(stage.machine, "save", fail)
    with pytest.raises(RuntimeError, match="cannot be saved"):
        stage.member.snapshot(stage.now)


def test_16_pickle_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    import pysyncobj.pickle as upstream

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle")

    for name in ("load", "loads", "dump", "dumps"):
        monkeypatch.setattr(upstream, name, refuse)
    stage = Stage("abc", settings=Settings(LAN, compact_every=5, keep=2))
    stage.lead("b")
    for i in range(20):
        stage.propose(b"%d" % i)
        stage.answer("b")
    stage.took(stage.member.change(configuration("abc", "d"), stage.now)[1])
    stage.restart()
    filled_by_snapshot = snapshot_pieces(b"s", 400, stage.member.term + 1)
    stage.receive("b", filled_by_snapshot[0])
    assert stage.member.applied == 400


# ------------------------------------------------------------------------------------------ 17


def test_17_an_answer_of_who_was_removed_is_nothing() -> None:
    stage = Stage("abc")
    term = stage.lead("b", "c")
    stage.answer("b")
    stage.took(stage.member.change(configuration("ab"), stage.now)[1])
    stage.answer("c")
    stage.receive("z", Heard(term, 1, 1, 5, matches=True))
    assert stage.member.role == "leader"


# ------------------------------------------------------------------------------------------ 18


def test_18_a_proposal_ends_once_whatever_happens() -> None:
    stage = Stage("abc")
    stage.lead("b")
    kept, lost = stage.propose(b"kept"), stage.propose(b"lost")
    index = stage.member.journal.last
    first = stage.member.term
    stage.connect("c")
    log = stage.member.journal.entries
    stage.call("c", first + 1, index - 1, first, Entry(b"\x01", index, first + 1), commit=index)
    assert log
    assert [(one.ticket, one.outcome) for one in stage.finished] == [
        (kept, "applied"),
        (lost, "replaced"),
    ]


def test_18_a_snapshot_in_between_leaves_the_outcome_open() -> None:
    stage = Stage("abc")
    term = stage.lead("b")
    ticket = stage.propose(b"x")
    stage.connect("c")
    [piece] = snapshot_pieces(b"s", 50, term + 1)
    stage.receive("c", piece)
    assert [(one.ticket, one.outcome) for one in stage.finished] == [(ticket, "unknown")]


def test_18_a_follower_forwards_nothing() -> None:
    stage = Stage("abc")
    stage.connect("b")
    stage.call("b", 1, 2, 0)
    with pytest.raises(CommandRefused, match="a does not lead; b does"):
        stage.propose(b"x")
