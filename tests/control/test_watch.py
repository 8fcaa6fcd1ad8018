"""The watch stream: whatever happens in whatever order, a reader's picture becomes the newest."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st

from dnslb.api.messages import WATCH_ROW
from dnslb.control.delta import Places, Sight, delta_between, snapshot_pieces
from dnslb.control.led import LedChanges
from dnslb.control.pieces import watch_head, watch_row
from dnslb.control.views import status_message
from dnslb.control.votes import Votes
from dnslb.control.watch import HEARTBEAT_S, LATE_S, PACE_S, Watchers
from dnslb.model.cluster import ClusterView
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.model.status import EndpointView, LoadBalancerView, Status
from dnslb.model.verdict import Verdict
from dnslb.net.clock import FakeClock
from tests.doubles.operations import ALONE, INFO, NOW, Shown, change, entry, ep, lb, picture


@dataclass
class Picture:
    """What a reader keeps: it knows nothing but the documented rules of the stream."""

    seq: int = 0
    kinds: list[str] = field(default_factory=list)
    lbs: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)

    def take(self, event: bytes) -> None:
        lines = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
        data = json.loads(lines["data"])
        assert data["seq"] == int(lines["id"]) == self.seq + 1
        self.seq = data["seq"]
        self.kinds.append(lines["event"])
        if lines["event"] == "snapshot":
            assert data["row"] == list(WATCH_ROW)
            self.lbs, self.other = {}, {}
        for key in ("status", "agents", "members", "changes", "orders"):
            if key in data:
                self.other[key] = data[key]
        self.events += [one["seq"] for one in data.get("events", ())]
        for name, new in data.get("lbs", {}).items():
            rows = new.get("rows", self.lbs.get(name, {}).get("rows"))
            self.lbs[name] = {**new, "rows": rows}
        for name, rows in data.get("rows", {}).items():
            for index, row in rows.items():
                self.lbs[name]["rows"][int(index)] = row
        for name in data.get("gone", ()):
            del self.lbs[name]


def truth(status: Status) -> dict[str, Any]:
    votes = Votes(status, NOW)
    shown = {
        name: {**watch_head(view), "rows": [watch_row(e, votes) for e in view.endpoints]}
        for name, view in status.loadbalancers.items()
    }
    return json.loads(json.dumps(shown))  # type: ignore[no-any-return]


def sight(status: Status, revision: int = 0) -> Sight:
    message = status_message(INFO, status, ALONE, NOW)
    return Sight(status, revision, ALONE, (), 0, message, NOW)


def turned(status: Status, votes: dict[str, bytes], **replaced: LoadBalancerView) -> Status:
    """The same monitors with other votes; views replaced by name."""
    agents = tuple(
        replace(agent, report=replace(agent.report, votes=votes[agent.name]))
        if agent.report is not None and agent.name in votes
        else agent
        for agent in status.agents
    )
    lbs = {name: replaced.get(name, view) for name, view in status.loadbalancers.items()}
    return replace(status, agents=agents, loadbalancers=lbs)


BASE = picture(
    *(
        lb(f"n{i}", *(ep(f"tcp://10.0.{i}.{j}:80") for j in range(1, 4)), ep("tcp://10.9.9.9:80"))
        for i in range(3)
    )
)
WORDS = st.sampled_from((UNKNOWN, UP, DOWN))


def given_(rows: tuple[EndpointView, ...]) -> Callable[[], tuple[EndpointView, ...]]:
    return lambda: rows


@st.composite
def successors(draw: st.DrawFn) -> Status:
    """Any status of the same configuration: views are new objects only where they differ."""
    size = len(BASE.monitors)
    votes = {
        name: bytes(draw(st.lists(WORDS, min_size=size, max_size=size)))
        for name in draw(st.sets(st.sampled_from(("a1", "a2", "a3"))))
    }
    status = turned(BASE, votes)
    lbs: dict[str, LoadBalancerView] = {}
    for name, view in BASE.loadbalancers.items():
        if draw(st.integers(0, 5)) == 0:
            continue  # it left the configuration
        rows = list(view.endpoints)
        for i in draw(st.sets(st.integers(0, len(rows) - 1))):
            ups = draw(st.integers(0, 3))
            rows[i] = rows[i]._replace(verdict=Verdict("unknown", ups, 3 - ups, 0))
        if draw(st.booleans()):
            rows = rows[:-1]
        sentence = draw(st.sampled_from((view.sentence, "one", "two")))
        made = tuple(rows) if rows != list(view.endpoints) else view.endpoints
        same = made is view.endpoints and sentence == view.sentence
        lbs[name] = view if same else replace(view, sentence=sentence, draw=given_(made))
    return replace(status, loadbalancers=lbs)


def told(old: Sight, new: Sight, places: Places) -> Any:
    found = delta_between(old, new, places)
    assert found is not None
    return json.loads(b"".join(found.pieces(1)).partition(b"data: ")[2])


@settings(max_examples=200)
@given(st.lists(successors(), max_size=4))
def test_applying_deltas_gives_the_newest_status(statuses: list[Status]) -> None:
    places, shown = Places(), Picture()
    old = sight(BASE)
    shown.take(b"".join(snapshot_pieces(1, old)))
    list(places.learn(BASE))
    for status in statuses:
        new = sight(status)
        found = delta_between(old, new, places)
        assert found is not None
        shown.take(b"".join(found.pieces(shown.seq + 1)))
        assert shown.lbs == truth(status)
        old = new


def test_votes_that_change_places_are_seen_though_no_view_changed() -> None:
    places = Places()
    list(places.learn(BASE))
    votes = bytes([UP] * len(BASE.monitors))
    swapped = turned(BASE, {"a1": bytes([DOWN]) + votes[1:]})
    found = told(sight(BASE), sight(swapped), places)
    assert [row[6] for row in found["rows"]["n0"].values()] == ["duu"]


def test_nothing_new_is_an_empty_delta() -> None:
    found = delta_between(sight(BASE), sight(replace(BASE, revision=9)), Places())
    assert found is not None
    assert found.is_empty
    assert told(sight(BASE), sight(replace(BASE, revision=9)), Places()).keys() == {"seq", "at"}


def test_one_turned_endpoint_is_one_row() -> None:
    places = Places()
    list(places.learn(BASE))
    view = BASE.loadbalancers["n1"]
    rows = (view.endpoints[0]._replace(published=False), *view.endpoints[1:])
    new = replace(
        BASE, loadbalancers={**BASE.loadbalancers, "n1": replace(view, draw=lambda: rows)}
    )
    found = told(sight(BASE), sight(new), places)
    assert {name: [*indexes] for name, indexes in found["rows"].items()} == {"n1": ["0"]}
    assert "lbs" not in found


@pytest.mark.parametrize("what", ["monitors", "freshness"])
def test_votes_that_cannot_be_compared_are_a_snapshot(what: str) -> None:
    places = Places()
    list(places.learn(BASE))
    new = BASE
    if what == "monitors":
        new = picture(*BASE.loadbalancers.values())
    else:
        new = replace(BASE, agents=(replace(BASE.agents[0], fresh=False), *BASE.agents[1:]))
    assert delta_between(sight(BASE), sight(new), places) is None


# --------------------------------------------------------------------------------- the stream


class Reader:
    """Reads whole events off a stream."""

    def __init__(self, stream: AsyncGenerator[bytes, None]) -> None:
        self.stream = stream
        self.picture = Picture()

    async def next(self) -> str:
        event = b""
        while not event.endswith(b"\n\n"):
            event += await anext(self.stream)
        self.picture.take(event)
        return self.picture.kinds[-1]


def watchers(shown: Shown) -> Watchers:
    clock = FakeClock()
    return Watchers(shown, shown, INFO, clock, LedChanges(None, shown, clock))


async def test_first_a_snapshot_then_heartbeats(autojump_clock: trio.abc.Clock) -> None:
    shown = Shown(BASE, entries=(entry(), entry()))
    watching = watchers(shown)
    async with aclosing(watching.stream(trio.Event())) as stream:
        reader = Reader(stream)
        assert await reader.next() == "snapshot"
        assert watching.count == 1
        assert reader.picture.lbs == truth(BASE)
        assert reader.picture.events == [1, 2]
        began_at = trio.current_time()
        for _ in range(3):
            assert await reader.next() == "delta"
        assert trio.current_time() - began_at == pytest.approx(3 * HEARTBEAT_S)
        assert reader.picture.lbs == truth(BASE)
    assert watching.count == 0


async def test_a_change_comes_at_once_but_not_faster_than_the_pace(
    autojump_clock: trio.abc.Clock,
) -> None:
    shown = Shown(BASE)
    async with aclosing(watchers(shown).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        began_at = trio.current_time()
        for number in range(1, 4):
            shown.show(replace(BASE, changes=(change(f"c{number}"),)))
            await reader.next()
            assert reader.picture.other["changes"][0]["id"] == f"c{number}"
        assert trio.current_time() - began_at == pytest.approx(3 * PACE_S)


async def test_what_happens_shows_with_the_next_heartbeat(autojump_clock: trio.abc.Clock) -> None:
    shown = Shown(BASE, entries=(entry(),))
    async with aclosing(watchers(shown).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        shown.say(entry("second"))
        shown.say(entry("third"))
        await reader.next()
        assert reader.picture.events == [1, 2, 3]


async def test_a_slow_reader_gets_the_newest_in_a_fresh_snapshot(
    autojump_clock: trio.abc.Clock,
) -> None:
    shown = Shown(BASE)
    async with aclosing(watchers(shown).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        for number in range(1, 50):
            shown.show(replace(BASE, changes=(change(f"c{number}"),)))
            await trio.sleep(LATE_S / 10)
        assert await reader.next() == "snapshot"
        assert reader.picture.other["changes"][0]["id"] == "c49"
        assert reader.picture.seq == 2


async def test_a_stream_ends_when_the_server_closes(autojump_clock: trio.abc.Clock) -> None:
    closing = trio.Event()
    watching = watchers(Shown(BASE))
    async with aclosing(watching.stream(closing)) as stream:
        reader = Reader(stream)
        await reader.next()
        closing.set()
        with pytest.raises(StopAsyncIteration):
            await reader.next()


async def test_a_stream_that_waits_ends_within_a_heartbeat(
    autojump_clock: trio.abc.Clock,
) -> None:
    closing = trio.Event()
    watching = watchers(Shown(BASE))
    async with aclosing(watching.stream(closing)) as stream:
        reader = Reader(stream)
        await reader.next()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.next)
            await trio.sleep(PACE_S * 2)
            closing.set()
            began_at = trio.current_time()
        with pytest.raises(StopAsyncIteration):
            await reader.next()
        assert trio.current_time() - began_at <= HEARTBEAT_S
    assert watching.count == 0


async def test_a_reload_is_a_snapshot_and_deltas_go_on_after_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    shown = Shown(BASE)
    async with aclosing(watchers(shown).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        other = picture(lb("new", ep("tcp://10.1.1.1:80"), ep("tcp://10.1.1.2:80")))
        shown.show(other)
        assert await reader.next() == "snapshot"
        shown.show(turned(other, {"a2": bytes([DOWN, UP])}))
        assert await reader.next() == "delta"
        assert [row[6] for row in reader.picture.lbs["new"]["rows"]] == ["udu", "uuu"]


class Ageing(Shown):
    """Shows a member whose contact is another age at each look."""

    def view(self) -> ClusterView:
        (us,) = ALONE.members
        other = replace(us, id="b", is_self=False, last_contact_s=trio.current_time() % 1)
        return replace(ALONE, members=(us, other))


async def test_ages_alone_are_told_with_the_heartbeat(autojump_clock: trio.abc.Clock) -> None:
    shown = Ageing(BASE)
    async with aclosing(watchers(shown).stream(trio.Event())) as stream:
        reader = Reader(stream)
        await reader.next()
        began_at, seen = trio.current_time(), []
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                while True:  # what nobody sees makes a new status ten times a second
                    shown.show(replace(shown.status.value, revision=shown.status.revision))
                    await trio.sleep(PACE_S)

            nursery.start_soon(work)
            for _ in range(3):
                await reader.next()
                seen.append(reader.picture.other["members"][1]["last_contact_seconds"])
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began_at >= 3 * HEARTBEAT_S
        assert len({*seen}) == 3
