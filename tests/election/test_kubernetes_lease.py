"""The contest for a Lease, step by step, as one instance sees it."""

from __future__ import annotations

import math

import pytest

from dnslb.election.kubernetes_lease import Look, Wait
from dnslb.election.kubernetes_objects import JsonValue, Kind, KubernetesObject
from dnslb.election.kubernetes_record import micro_time
from dnslb.errors import InvalidValue
from tests.election.kubernetes_steps import (
    WALL,
    answered,
    at,
    contest,
    foreign,
    has_right,
    held,
    until,
    write,
    write_of,
)


class TestStanding:
    def test_it_looks_first(self) -> None:
        assert isinstance(contest().wish(at(0)), Look)

    def test_a_missing_lease_is_made_for_nobody_and_then_waited_for(self) -> None:
        one = contest()
        one.found(None, at(0))
        made = write(one, 0, "create")
        assert made.existing is None
        assert made.payload == {
            "holderIdentity": "",
            "leaseDurationSeconds": 15,
            "acquireTime": None,
            "renewTime": None,
            "leaseTransitions": 0,
        }
        one.begin(made, at(0))
        one.written(answered(one, made, 1), at(0.2))
        assert not has_right(one, 0.2)
        assert one.wish(at(1)) == Wait(1015.2)
        taken = write(one, 15.3, "acquire")
        assert taken.payload["leaseTransitions"] == 1

    def test_a_foreign_one_is_waited_for_from_when_it_was_seen(self) -> None:
        one = contest()
        # Its own times are hours off: they are of another clock.
        one.found(foreign(renewTime="2020-01-01T00:00:00.000000Z"), at(5))
        assert one.wish(at(6)) == Wait(1020.0)
        one.see(foreign(2), at(10))
        assert one.wish(at(20)) == Wait(1025.0)
        taken = write(one, 25, "acquire")
        assert taken.existing == foreign(2)
        assert taken.payload == {
            "holderIdentity": "a_1",
            "leaseDurationSeconds": 15,
            "acquireTime": micro_time(WALL + 25),
            "renewTime": micro_time(WALL + 25),
            "leaseTransitions": 7,
            "strategy": "OldestEmulationVersion",
        }

    def test_by_its_recorded_duration_where_that_is_longer(self) -> None:
        one = contest()
        one.found(foreign(leaseDurationSeconds=30), at(0))
        assert one.wish(at(0)) == Wait(1030.0)
        one.see(foreign(2, leaseDurationSeconds=1), at(1))
        assert one.wish(at(1)) == Wait(1030.0)

    def test_the_same_version_twice_prolongs_nothing(self) -> None:
        one = contest()
        one.found(foreign(), at(0))
        one.see(foreign(), at(9))
        assert one.wish(at(9)) == Wait(1015.0)

    def test_a_renewal_counts_although_its_writers_clock_stands_still(self) -> None:
        one = contest()
        one.found(foreign(1, renewTime="x"), at(0))
        one.see(foreign(2, renewTime="x"), at(9))
        assert one.wish(at(9)) == Wait(1024.0)

    def test_a_released_one_is_taken_at_once(self) -> None:
        one = contest()
        one.found(foreign(), at(0))
        time = micro_time(WALL + 1)
        words: dict[str, JsonValue] = {"holderIdentity": "", "leaseDurationSeconds": 1}
        one.see(foreign(2, acquireTime=time, renewTime=time, **words), at(1))
        assert write(one, 1, "acquire").payload["leaseTransitions"] == 7

    @pytest.mark.parametrize("duration_s", [1, 15])
    def test_an_emptied_one_is_not_released(self, duration_s: int) -> None:
        one = contest()
        one.found(foreign(2, holderIdentity="", leaseDurationSeconds=duration_s), at(0))
        assert one.wish(at(0)) == Wait(1015.0)

    def test_an_earlier_process_of_ours_is_somebody_else(self) -> None:
        one = contest()
        one.found(foreign(holderIdentity="a_0"), at(0))
        assert one.wish(at(0)) == Wait(1015.0)

    def test_a_count_that_is_full_needs_a_person(self) -> None:
        one = contest()
        one.found(foreign(leaseTransitions=2**31 - 1), at(0))
        assert one.wish(at(16)) == Wait(math.inf)
        assert one.trouble is not None

    def test_who_waits_spreads(self) -> None:
        one = contest(luck=1.0)
        one.found(foreign(), at(0))
        assert until(one, 0) == pytest.approx(1015.1)

    def test_what_cannot_be_read_changes_nothing(self) -> None:
        one = contest()
        one.found(foreign(), at(0))
        with pytest.raises(InvalidValue, match="leaseTransitions of the Lease is no whole number"):
            one.see(foreign(2, leaseTransitions="seven"), at(3))
        assert one.wish(at(3)) == Wait(1015.0)


