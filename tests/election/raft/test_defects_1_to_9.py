"""The defects of pysyncobj 0.3.17, one to nine, by their numbers in `docs/decisions/`.

Each is attacked as it was found; the store's own tests try 4 and 5 on real files.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dnslb.election.raft.ground import Settings
from dnslb.election.raft.log import Entry, change_command
from dnslb.election.raft.membership import Change
from dnslb.election.raft.messages import (
    Ask,
    Chunk,
    Echo,
    Outdated,
    Sound,
    Vote,
)
from dnslb.election.raft.timings import LAN, WAN, promise_s
from dnslb.errors import CommandRefused, StoreError
from tests.election.raft.stage import Stage, configuration, entry, filled, member

# ------------------------------------------------------------------------------------------- 1


def test_1_one_change_of_members_at_a_time() -> None:
    stage = Stage("abc")
    stage.lead("b")
    change = stage.member.change
    with pytest.raises(CommandRefused, match="first entry"):
        change(configuration("abc", "d"), stage.now)
    stage.answer("b")
    stage.took(change(configuration("abc", "d"), stage.now)[1])
    with pytest.raises(CommandRefused, match="not committed yet"):
        change(configuration("abc", "de"), stage.now)
    stage.answer("b")
    stage.took(change(configuration("abcd"), stage.now)[1])


def test_1_a_change_is_held_against_what_is_in_force() -> None:
    stage = Stage("abc")
    stage.lead("b")
    stage.answer("b")
    with pytest.raises(CommandRefused, match="One voter at a time"):
        stage.member.change(configuration("ab", "").with_member(member("d")), stage.now)
    assert stage.member.configuration == configuration("abc")


# ------------------------------------------------------------------------------------------- 2


def test_2_a_shorter_message_sent_again_takes_nothing_back() -> None:
    stage = Stage("abcde")
    filled(stage, 20)
    again = stage.call("b", 1, 2, 0, *(entry(i, 1) for i in range(3, 6)), commit=20)
    assert stage.member.journal.last == 20
    assert again is not None
    assert again.next == 6
    assert stage.member.commit == 5


def test_2_only_what_contradicts_is_taken_back() -> None:
    stage = Stage("abcde")
    filled(stage, 8)
    stage.connect("c")
    stage.call("c", 2, 4, 1, entry(5, 1), entry(6, 2), entry(7, 2))
    assert stage.log == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2)]


# ------------------------------------------------------------------------------------------- 3


def test_2_entries_that_are_no_log_are_no_entries() -> None:
    stage = Stage("abc")
    filled(stage, 4)
    assert stage.call("b", 1, 4, 1, entry(5, 1), entry(7, 1)) is None
    assert stage.call("b", 1, 4, 1, entry(6, 1)) is None
    assert stage.log[-1] == (4, 1)
    assert filled(stage, 6).next == 7


def test_3_an_answer_counts_only_in_its_term() -> None:
    stage = Stage("abc")
    term = stage.lead("b")
    stage.propose(b"x")
    last, before = stage.member.journal.last, stage.member.commit
    stage.answer("b", term=term - 1)
    assert stage.member.commit == before
    stage.answer("b", term=term)
    assert stage.member.commit == last


def test_3_an_answer_of_a_newer_term_ends_the_leadership() -> None:
    stage = Stage("abc")
    term = stage.lead("b")
    stage.answer("b", term=term + 3)
    assert stage.member.role == "follower"
    assert stage.member.term == term + 3


# --------------------------------------------------------------------------------------- 4, 5


def test_4_a_snapshot_and_its_cut_are_one_batch() -> None:
    stage = Stage("a", settings=Settings(LAN, compact_every=10**6, keep=2))
    stage.wait(1)
    for i in range(9):
        stage.propose(b"%d" % i)
    stage.took(stage.member.snapshot(stage.now))
    batch = stage.store.batches[-1]
    assert batch.snapshot is not None
    assert batch.first == batch.snapshot.index - 2
    stage.restart()
    assert stage.machine.lines == [b"%d" % i for i in range(9)]
    assert stage.member.applied == batch.snapshot.index


def ask_for_a_vote(stage: Stage) -> None:
    stage.receive("b", Ask(5, 9, 4))


def send_an_entry(stage: Stage) -> None:
    stage.call("b", 1, 2, 0, entry(3, 1))


def propose_alone(stage: Stage) -> None:
    stage.propose(b"x")


@pytest.mark.parametrize(
    ("voters", "act"), [("abc", ask_for_a_vote), ("abc", send_an_entry), ("a", propose_alone)]
)
def test_5_nothing_leaves_before_it_is_durable(voters: str, act: Callable[[Stage], None]) -> None:
    """Votes, acknowledgements and outcomes: with a disk that takes nothing, none gets out."""
    stage = Stage(voters)
    stage.wait(0 if len(voters) > 1 else 1)
    stage.connect("b")
    sent, finished = len(stage.sent), len(stage.finished)
    stage.store.full = True
    with pytest.raises(StoreError):
        act(stage)
    assert (len(stage.sent), len(stage.finished)) == (sent, finished)
    stage.store.full = False
    with pytest.raises(StoreError, match="stopped"):
        stage.wait(1)


def test_5_term_and_vote_outlive_a_crash() -> None:
    stage = Stage("abc")
    stage.receive("b", Ask(7, 9, 5))
    assert [vote.term for vote in stage.said(Vote, "b")] == [7]
    stage.restart()
    assert stage.member.term == 7
    stage.receive("c", Ask(7, 9, 5))
    assert stage.said(Vote, "c") == []


def test_5_the_longest_lease_outlives_a_crash() -> None:
    stage = Stage("abc")
    stage.connect("b")
    stage.call("b", 1, 2, 0, lease_s=5.0)
    stage.restart()
    stage.receive("c", Ask(2, 9, 5))
    assert stage.said(Vote, "c")[-1].left_s == pytest.approx(5.5)


def test_5_so_does_a_leaders_own_also_where_it_starts_with_a_shorter_one() -> None:
    stage = Stage("abc", settings=Settings(WAN))
    stage.lead("b")
    stage.settings = Settings(LAN)
    stage.restart()
    stage.receive("c", Ask(9, 99, 9))
    assert stage.said(Vote, "c")[-1].left_s == pytest.approx(promise_s(WAN.lease_s))


# ------------------------------------------------------------------------------------------- 6


def test_6_what_was_not_held_against_the_leader_is_not_committed() -> None:
    stage = Stage("abcde")
    filled(stage, 6)
    stage.connect("c")
    stage.call("c", 3, 2, 0, commit=120)
    assert stage.member.commit == 2
    piece = Chunk(3, 2, 0.4, 2, 50, 2, configuration("abcde"), 2, 99, 0, 0, b"begin")
    stage.receive("c", piece)
    assert stage.member.commit == 2
    assert stage.machine.lines == []


# ------------------------------------------------------------------------------------------- 7


def test_7_a_restart_knows_the_newest_members_committed_or_not() -> None:
    stage = Stage("a")
    stage.wait(1)
    ticket = 0
    for nonvoters, voters in (("b", "a"), ("", "ab"), ("c", "ab")):
        ticket, effects = stage.member.change(configuration(voters, nonvoters), stage.now)
        stage.took(effects)
        if voters == "ab" and not nonvoters:
            stage.connect("b")
            stage.wait(0.2)
            stage.answer("b")
    assert ticket
    stage.restart()
    assert stage.member.configuration == configuration("ab", "c")
    stage.wait(30)
    assert stage.member.role == "follower"
    assert stage.member.term == 1


def test_7_a_change_that_is_taken_back_is_not_in_force() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    change = Change(configuration("abc"), configuration("abcd"))
    stage.call("b", 1, 2, 0, Entry(change_command(change), 3, 1))
    assert stage.member.configuration == configuration("abcd")
    stage.call("c", 2, 2, 0, entry(3, 2))
    assert stage.member.configuration == configuration("abc")


# ------------------------------------------------------------------------------------------- 8


def test_8_a_vote_counts_once_and_of_a_voter() -> None:
    stage = Stage("abcde", nonvoters="f")
    stage.connect(*"bcdef")
    stage.wait(10)
    for voter in "bc":
        stage.receive(voter, Echo(1, 0, would_vote=True))
    for voter in "bbbfx":
        stage.receive(voter, Vote(1, 0.0))
    assert stage.role() == "candidate"
    stage.receive("c", Vote(1, 0.0))
    assert stage.role() == "leader"


def test_8_a_vote_of_another_term_does_not_count() -> None:
    stage = Stage("abc")
    stage.connect("b")
    stage.wait(10)
    stage.receive("b", Echo(1, 0, would_vote=True))
    stage.receive("b", Vote(2, 0.0))
    stage.receive("b", Vote(0, 0.0))
    assert stage.member.role == "candidate"


# ------------------------------------------------------------------------------------------- 9


def test_9_without_encouragement_no_term_rises() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    for _ in range(20):
        stage.wait(2)
    assert stage.member.term == 0
    assert len(stage.said(Sound, "b")) == 20
    assert stage.said(Ask) == []


def test_9_an_encouragement_for_another_term_does_not_count() -> None:
    stage = Stage("abc")
    stage.connect("b")
    stage.wait(10)
    stage.receive("b", Echo(2, 0, would_vote=True))
    stage.receive("x", Echo(1, 0, would_vote=True))
    stage.receive("b", Echo(1, 0, would_vote=False))
    assert stage.said(Ask) == []


def test_9_nobody_is_encouraged_against_a_leader_that_lives() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0)
    stage.receive("c", Sound(2, 9, 1))
    assert stage.said(Echo, "c")[-1] == Echo(2, 1, would_vote=False)
    stage.mono += 0.3
    stage.receive("c", Sound(2, 9, 1))
    assert stage.said(Echo, "c")[-1] == Echo(2, 1, would_vote=True)
    stage.receive("c", Sound(2, 1, 0))
    assert not stage.said(Echo, "c")[-1].would_vote
    stage.receive("c", Sound(1, 9, 9))
    assert not stage.said(Echo, "c")[-1].would_vote


def test_9_a_leader_encourages_nobody() -> None:
    stage = Stage("abc")
    term = stage.lead("b")
    stage.mono += 0.3
    stage.receive("c", Sound(term + 1, 99, term))
    assert stage.said(Echo, "c") == [Echo(term + 1, term, would_vote=False)]


def test_9_an_encouragement_ends_with_the_term_it_was_for() -> None:
    stage = Stage("abcde")
    stage.connect("b", "c")
    stage.wait(10)
    stage.receive("b", Echo(1, 0, would_vote=True))
    stage.receive("d", Outdated(4))
    stage.receive("c", Echo(1, 0, would_vote=True))
    stage.wait(10)
    assert stage.said(Ask) == []
    assert stage.said(Sound, "b")[-1].term == 5


def test_9_an_old_leader_is_told_so() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.call("b", 5, 2, 0)
    stage.call("c", 4, 2, 0)
    assert stage.said(Outdated, "c") == [Outdated(5)]
    leader = Stage("abc")
    term = leader.lead("b")
    leader.receive("c", Outdated(term + 4))
    assert (leader.member.role, leader.member.term) == ("follower", term + 4)


def test_9_a_leader_that_no_majority_answers_steps_down_soon() -> None:
    stage = Stage("abc")
    stage.lead("b")
    stage.answer("b")
    stage.wait(LAN.election_s_max + 0.05)
    assert stage.member.role == "follower"
