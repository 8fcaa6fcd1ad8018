"""A member as a whole: its lease, its votes, handing over, and what it tells about itself."""

from __future__ import annotations

import pytest

from dnslb.election.raft.log import COMMAND_BYTES_MAX, opaque, regular
from dnslb.election.raft.messages import Append, Ask, Echo, Sound, StandNow, Vote
from dnslb.election.raft.proposals import PENDING_MAX
from dnslb.election.raft.timings import LAN, promise_s
from dnslb.errors import CommandRefused
from tests.election.raft.stage import Stage, configuration, filled, member

PROMISE_S = promise_s(LAN.lease_s)


def leading(*, left_s: float = 0.0) -> Stage:
    """A leader of three, long after its start, elected by ``b``."""
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.wait(10)
    stage.receive("b", Echo(1, 0, would_vote=True))
    stage.receive("b", Vote(1, left_s))
    assert stage.role() == "leader"
    return stage


# -------------------------------------------------------------------------------------- lease


def test_the_lease_runs_from_the_sending_of_the_round_that_a_majority_heard() -> None:
    stage = leading()
    assert stage.member.lease() is None
    sent_at = stage.now.boot
    stage.mono += 0.05
    stage.answer("b")
    span = stage.member.lease()
    assert span is not None
    assert span.ends_at == pytest.approx(sent_at + LAN.lease_s)
    assert span.holds(stage.now.boot)


def test_1_4_a_new_leader_waits_for_what_its_voter_promised() -> None:
    stage = leading(left_s=0.3)
    stage.answer("b")
    span = stage.member.lease()
    assert span is not None
    assert span.begins_at == pytest.approx(stage.now.boot + 0.3)
    assert not span.holds(stage.now.boot)


def test_1_3_a_start_is_a_promise_that_a_vote_tells_of() -> None:
    stage = Stage("abc")
    stage.connect("b")
    stage.mono += 0.1
    stage.receive("b", Ask(1, 9, 1))
    assert stage.said(Vote)[-1].left_s == pytest.approx(PROMISE_S - 0.1)


def test_1_3_an_acknowledgement_is_a_promise_that_a_vote_tells_of() -> None:
    stage = Stage("abc", nonvoters="")
    stage.mono += 50
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0, lease_s=2.0)
    stage.receive("c", Ask(2, 9, 1))
    assert stage.said(Vote)[-1].left_s == pytest.approx(promise_s(2.0))


def test_1_3_a_refused_call_is_a_promise_too() -> None:
    stage = Stage("abc")
    stage.mono += 50
    stage.connect("b", "c")
    heard = stage.call("b", 1, 99, 1)
    assert heard is not None
    assert not heard.matches
    stage.receive("c", Ask(2, 9, 1))
    assert stage.said(Vote)[-1].left_s == pytest.approx(PROMISE_S)


def test_1_3_a_node_that_waits_promises_too() -> None:
    stage = Stage("")
    stage.mono += 50
    stage.connect("b", "c")
    stage.call("b", 1, 1, 0)
    stage.receive("c", Ask(2, 9, 1))
    assert stage.said(Vote)[-1].left_s == pytest.approx(PROMISE_S)


def test_1_2_voters_are_those_of_the_newest_configuration_in_the_log() -> None:
    stage = Stage("ab")
    stage.lead("b")
    stage.answer("b")
    stage.connect("c", "d")
    for new in (configuration("abc"), configuration("abcd")):
        stage.took(stage.member.change(new, stage.now)[1])
        for peer in "bc"[: len(new.members) - 2]:
            stage.answer(peer)
    stage.wait(0.2)
    before = stage.member.lease()
    stage.answer("b")
    assert stage.member.lease() == before
    stage.answer("c")
    assert stage.member.lease() != before


def test_1_1_a_jump_of_the_wall_clock_drops_the_lease() -> None:
    stage = leading()
    stage.answer("b")
    stage.member.drop_lease()
    assert stage.member.lease() is None
    stage.wait(0.2)
    stage.answer("b")
    assert stage.member.lease() is not None


def test_no_lease_before_the_first_entry_of_the_term_is_applied() -> None:
    stage = leading()
    stage.answer("b", upto=2)
    assert not stage.member.ready
    assert stage.member.lease() is None
    stage.answer("b")
    assert stage.member.ready


def test_stepping_down_ends_the_lease_and_opens_the_log() -> None:
    stage = leading()
    stage.answer("b")
    stage.member.freeze("A transfer is under way.")
    stage.took(stage.member.step_down(stage.now))
    assert stage.member.lease() is None
    assert (stage.role(), stage.member.leader) == ("follower", None)


# ---------------------------------------------------------------------------------- handing over


