"""Each rule of the lease by its number in `safety.md`, one by one and by hand."""

from __future__ import annotations

import math

import pytest

from dnslb.election.raft.lease import ROUNDS_MAX, LeaseBook, Release
from dnslb.election.raft.timings import (
    DRIFT,
    LAN,
    LEASE_S_MAX,
    PROFILES,
    PROMISE_S_MAX,
    WAN,
    Timings,
    promise_s,
)
from dnslb.errors import InvalidValue

VOTERS = ("a", "b", "c")
L = 1.0


def book(member: str = "a", **values: float) -> LeaseBook:
    return LeaseBook(member, L, promised_until=values.get("promised_until", -math.inf))


def leader(*, at: float = 0.0, term: int = 1, left_s: float = 0.0) -> LeaseBook:
    return book().stand(term, at=at).vote(term, left_s=left_s, at=at).lead()


def heard(one: LeaseBook, *voters: str, number: int | None = None) -> LeaseBook:
    for voter in voters:
        one = one.acknowledge(voter, term=one.term, number=number or one.newest_round)
    return one


def ends_at(one: LeaseBook) -> float:
    span = one.span(VOTERS)
    assert span is not None
    return span.ends_at


# ------------------------------------------------------------------------------------- 1.1, 1.2


def test_1_1_a_jump_of_the_wall_clock_ends_the_lease_until_a_later_round() -> None:
    one = heard(leader().begin_round(at=5.0), "b")
    dropped = one.forget_rounds()
    assert dropped.span(VOTERS) is None
    assert heard(dropped, "c").span(VOTERS) is None
    assert ends_at(heard(dropped.begin_round(at=6.0), "b")) == 7.0


def test_1_2_counts_from_sending_and_needs_a_majority() -> None:
    one = leader().begin_round(at=5.0)
    assert one.span(VOTERS) is None
    assert ends_at(heard(one, "b")) == 5.0 + L
    later = heard(one, "b").begin_round(at=5.4)
    assert ends_at(later) == 6.0
    assert ends_at(heard(later, "c")) == 6.4
    assert ends_at(heard(later, "c", number=1)) == 6.0


def test_1_2_a_majority_of_five_is_three() -> None:
    five = ("a", "b", "c", "d", "e")
    one = heard(leader().begin_round(at=0.0), "b")
    assert one.span(five) is None
    assert heard(one, "e").span(five) is not None


def test_1_2_only_voters_count_and_the_leader_only_if_it_is_one() -> None:
    one = heard(leader().begin_round(at=0.0), "x", "y")
    assert one.span(VOTERS) is None
    assert heard(one, "b").span(("b", "c")) is None
    assert heard(one, "b", "c").span(("b", "c")) is not None


def test_1_2_one_voter_alone_holds_what_it_sends() -> None:
    alone = book().stand(1, at=0.0).lead().begin_round(at=2.0)
    span = alone.span(("a",))
    assert span is not None
    assert span.holds(2.0)
    assert span.holds(2.99)
    assert not span.holds(3.0)


@pytest.mark.parametrize(("term", "number"), [(1, 1), (3, 1), (2, 2)])
def test_1_2_an_acknowledgement_counts_only_for_its_term_and_round(term: int, number: int) -> None:
    one = leader(term=2).begin_round(at=0.0)
    assert one.acknowledge("b", term=term, number=number) == one


def test_1_2_a_round_carries_its_lease() -> None:
    one = leader().begin_round(at=0.0)
    assert one.rounds[-1].lease_s == L


def test_1_2_stepping_down_ends_the_lease_at_once() -> None:
    one = heard(leader().begin_round(at=0.0), "b").follow()
    assert one.span(VOTERS) is None
    assert one.confirmed_round(VOTERS) == 0


def test_1_2_a_new_term_starts_with_nothing_acknowledged() -> None:
    one = heard(leader().begin_round(at=0.0), "b", "c")
    again = one.stand(2, at=5.0).vote(2, left_s=0.0, at=5.0).lead().begin_round(at=5.0)
    assert again.newest_round == 1
    assert again.span(VOTERS) is None


# ------------------------------------------------------------------------------------------ 1.3


def test_1_3_a_promise_lasts_as_the_round_says_and_the_drift() -> None:
    assert book().promise(at=2.0, lease_s=3.0).promised_until == 2.0 + 3.0 * (1 + DRIFT)


def test_1_3_the_longest_promise_stays() -> None:
    one = book().promise(at=0.0, lease_s=10.0).promise(at=1.0, lease_s=0.5)
    assert one.promised_until == promise_s(10.0)
    assert one.follow().promised_until == promise_s(10.0)
    assert one.stand(1, at=0.0).lead().begin_round(at=0.0).promised_until == promise_s(10.0)


def test_1_3_a_leader_promises_itself_what_it_asks() -> None:
    assert leader().begin_round(at=4.0).promised_until == 4.0 + promise_s(L)


def test_1_3_a_start_owes_the_longest_lease_ever_acknowledged() -> None:
    again = LeaseBook.started("a", at=7.0, lease_s=1.0, largest_s=2.5)
    assert again.promised_until == 7.0 + promise_s(2.5)


def test_1_3_a_first_start_owes_its_own_lease() -> None:
    first = LeaseBook.started("a", at=7.0, lease_s=1.0, largest_s=0.0)
    assert first.promised_until == 7.0 + promise_s(1.0)


@pytest.mark.parametrize("lease_s", [0.0, -1.0, math.nan, math.inf, LEASE_S_MAX * 1.01])
def test_1_3_nobody_can_ask_for_an_endless_promise(lease_s: float) -> None:
    with pytest.raises(InvalidValue):
        book().promise(at=0.0, lease_s=lease_s)


