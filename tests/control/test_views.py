"""The contract's shapes, and how ages and votes get into them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslb.api.codec import decode
from dnslb.control import views
from dnslb.control.pieces import endpoint_pieces, list_pieces, to_json
from dnslb.control.votes import Votes
from dnslb.model.cluster import ClusterView
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.operator import Approval, OperatorState, Override, Pause
from dnslb.model.report import DOWN, UP
from dnslb.model.status import Status
from tests.doubles.operations import (
    ALONE,
    INFO,
    NOW,
    WALL,
    agent,
    change,
    entry,
    ep,
    lb,
    picture,
    row,
)

STATUS_KEYS = {
    *("instance_id", "owner_id", "version", "election", "role", "leader", "term", "provider"),
    *("fenced", "paused", "dry_run", "uptime_seconds", "port", "loadbalancers"),
    *("pending_changes", "held_changes", "stale", "attention"),
}
ENDPOINT_KEYS = {
    *("lb", "endpoint", "address", "state", "override", "published", "since", "votes", "reason"),
}
CHANGE_KEYS = {
    *("id", "zone", "name", "type", "before", "after", "ttl", "reason", "state", "created_at"),
    *("not_before", "attempts", "error", "applied_at", "published_at"),
}
MEMBER_KEYS = {
    "reached",
    *("id", "address", "suffrage", "role", "self", "last_contact_seconds", "match_index", "lag"),
    *("version", "config_digest"),
}


def endpoints_of(status: Status, **only: str) -> list[dict[str, object]]:
    found = decode(b"".join(endpoint_pieces(status, NOW, None, **only)))
    assert isinstance(found, list)
    return found


def test_a_status_has_the_contract_s_shape() -> None:
    status = picture(
        lb("a.example.org", ep("tcp://192.0.2.1:80")),
        lb("b.example.org", ep("tcp://192.0.2.2:80", "down"), state="down"),
        lb("c.example.org", ep("tcp://192.0.2.3:80", "unknown"), state="unknown"),
        changes=(change(), change("c2", state="held"), change("c3", state="applied")),
        attention=(row(),),
    )
    message = views.status_message(INFO, status, ALONE, NOW)
    assert set(message) >= STATUS_KEYS
    assert message["loadbalancers"] == {
        "total": 3,
        "healthy": 1,
        "degraded": 0,
        "down": 1,
        "unknown": 1,
    }
    assert message["leader"] == {"id": "here", "address": ""}
    assert message["uptime_seconds"] == 3600.0
    assert (message["pending_changes"], message["held_changes"]) == (1, 1)
    assert (message["paused"], message["stale"], message["fenced"]) == (False, False, False)
    assert message["attention"] == [
        {
            "severity": "critical",
            "kind": "all-down",
            "subject": "www.example.org",
            "since": "2025-12-31T23:56:00Z",
            "sentence": "www.example.org is down: all endpoints are dead",
            "next": "dnslbctl why www.example.org",
        }
    ]
    assert [one["name"] for one in message["troubled"]] == ["b.example.org", "c.example.org"]
    assert decode(to_json(message)) == message


def test_without_a_leader_the_picture_is_stale() -> None:
    nobody = ClusterView("candidate", 7, None, ())
    message = views.status_message(INFO, picture(), nobody, NOW)
    assert (message["leader"], message["stale"], message["term"]) == (None, True, 7)


def test_a_status_looks_at_no_endpoint() -> None:
    def draw() -> tuple[()]:
        raise AssertionError("ten thousand endpoints would be drawn for one status")

    status = picture(lb("a.example.org", ep("tcp://192.0.2.1:80")))
    lazy = replace(status.loadbalancers["a.example.org"], draw=draw, state="down")
    status = replace(status, loadbalancers={"a.example.org": lazy})
    assert views.status_message(INFO, status, ALONE, NOW)["endpoints"] == {"total": 1, "living": 1}


def test_the_troubled_are_listed_worst_first_and_not_without_end() -> None:
    one = ep("tcp://192.0.2.1:80")
    many = [lb(f"n{i:02}.example.org", one, state="degraded") for i in range(40)]
    worst = lb("z.example.org", one, state="down")
    frozen = lb("y.example.org", one, state="unknown", frozen="a defect")
    message = views.status_message(INFO, picture(*many, worst, frozen), ALONE, NOW)
    names = [summary["name"] for summary in message["troubled"]]
    assert names[:3] == ["y.example.org", "z.example.org", "n00.example.org"]
    assert len(names) == views.TROUBLED_MAX


def test_endpoints_have_the_contract_s_shape() -> None:
    override = Override(
        "www.example.org", "tcp://192.0.2.2:80", "drain", "kernel", "kim", WALL, WALL + 60
    )
    status = picture(
        lb(
            "www.example.org",
            ep("tcp://192.0.2.1:80"),
            ep("tcp://192.0.2.2:80", "down", override=override),
        )
    )
    first, second = endpoints_of(status)
    assert set(first) >= ENDPOINT_KEYS
    assert first["endpoint"] == "tcp://192.0.2.1:80"
    assert first["since"] == "2025-12-31T23:59:00Z"
    assert first["votes"] == {
        name: {"vote": "up", "age_seconds": 2.0, "message": ""} for name in ("a1", "a2", "a3")
    }
    assert second["votes"]["a1"]["message"] == "connection refused"  # type: ignore[index]
    assert second["override"] == {
        "kind": "drain",
        "reason": "kernel",
        "by": "kim",
        "expires_at": "2026-01-01T00:01:00Z",
    }


def test_endpoints_can_be_narrowed() -> None:
    status = picture(
        lb("a.example.org", ep("tcp://192.0.2.1:80"), ep("http://192.0.2.2:8080/ready")),
        lb("b.example.org", ep("tcp://192.0.2.1:80")),
    )
    assert [e["lb"] for e in endpoints_of(status, called="192.0.2.1")] == [
        "a.example.org",
        "b.example.org",
    ]
    assert [e["lb"] for e in endpoints_of(status, called="192.0.2.1", lb="b.example.org")] == [
        "b.example.org"
    ]
    assert len(endpoints_of(status, called="192.0.2.2:8080")) == 1
    assert endpoints_of(status, called="192.0.2.9") == []


@pytest.mark.parametrize("number", [0, 1, 149, 150, 151, 450])
def test_pieces_join_to_json_whatever_their_number(number: int) -> None:
    rows = [ep(f"tcp://10.0.{i >> 8}.{i & 255}:80") for i in range(number)]
    status = picture(lb("www.example.org", *rows)) if rows else picture()
    found = endpoints_of(status)
    assert [e["endpoint"] for e in found] == [e.endpoint.label for e in rows]
    assert decode(b"".join(list_pieces(range(number), 150))) == list(range(number))


def test_a_silent_agent_votes_unknown_and_the_message_says_why() -> None:
    status = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
    stale = replace(status.agents[0], fresh=False, seen_mono=NOW.mono - 100)
    never = replace(status.agents[1], fresh=False, seen_mono=None, report=None)
    status = replace(status, agents=(stale, never, status.agents[2]))
    votes = endpoints_of(status)[0]["votes"]
    assert votes == {
        "a1": {
            "vote": "unknown",
            "age_seconds": 100.0,
            "message": "no fresh report; its last word was up",
        },
        "a2": {"vote": "unknown", "age_seconds": None, "message": "no report yet"},
        "a3": {"vote": "up", "age_seconds": 2.0, "message": ""},
    }
    view = status.loadbalancers["www.example.org"].endpoints[0]
    assert Votes(status, NOW).letters(view) == "??u"


def test_votes_of_an_older_list_are_found_by_monitor() -> None:
    status = picture(
        lb("www.example.org", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.2:80", "down"))
    )
    # This agent still answers a list in another order, which lacks the first monitor.
    older = MonitorList(
        (Monitor.from_url("tcp://192.0.2.9:80"), Monitor.from_url("tcp://192.0.2.2:80"))
    )
    slow = agent("a1", older, bytes([UP, DOWN]))
    status = replace(status, agents=(slow, *status.agents[1:]))
    first, second = endpoints_of(status)
    assert first["votes"]["a1"]["vote"] == "unknown"  # type: ignore[index]
    assert first["votes"]["a1"]["message"] == "not checked yet"  # type: ignore[index]
    assert second["votes"]["a1"]["vote"] == "down"  # type: ignore[index]
    views_ = status.loadbalancers["www.example.org"].endpoints
    assert [Votes(status, NOW).letters(view) for view in views_] == ["?uu", "ddd"]


def test_changes_have_the_contract_s_shape() -> None:
    message = views.change_message(
        change(applied_wall=WALL, plan_id="p1", not_before_wall=None, error=None)
    )
    assert set(message) >= CHANGE_KEYS
    assert (message["name"], message["type"]) == ("www.example.org", "A")
    assert (message["applied_at"], message["published_at"]) == ("2026-01-01T00:00:00Z", None)


def test_ended_changes_are_shown_for_an_hour() -> None:
    assert views.is_shown(change(state="held", created_wall=0.0), NOW)
    assert views.is_shown(change(state="applied", applied_wall=WALL - 3599), NOW)
    assert not views.is_shown(change(state="applied", applied_wall=WALL - 3601), NOW)
    assert not views.is_shown(change(state="superseded"), NOW)


def test_members_have_the_contract_s_shape() -> None:
    (message,) = views.member_messages(ALONE)
    assert set(message) == MEMBER_KEYS
    assert message["self"] is True
    assert message["last_contact_seconds"] is None


def test_everything_that_people_said_is_listed() -> None:
    operator = OperatorState(
        overrides={
            ("www.example.org", "tcp://192.0.2.1:80"): Override(
                "www.example.org", "tcp://192.0.2.1:80", "force-up", "r", "kim", WALL
            )
        },
        pauses={"": Pause("", "move", "lee", WALL, WALL + 60)},
        approvals={"h1": Approval("h1", "kim", WALL)},
        dropped={"h2": Approval("h2", "kim", WALL)},
        deletions={"old.example.org": Approval("old.example.org", "kim", WALL)},
    )
    orders = views.order_messages(picture(operator=operator))
    assert [(order["kind"], order["subject"]) for order in orders] == [
        ("force-up", "tcp://192.0.2.1:80"),
        ("pause", "all DNS changes"),
        ("approve", "h1"),
        ("drop", "h2"),
        ("delete", "old.example.org"),
    ]
    assert orders[1]["expires_at"] == "2026-01-01T00:01:00Z"


def test_an_event_s_own_fields_never_hide_the_common_ones() -> None:
    message = views.event_message(7, entry("text", kind="lie", lb="www.example.org"))
    assert message == {
        "seq": 7,
        "at": "2026-01-01T00:00:00Z",
        "kind": "verdict",
        "message": "text",
        "lb": "www.example.org",
    }


def test_what_json_has_no_word_for_becomes_text() -> None:
    assert to_json({"a": "\ud800", "b": object}).startswith(b'{"a":"?"')
