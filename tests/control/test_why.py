"""Why, now and then: what is told of the past is what is still known of it."""

from __future__ import annotations

import pytest

from dnslb.api.codec import Malformed, from_time
from dnslb.control.why import NotKept, parse_at, why_message, why_message_at
from dnslb.model.operator import OperatorState, Pause
from dnslb.model.rrset import RRsetKey
from dnslb.model.status import Decision
from tests.doubles.operations import NOW, WALL, change, ep, lb, picture

CONTRACT = {"name", "published", "desired", "rule", "endpoints", "term", "plan_id", "sentence"}
V6 = RRsetKey("www.example.org", "AAAA")
STATUS = picture(
    lb(
        "www.example.org",
        ep("tcp://192.0.2.1:80"),
        ep("tcp://192.0.2.2:80", "down"),
        published=("192.0.2.1",),
        desired=("192.0.2.1",),
        sentence="1 of 2 endpoints is living",
        history=(
            Decision(WALL - 600, ("192.0.2.1", "192.0.2.2"), "verdicts", "both are living"),
            Decision(WALL - 60, ("192.0.2.1",), "verdicts", "1 of 2 endpoints is living"),
        ),
    ),
    changes=(
        change(
            "new", state="applied", applied_wall=WALL - 59, plan_id="p2", created_wall=WALL - 60
        ),
        change(
            "old",
            before=(),
            after=("192.0.2.1", "192.0.2.2"),
            state="applied",
            applied_wall=WALL - 590,
            created_wall=WALL - 600,
            plan_id="p1",
        ),
        change(
            "six", key=V6, before=("2001:db8::1",), after=(), state="applied",
            applied_wall=WALL - 30, plan_id="p3", created_wall=WALL - 31,
        ),
        change("other", key=RRsetKey("x.example.org", "A")),
    ),
    operator=OperatorState(
        pauses={
            "example.org": Pause("example.org", "move", "kim", WALL),
            "other.org": Pause("other.org", "move", "kim", WALL),
        }
    ),
)  # fmt: skip
VIEW = STATUS.loadbalancers["www.example.org"]


def test_now() -> None:
    why = why_message(STATUS, VIEW, NOW)
    assert set(why) >= CONTRACT
    assert (why["published"], why["desired"]) == (["192.0.2.1"], ["192.0.2.1"])
    assert [e["state"] for e in why["endpoints"]] == ["up", "down"]
    assert (why["term"], why["plan_id"], why["zone"]) == (0, "p3", "example.org")
    assert [pause["scope"] for pause in why["pauses"]] == ["example.org"]
    assert [one["id"] for one in why["changes"]] == ["new", "old", "six"]
    assert len(why["history"]) == 2


def test_what_was_never_read_is_not_known() -> None:
    status = picture(lb("www.example.org", ep("tcp://192.0.2.1:80"), published=None))
    assert why_message(status, status.loadbalancers["www.example.org"], NOW)["published"] is None


def test_at_an_earlier_moment() -> None:
    why = why_message_at(STATUS, VIEW, WALL - 120, NOW)
    assert set(why) >= CONTRACT
    assert why["sentence"] == "both are living"
    assert why["desired"] == ["192.0.2.1", "192.0.2.2"]
    assert why["published"] == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert (why["endpoints"], why["pauses"]) == ([], [])
    assert why["plan_id"] == "p1"
    assert why["at"] == "2025-12-31T23:58:00Z"


def test_later_writes_are_undone_one_by_one() -> None:
    assert why_message_at(STATUS, VIEW, WALL - 45, NOW)["published"] == ["192.0.2.1", "2001:db8::1"]
    assert why_message_at(STATUS, VIEW, WALL - 595, NOW)["published"] == ["2001:db8::1"]


def test_the_future_is_now() -> None:
    assert why_message_at(STATUS, VIEW, WALL + 60, NOW) == why_message(STATUS, VIEW, NOW)


def test_before_the_oldest_decision_nothing_is_claimed() -> None:
    with pytest.raises(NotKept, match="the oldest is of 2025-12-31T23:50:00Z"):
        why_message_at(STATUS, VIEW, WALL - 601, NOW)


def test_times_as_people_write_them() -> None:
    noon = NOW._replace(wall=from_time("2026-01-01T12:00:00Z"))
    assert parse_at("2025-12-31T23:00:00Z", noon) == from_time("2025-12-31T23:00:00Z")
    assert parse_at("03:12", noon) == from_time("2026-01-01T03:12:00Z")
    assert parse_at("03:12:30Z", noon) == from_time("2026-01-01T03:12:30Z")
    assert parse_at("23:59", noon) == from_time("2025-12-31T23:59:00Z")
    assert parse_at("15m", noon) == from_time("2026-01-01T11:45:00Z")
    assert parse_at("2h", noon) == from_time("2026-01-01T10:00:00Z")
    for wrong in ("", "m", "-5m", "25:00", "yesterday", "15", "1.5h", "٣m"):
        with pytest.raises(Malformed, match="no time such as"):
            parse_at(wrong, noon)