class TestHolding:
    def test_from_the_sending_on_for_the_deadline(self) -> None:
        one = contest()
        one.found(foreign(), at(0))
        wish = write(one, 15, "acquire")
        one.begin(wish, at(15))
        one.written(answered(one, wish, 2), at(19))
        right = one.right(1019)
        assert right is not None
        assert (right.uid, right.term, right.good_until) == ("u1", 7, 1025.0)
        assert not has_right(one, 25.0)

    def test_it_is_renewed_and_its_beginning_kept(self) -> None:
        one = held()
        assert one.wish(at(0)) == Wait(1002.0)
        wish = write(one, 2, "renew")
        assert wish.existing is not None
        assert wish.existing.resource_version == "2"
        assert wish.payload == {
            **foreign().payload,
            "holderIdentity": "a_1",
            "acquireTime": micro_time(WALL),
            "renewTime": micro_time(WALL + 2),
            "leaseTransitions": 7,
        }
        one.begin(wish, at(2))
        one.written(answered(one, wish, 3), at(2.5))
        right = one.right(1003)
        assert right is not None
        assert right.good_until == 1012.0

    def test_a_renewal_of_unknown_outcome_is_none_and_is_looked_at(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        one.failed(at(6), unknown=True)
        right = one.right(1006)
        assert right is not None
        assert right.good_until == 1010.0
        assert one.wish(at(6)) == Wait(1007.0)
        assert isinstance(one.wish(at(7)), Look)
        one.found(answered(one, wish, 3), at(7))
        assert write(one, 7, "renew").existing == answered(one, wish, 3)
        assert has_right(one, 9.9)
        assert not has_right(one, 10.0)

    def test_an_acquire_of_unknown_outcome_is_looked_at_and_then_renewed(self) -> None:
        one = contest()
        one.found(foreign(), at(0))
        wish = write(one, 15, "acquire")
        one.begin(wish, at(15))
        one.failed(at(20), unknown=True)
        one.found(answered(one, wish, 2), at(23))
        assert not has_right(one, 23)
        again = write(one, 23, "renew")
        assert again.record.transitions == 7
        one.begin(again, at(23))
        one.written(answered(one, again, 3), at(23))
        assert has_right(one, 30)

    def test_calls_end_in_time_for_another_one(self) -> None:
        one = held()
        assert write(one, 2, "renew").within_s == 4.0
        assert write(one, 8.5, "renew").within_s == 1.0
        assert write(one, 9.5, "renew").within_s == 0.5

    def test_a_conflict_is_looked_at_at_once_and_a_note_by_hand_changes_nothing(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        one.conflict(at(2))
        assert isinstance(one.wish(at(2)), Look)
        annotated = answered(one, write_of(one), 9)
        one.found(annotated, at(2))
        assert has_right(one, 2)
        assert write(one, 2, "renew").existing == annotated

    def test_who_insists_on_conflicts_is_given_way(self) -> None:
        one = held()
        for number in range(40):
            one.found(answered(one, write_of(one), 10 + number), at(2))
            one.conflict(at(2))
        assert one.wish(at(2)) == Wait(1004.0)

    @pytest.mark.parametrize(
        "changed",
        [
            {"holderIdentity": "b_9"},
            {"holderIdentity": ""},
            {"leaseTransitions": 3},
            {"acquireTime": micro_time(WALL - 5)},
        ],
    )
    def test_a_change_by_hand_ends_it(self, changed: dict[str, JsonValue]) -> None:
        one = held()
        found = answered(one, write_of(one), 3)
        edited = KubernetesObject(Kind.LEASE, "dnslb", "u1", "3", {**found.payload, **changed})
        one.see(edited, at(1))
        assert isinstance(one.wish(at(1)), Look), "a watch may be late, so it asks"
        assert has_right(one, 1)
        one.found(edited, at(1))
        assert not has_right(one, 1)
        assert one.wish(at(1)) == Wait(1016.0)

    def test_a_lease_made_anew_ends_it(self) -> None:
        one = held()
        old = answered(one, write_of(one), 3)
        one.see(None, at(1))
        one.found(KubernetesObject(Kind.LEASE, "dnslb", "u2", "4", old.payload), at(1))
        assert not has_right(one, 1)
        assert one.wish(at(1)) == Wait(1016.0)

    def test_an_answer_of_another_object_is_no_renewal(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        anew = KubernetesObject(Kind.LEASE, "dnslb", "u2", "4", wish.payload)
        one.written(anew, at(2))
        right = one.right(1002)
        assert right is not None
        assert right.good_until == 1010.0
        one.found(anew, at(3))
        assert not has_right(one, 3)
        assert one.wish(at(3)) == Wait(1018.0)

    def test_the_watch_is_not_believed_about_the_past(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        one.written(answered(one, wish, 3), at(2))
        one.see(answered(one, write_of(one), 2), at(3))
        assert one.wish(at(3)) == Wait(1004.0)

    def test_what_was_written_over_a_version_that_is_gone_is_ours_no_more(self) -> None:
        """A person brings an old copy of the Lease back while somebody else may write."""
        one = held()
        saved = write_of(one)
        one.failed(at(12))
        one.found(foreign(20), at(20))
        copy = KubernetesObject(Kind.LEASE, "dnslb", "u1", "21", saved.payload)
        one.found(copy, at(21))
        assert not one.is_ours
        assert one.wish(at(25)) == Wait(1036.0)

    def test_a_lapsed_one_that_nobody_took_goes_on(self) -> None:
        one = held()
        one.failed(at(9))
        assert not has_right(one, 11)
        one.found(answered(one, write_of(one), 2), at(13))
        wish = write(one, 13, "renew")
        one.begin(wish, at(13))
        one.written(answered(one, wish, 3), at(13))
        right = one.right(1013)
        assert right is not None
        assert right.term == 7