def test_1_5_a_transfer_releases_and_asks_the_heir_with_the_own_wait() -> None:
    stage = leading(left_s=0.3)
    stage.answer("b")
    stage.mono += 0.1
    heir, effects = stage.member.transfer(None, stage.now)
    stage.took(effects)
    assert heir == "b"
    [call] = stage.said(StandNow, "b")
    assert call.term == 1
    assert call.wait_s == pytest.approx(0.2)
    assert stage.member.lease() is None
    stage.wait(0.1)
    stage.answer("b")
    assert stage.member.lease() is None


def test_1_5_a_term_without_a_lease_ends_by_itself() -> None:
    stage = leading()
    stage.answer("b")
    stage.took(stage.member.transfer("b", stage.now)[1])
    for _ in range(40):
        stage.wait(0.1)
        if stage.role() != "leader":
            break
        stage.answer("b")
    assert stage.role() == "follower"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("c", "has the log up to 0 of 3"), ("d", "no other voter"), ("a", "no other voter")],
)
def test_a_transfer_to_who_could_not_lead_is_refused(target: str, sentence: str) -> None:
    stage = leading()
    stage.answer("b")
    with pytest.raises(CommandRefused, match=sentence):
        stage.member.transfer(target, stage.now)
    assert stage.member.lease() is not None


def test_1_5_the_heir_stands_at_once_and_waits_only_what_it_was_handed() -> None:
    stage = Stage("abc")
    stage.mono += 50
    filled(stage, 5)
    stage.receive("b", StandNow(1, 0.2))
    assert (stage.role(), stage.member.term) == ("candidate", 2)
    stage.connect("c")
    stage.receive("b", Vote(2, PROMISE_S))
    stage.answer("b")
    span = stage.member.lease()
    assert span is not None
    assert span.begins_at == pytest.approx(stage.now.boot + 0.2)


@pytest.mark.parametrize(("peer", "term"), [("c", 1), ("b", 0), ("b", 2)])
def test_1_5_only_the_leader_of_this_term_can_ask_to_be_succeeded(peer: str, term: int) -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0)
    stage.receive(peer, StandNow(term, 0.0))
    assert (stage.role(), stage.member.term) == ("follower", 1)


def test_1_5_a_release_serves_no_later_candidacy() -> None:
    stage = Stage("abc")
    stage.mono += 50
    filled(stage, 5)
    stage.receive("b", StandNow(1, 0.0))
    stage.wait(3)
    assert (stage.role(), stage.member.term) == ("candidate", 2)
    stage.receive("c", Echo(3, 2, would_vote=True))
    assert stage.member.term == 3
    stage.receive("c", Vote(3, 0.4))
    stage.connect("c")
    stage.wait(0.2)
    stage.answer("c")
    span = stage.member.lease()
    assert span is not None
    assert span.begins_at > stage.now.boot


def test_a_frozen_log_takes_nothing_until_it_is_thawed() -> None:
    stage = leading()
    stage.member.freeze("A transfer is under way.")
    with pytest.raises(CommandRefused, match="A transfer is under way"):
        stage.propose(b"x")
    stage.member.freeze(None)
    stage.propose(b"x")


# ------------------------------------------------------------------------------------- haste


def test_1_6_a_closed_stream_of_the_leader_hastens_and_clears_no_promise() -> None:
    stage = Stage("abc")
    stage.mono += 50
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0)
    stage.took(stage.member.disconnected("b", stage.now))
    stage.wait(LAN.heartbeat_s)
    assert stage.said(Sound, "c")[-1] == Sound(2, 2, 0)
    stage.receive("c", Sound(2, 9, 1))
    assert stage.said(Echo, "c")[-1].would_vote
    stage.receive("c", Ask(2, 9, 1))
    assert stage.said(Vote)[-1].left_s == pytest.approx(PROMISE_S - LAN.heartbeat_s)


def test_a_closed_stream_of_another_changes_nothing() -> None:
    stage = Stage("abc")
    stage.connect("b", "c")
    stage.call("b", 1, 2, 0)
    due_at = stage.member.deadline()
    stage.took(stage.member.disconnected("c", stage.now))
    assert stage.member.deadline() == due_at


def test_a_member_that_connects_is_spoken_to_at_once() -> None:
    stage = leading()
    stage.sent.clear()
    stage.took(stage.member.disconnected("c", stage.now))
    stage.connect("c")
    assert len(stage.said(Append, "c")) == 1


# ------------------------------------------------------------------------------------ asking


