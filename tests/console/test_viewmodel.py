"""The picture: whatever the daemon streams, in whatever order, it equals a fresh snapshot."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from dnslb.api.messages import WATCH_ROW
from dnslb.control.delta import Places, Sight, delta_between, snapshot_pieces
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.model.status import LoadBalancerView, Status
from dnslb.model.verdict import VerdictState
from dnslbctl.viewmodel import Picture, Row
from tests.control.test_watch import sight, turned
from tests.doubles.operations import NOW, change, ep, lb, picture


def balancer(number: int, luck: random.Random) -> LoadBalancerView:
    words: tuple[VerdictState, ...] = ("up", "up", "down", "unknown")
    states = [luck.choice(words) for _ in range(luck.randrange(1, 4))]
    rows = [ep(f"tcp://10.0.{number}.{i}:80", state) for i, state in enumerate(states, 1)]
    return lb(f"n{number}", *rows, state="healthy" if {*states} == {"up"} else "degraded")


def events(before: Sight, after: Sight, places: Places, seq: int) -> dict[str, Any]:
    delta = delta_between(before, after, places)
    if delta is None:
        return parsed(b"".join(snapshot_pieces(seq, after)))
    return parsed(b"".join(delta.pieces(seq)))


def parsed(event: bytes) -> dict[str, Any]:
    return json.loads(event.partition(b"data: ")[2])  # type: ignore[no-any-return]


def shown(found: Picture) -> object:
    """All of it, what is made from it included."""
    return (
        {name: (b.head, b.rows, b.ordered, b.urgency, b.living_count, b.living())
         for name, b in found.lbs.items()},
        [b.name for b in found.balancers()],
        [b.name for b in found.balancers(by_name=True)],
        {k: v for k, v in found.status.items() if k not in ("at", "revision", "uptime_seconds")},
        found.agents, found.members, found.changes, found.orders,
    )  # fmt: skip


def test_deltas_lead_where_a_snapshot_leads() -> None:
    luck = random.Random(7)
    status: Status = picture(*(balancer(i, luck) for i in range(5)))
    places = Places()
    list(places.learn(status))
    old = sight(status)
    found = Picture()
    assert not found.known
    found.apply(parsed(b"".join(snapshot_pieces(1, old))))
    deltas = 0
    for step in range(2, 120):
        lbs = dict(status.loadbalancers)
        names = [*lbs]
        match luck.randrange(5):
            case 0:  # another configuration
                name = luck.choice(names)
                views = [v for v in lbs.values() if v.name != name or len(lbs) < 3]
                views.append(balancer(luck.randrange(9, 15), luck))
                status = picture(*{v.name: v for v in views}.values())
                list(places.learn(status))
            case 1:
                votes = bytes(luck.choice((UP, DOWN, UNKNOWN)) for _ in status.monitors.monitors)
                status = turned(status, {luck.choice(("a1", "a2", "a3")): votes})
            case 2:
                view = lbs[luck.choice(names)]
                status = turned(
                    status, {}, **{view.name: replace(view, state="down", frozen="broken")}
                )
            case 3:
                states = ("pending", "held", "applied", "published")
                state = luck.choice(states)
                status = replace(status, changes=(change(state=state),))
            case 4:
                view = lbs[luck.choice(names)]
                rows = tuple(
                    e._replace(counts_as="dead", published=False) if luck.random() < 0.5 else e
                    for e in view.endpoints
                )
                turn = replace(view, draw=lambda rows=rows: rows)  # type: ignore[misc]
                status = turned(status, {}, **{view.name: turn})
        new = sight(status, step)
        event = events(old, new, places, step)
        deltas += "row" not in event
        found.apply(event)
        fresh = Picture()
        fresh.apply(parsed(b"".join(snapshot_pieces(1, new))))
        assert shown(found) == shown(fresh), step
        old = new
    assert deltas > 60, "most of it came as deltas"


def snapshot(status: Status) -> dict[str, Any]:
    return parsed(b"".join(snapshot_pieces(1, sight(status))))


def test_what_changed_is_told() -> None:
    status = picture(lb("a", ep("tcp://192.0.2.1:80")))
    found = Picture()
    told = found.apply(snapshot(status))
    assert told == {
        *("status", "agents", "members", "changes", "orders", "events", "rows", "names")
    }
    assert found.apply({"seq": 2, "at": "2026-01-01T00:00:01Z"}) == frozenset()
    assert found.now_s(2.5) == NOW.wall + 3.5
    assert found.apply({"seq": 3, "at": found.at, "gone": ["nobody"]}) == {"rows"}
    assert found.apply({"seq": 4, "at": found.at, "gone": ["a"]}) == {"rows", "names"}
    assert found.balancers() == []


def test_rows_are_read_by_the_names_of_their_fields() -> None:
    """A newer daemon may tell more, and in another order."""
    assert Row._fields == WATCH_ROW
    status = picture(lb("a", ep("tcp://192.0.2.1:80", "down")))
    plain = Picture()
    plain.apply(snapshot(status))
    for names in ([*WATCH_ROW, "new"], ["new", *reversed(WATCH_ROW)]):
        event = snapshot(status)
        values = {**dict(zip(WATCH_ROW, event["lbs"]["a"]["rows"][0], strict=True)), "new": 1}
        event["row"] = names
        event["lbs"]["a"]["rows"] = [[values[name] for name in names]]
        found = Picture()
        found.apply(event)
        assert found.lbs["a"].rows == plain.lbs["a"].rows


def test_the_most_urgent_comes_first() -> None:
    rows = [
        ep("tcp://192.0.2.1:80"),
        ep("tcp://192.0.2.2:80", "unknown"),
        ep("tcp://192.0.2.3:80", "down"),
    ]
    found = Picture()
    found.apply(snapshot(picture(lb("b", rows[0]), lb("a", *rows, state="degraded"))))
    assert [b.name for b in found.balancers()] == ["a", "b"]
    assert [id_[-4] for _, id_ in found.lbs["a"].ordered] == [*"321"]
    assert found.lbs["a"].living_count == 1
    assert found.find(("a", "tcp://192.0.2.3:80")) == found.lbs["a"].rows[2]


def test_an_address_lives_when_all_of_its_monitors_say_so() -> None:
    found = Picture()
    found.apply(snapshot(picture(lb("a", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.1:81", "down"),
                                    ep("tcp://192.0.2.2:80")))))  # fmt: skip
    balancer = found.lbs["a"]
    assert balancer.living() == {"192.0.2.2"}
    assert balancer.living(without=balancer.rows[2:]) == frozenset()


def test_events_go_on_over_a_snapshot_and_begin_anew_with_another_daemon() -> None:
    def event(seq: int, message: str) -> dict[str, object]:
        return {"seq": seq, "at": "2026-01-01T00:00:00Z", "kind": "k", "message": message}

    status = picture(lb("a", ep("tcp://192.0.2.1:80")))
    found = Picture()
    found.apply({**snapshot(status), "events": [event(1, "a"), event(2, "b")]})
    found.apply({"seq": 2, "at": found.at, "events": [event(3, "c")]})
    found.apply({**snapshot(status), "events": [event(3, "c"), event(4, "d")]})
    assert [one["message"] for one in found.events] == [*"abcd"]
    found.apply({**snapshot(status), "events": [event(1, "e"), event(2, "f"), event(3, "g")]})
    assert [one["message"] for one in found.events] == [*"efg"]


def test_a_snapshot_of_the_same_endpoints_keeps_what_is_the_same() -> None:
    rows = [ep(f"tcp://192.0.2.{i}:80") for i in range(1, 4)]
    found = Picture()
    found.apply(snapshot(picture(lb("a", *rows), lb("b", rows[0]))))
    kept, balancer = found.lbs["a"].rows[1], found.lbs["a"]
    rows[2] = ep("tcp://192.0.2.3:80", "down")
    assert "names" not in found.apply(snapshot(picture(lb("a", *rows), lb("b", rows[0]))))
    assert found.lbs["a"] is balancer
    assert balancer.rows[1] is kept
    assert balancer.rows[2].state == "down"
    assert balancer.ordered[0] == ("a", "tcp://192.0.2.3:80")
    assert "names" in found.apply(snapshot(picture(lb("a", *rows))))
    assert [*found.lbs] == ["a"]