# ------------------------------------------------------------------------------------------ 1.4


def begins_at(one: LeaseBook, *, at: float) -> float:
    span = heard(one.lead().begin_round(at=at), "b").span(VOTERS)
    assert span is not None
    return span.begins_at


def test_1_4_what_is_left_of_a_promise_shrinks_to_nothing() -> None:
    one = book().promise(at=0.0, lease_s=L)
    assert one.promise_left_s(0.5) == promise_s(L) - 0.5
    assert one.promise_left_s(9.0) == 0.0


def test_1_4_waits_for_the_largest_remainder_whatever_the_order() -> None:
    one = book().stand(1, at=0.0)
    one = one.vote(1, left_s=0.9, at=0.1).vote(1, left_s=0.2, at=0.2)
    assert begins_at(one, at=0.2) == 1.0


def test_1_4_waits_for_its_own_promise_too() -> None:
    one = book(promised_until=3.0).stand(1, at=0.0).vote(1, left_s=0.1, at=0.0)
    assert begins_at(one, at=0.0) == 3.0


def test_1_4_counts_from_reading_the_vote() -> None:
    one = book().stand(1, at=0.0).vote(1, left_s=0.9, at=0.5)
    assert begins_at(one, at=0.5) == 1.4


def test_1_4_a_vote_of_another_term_or_after_the_election_changes_nothing() -> None:
    one = book().stand(2, at=0.0)
    assert one.vote(1, left_s=1.0, at=0.0) == one
    assert one.lead().vote(2, left_s=1.0, at=0.0) == one.lead()


@pytest.mark.parametrize("left_s", [-0.1, math.nan, math.inf, PROMISE_S_MAX * 1.01])
def test_1_4_a_vote_cannot_owe_more_than_anyone_promises(left_s: float) -> None:
    with pytest.raises(InvalidValue):
        book().stand(1, at=0.0).vote(1, left_s=left_s, at=0.0)


def test_1_4_a_new_candidacy_forgets_the_waits_of_the_one_before() -> None:
    one = book().stand(1, at=0.0).vote(1, left_s=5.0, at=0.0).stand(2, at=1.0)
    assert begins_at(one, at=1.0) == -math.inf


# ------------------------------------------------------------------------------------------ 1.5


def test_1_5_a_released_lease_is_over_for_the_rest_of_the_term() -> None:
    one, release = heard(leader().begin_round(at=0.0), "b").release(at=0.1)
    assert release == Release(term=1, wait_s=0.0)
    assert one.span(VOTERS) is None
    assert heard(one.begin_round(at=0.2), "b", "c").span(VOTERS) is None
    again = one.stand(2, at=3.0).vote(2, left_s=0.0, at=3.0).lead().begin_round(at=3.0)
    assert heard(again, "b").span(VOTERS) is not None


def test_1_5_a_leader_that_still_waits_hands_its_wait_on() -> None:
    _, release = leader(left_s=0.8).begin_round(at=0.0).release(at=0.3)
    assert release.wait_s == pytest.approx(0.5)
    heir = book("b", promised_until=9.0).stand(2, at=4.0, release=release)
    heir = heir.vote(2, left_s=1.0, at=4.0).lead().begin_round(at=4.0)
    span = heard(heir, "a").span(VOTERS)
    assert span is not None
    assert span.begins_at == pytest.approx(4.5)


def test_1_5_a_release_serves_only_the_candidacy_of_the_next_term() -> None:
    late = book(promised_until=9.0).stand(3, at=4.0, release=Release(1, 0.0))
    assert begins_at(late.vote(3, left_s=0.0, at=4.0), at=4.0) == 9.0
    heir = book(promised_until=9.0).stand(2, at=4.0, release=Release(1, 0.0))
    lost = heir.stand(3, at=5.0)
    assert begins_at(lost.vote(3, left_s=0.0, at=5.0), at=5.0) == 9.0


# --------------------------------------------------------------------------- misuse and limits


def test_terms_only_rise_and_roles_come_in_order() -> None:
    with pytest.raises(InvalidValue):
        leader(term=2).stand(2, at=0.0)
    with pytest.raises(InvalidValue):
        book().lead()
    with pytest.raises(InvalidValue):
        book().begin_round(at=0.0)
    with pytest.raises(InvalidValue):
        book().release(at=0.0)


def test_rounds_are_bounded_and_forgetting_ends_early() -> None:
    one = leader()
    for _ in range(ROUNDS_MAX + 10):
        one = one.begin_round(at=1.0)
    assert len(one.rounds) == ROUNDS_MAX
    assert heard(one, "b", number=3).span(VOTERS) is None
    assert one.begin_round(at=2.0).rounds == one.begin_round(at=2.0).rounds[-1:]


def test_profiles_are_those_of_the_interface() -> None:
    assert PROFILES == {"lan": LAN, "wan": WAN}
    assert Timings(0.4, 0.8, 0.1, 0.4) == LAN
    assert Timings(1.0, 2.0, 0.25, 1.0) == WAN


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0.4, 0.8, 0.1, LEASE_S_MAX + 1), "promise at most"),
        ((0.4, 0.8, 0.1, 0.29), "three heartbeats"),
        ((0.3, 0.8, 0.1, 0.4), "stand against a living leader"),
        ((0.4, 0.5, 0.1, 0.4), "all at once"),
        ((0.4, 0.8, 0.1, 1.6), "wait longer"),
        ((0.4, 0.8, 0.0, 0.4), "heartbeat_s"),
        ((0.4, math.inf, 0.1, 0.4), "election_s_max"),
        ((0.4, 0.8, 0.1, math.nan), "lease_s"),
    ],
)
def test_unsound_timings_are_refused(values: tuple[float, ...], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        Timings(*values)