def test_a_round_confirms_that_it_still_leads_and_writes_nothing() -> None:
    stage = leading()
    stage.answer("b")
    batches = len(stage.store.batches)
    asked, effects = stage.member.begin_round(stage.now)
    stage.took(effects)
    assert stage.member.confirmed(asked) is None
    stage.answer("b")
    assert stage.member.confirmed(asked) is True
    assert len(stage.store.batches) == batches
    stage.took(stage.member.step_down(stage.now))
    assert stage.member.confirmed(asked) is False


def test_it_tells_who_leads_and_when_it_was_heard() -> None:
    stage = Stage("abc")
    assert (stage.member.leader, stage.member.last_contact_at) == (None, None)
    stage.connect("b")
    stage.mono += 1
    stage.call("b", 1, 2, 0)
    assert (stage.member.leader, stage.member.last_contact_at) == ("b", stage.mono)
    led = leading()
    assert led.member.heard_at("b") is None
    led.answer("b")
    assert (led.member.heard_at("b"), led.member.match_of("b")) == (led.mono, 3)


def test_opaque_bytes_are_kept_and_applied_as_nothing() -> None:
    stage = Stage("a")
    stage.wait(1)
    [ticket], effects = stage.member.propose_all((opaque(b"anything"),), stage.now)
    stage.took(effects)
    assert (stage.finished[-1].ticket, stage.finished[-1].result) == (ticket, None)
    assert stage.machine.lines == []
    assert stage.member.journal.entries[-1].command[1:] == b"anything"


def test_proposals_together_are_one_event_and_each_has_its_own_end() -> None:
    stage = leading()
    stage.answer("b")
    written = len(stage.store.batches)
    commands = [regular(b"%d" % number, 1) for number in range(3)]
    tickets, effects = stage.member.propose_all(commands, stage.now)
    assert len(stage.store.batches) == written + 1
    sent = [(to, len(one.entries)) for to, one in effects.frames if isinstance(one, Append)]
    assert sorted(sent) == [("b", 3), ("c", 3)]
    stage.took(effects)
    stage.answer("b")
    ends = [(one.ticket, one.outcome) for one in stage.finished[-3:]]
    assert ends == [(ticket, "applied") for ticket in tickets]
    assert stage.machine.lines == [b"0", b"1", b"2"]


def test_proposals_together_are_all_refused_or_none() -> None:
    stage = leading()
    stage.answer("b")
    last = stage.member.journal.last
    with pytest.raises(CommandRefused, match="at most 1048576 bytes"):
        stage.member.propose_all((opaque(b"x"), opaque(bytes(COMMAND_BYTES_MAX))), stage.now)
    with pytest.raises(CommandRefused, match="1024 commands wait already"):
        stage.member.propose_all([opaque(b"x")] * (PENDING_MAX + 1), stage.now)
    assert (stage.member.journal.last, stage.member.pending) == (last, 0)


def test_deadlines_are_heartbeats_for_a_leader_and_elections_for_others() -> None:
    stage = leading()
    assert stage.member.deadline() == pytest.approx(stage.mono + LAN.heartbeat_s)
    follower = Stage("abc")
    assert LAN.election_s_min <= follower.member.deadline() - follower.mono <= LAN.election_s_max
    silent = Stage("bc", nonvoters="a")
    assert silent.member.deadline() == float("inf")


def test_removing_the_other_of_two_leaves_a_leader_that_decides_alone() -> None:
    stage = Stage("ab")
    stage.lead("b")
    stage.answer("b")
    stage.took(stage.member.change(configuration("a"), stage.now)[1])
    assert stage.member.commit == stage.member.journal.last
    stage.propose(b"alone")
    assert stage.machine.lines == [b"alone"]


def test_a_member_without_a_vote_is_kept_up_to_date_and_counts_for_nothing() -> None:
    stage = Stage("ab", nonvoters="c")
    stage.lead("b")
    stage.connect("c")
    before = stage.member.commit
    stage.answer("c")
    assert stage.member.commit == before
    assert stage.member.match_of("c") == stage.member.journal.last
    assert member("c", "nonvoter") in stage.member.configuration.members


def test_a_member_without_a_vote_names_no_leader_that_fell_silent() -> None:
    stage = Stage("bc", nonvoters="a")
    stage.connect("b")
    stage.call("b", 1, 2, 0)
    assert stage.member.leader == "b"
    assert stage.member.deadline() - stage.mono <= LAN.election_s_max
    stage.wait(0.1)
    assert stage.member.leader == "b"
    stage.wait(LAN.election_s_max)
    assert stage.role() == "follower"
    known: str | None = stage.member.leader
    assert known is None
    assert stage.member.deadline() == float("inf")
    assert not stage.said(Ask)
    assert not stage.said(Sound)
    stage.call("b", 1, 2, 0)
    known = stage.member.leader
    assert known == "b"
