"""A Lease given up, released, or out of reach."""

from __future__ import annotations

import math

import pytest

from dnslb.election.kubernetes_lease import Look, Wait
from dnslb.election.kubernetes_record import from_spec, micro_time
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


class TestGivingUp:
    def test_a_jump_of_the_wall_clock_drops_it_until_a_renewal_sent_after_it(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        one.drop(at(3))
        assert not has_right(one, 3)
        one.written(answered(one, wish, 3), at(3))
        assert not has_right(one, 3), "it was sent before"
        again = write(one, 4.1, "renew")
        one.begin(again, at(4.1))
        one.written(answered(one, again, 4), at(4.2))
        assert has_right(one, 4.2)

    def test_given_up_at_once_and_released_when_all_is_at_rest(self) -> None:
        one = held()
        one.give_up(math.inf)
        assert not has_right(one, 1)
        assert one.wish(at(1)) == Wait(math.inf)
        one.allow_release()
        wish = write(one, 1, "release")
        assert wish.payload == {
            **foreign().payload,
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": micro_time(WALL + 1),
            "renewTime": micro_time(WALL + 1),
            "leaseTransitions": 7,
        }
        assert from_spec(wish.payload).is_released
        one.begin(wish, at(1))
        parted_before = one.has_parted
        one.written(answered(one, wish, 3), at(1))
        assert (parted_before, one.has_parted) == (False, True)
        assert one.wish(at(99)) == Wait(math.inf)

    def test_a_release_that_met_a_conflict_is_tried_over_what_is_there(self) -> None:
        one = held()
        one.give_up(math.inf)
        one.allow_release()
        wish = write(one, 1, "release")
        one.begin(wish, at(1))
        one.conflict(at(1))
        assert isinstance(one.wish(at(1)), Look)
        newer = answered(one, write_of(one), 9)
        one.found(newer, at(1))
        assert write(one, 1, "release").existing == newer

    def test_what_somebody_else_has_is_not_released(self) -> None:
        one = held()
        one.give_up(math.inf)
        one.allow_release()
        one.conflict(at(1))
        one.found(foreign(9), at(1))
        assert one.has_parted
        assert one.wish(at(1)) == Wait(math.inf)

    def test_an_answer_that_was_under_way_gives_nothing_back(self) -> None:
        one = held()
        wish = write(one, 2, "renew")
        one.begin(wish, at(2))
        one.give_up(1012.0)
        one.written(answered(one, wish, 3), at(3))
        assert not has_right(one, 3)
        one.allow_release()
        assert write(one, 3, "release").existing == answered(one, wish, 3)

    def test_after_the_calm_it_stands_again_like_anybody(self) -> None:
        """What could not be released is not gone on with: the term that was given up is over."""
        one = held()
        one.give_up(1012.0)
        assert one.wish(at(11)) == Wait(1012.0)
        assert isinstance(one.wish(at(12)), Wait)
        taken = write(one, 15, "acquire")
        assert taken.record.transitions == 8

    def test_a_second_giving_up_shortens_nothing(self) -> None:
        one = held()
        one.give_up(1020.0)
        one.give_up(1012.0)
        assert until(one, 13) == 1020.0

    def test_a_pause_does_not_hold_up_a_release(self) -> None:
        one = held()
        one.failed(at(2))
        one.give_up(math.inf)
        one.allow_release()
        assert isinstance(one.wish(at(2)), Look)

    def test_conflicts_are_counted_in_a_row(self) -> None:
        one = held()
        for _ in range(5):
            one.conflict(at(2))
        one.found(answered(one, write_of(one), 9), at(4))
        wish = write(one, 4, "renew")
        one.begin(wish, at(4))
        one.written(answered(one, wish, 10), at(4))
        one.conflict(at(6))
        assert isinstance(one.wish(at(6)), Look)


class TestFailing:
    def test_pauses_grow_not_beyond_the_retry_period_for_the_holder(self) -> None:
        one = held()
        one.failed(at(2))
        assert one.wish(at(2)) == Wait(1004.0)
        one.failed(at(9.9))
        assert until(one, 9.9) == pytest.approx(1010.0)

    def test_who_does_not_hold_it_waits_as_client_go_does(self) -> None:
        one = contest(luck=1.0)
        one.failed(at(0))
        assert until(one, 0) == pytest.approx(1004.4)

    @pytest.mark.parametrize(("asked_s", "waits_s"), [(7.0, 7.0), (3600.0, 30.0)])
    def test_a_server_that_asks_for_patience_gets_it(self, asked_s: float, waits_s: float) -> None:
        one = contest()
        one.failed(at(0), retry_after_s=asked_s)
        assert one.wish(at(0)) == Wait(1000 + waits_s)
