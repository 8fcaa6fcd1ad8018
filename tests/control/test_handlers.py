"""The paths: what each answers, and what wrong requests are told. No sockets."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import trio

from dnslb.control.handlers import WATCHERS_MAX, Handlers
from dnslb.control.votes import RoundTrip
from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterView
from dnslb.model.command import Command, CommandReply
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Monitor
from dnslb.net.clock import Clock, FakeClock
from dnslb.net.http_message import Request, Response
from dnslb.net.peer import Peer, UnixCredentials
from dnslb.net.tls import CertificateNames
from tests.doubles.operations import INFO, NOW, WALL, Shown, change, entry, ep, lb, picture

STATUS = picture(
    lb("www.example.org", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.2:80", "down")),
    lb("api.example.org", ep("tcp://192.0.2.1:80")),
    changes=(change(), change("old", state="applied", applied_wall=WALL - 9999)),
)
ME = Peer(credentials=UnixCredentials(1, os.getuid(), os.getgid()))


class StillClock(Clock):
    def now(self) -> Now:
        return NOW


def handlers(shown: Shown) -> Handlers:
    return Handlers(shown, shown, INFO, StillClock())


async def body_of(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([part async for part in response.body])


async def ask(
    shown: Shown, target: str, body: object = None, *, method: str = "", peer: Peer = ME
) -> tuple[int, Any]:
    """Status and decoded answer; every answer must be JSON and say who gave it."""
    path, _, query = target.partition("?")
    request = Request(
        method or ("GET" if body is None else "POST"),
        path,
        query,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        peer=peer,
    )
    response = await handlers(shown)(request)
    assert ("Dnslb-Version", "0.1.0") in response.headers
    assert "Dnslb-Time" in dict(response.headers)
    assert response.content_type == "application/json"
    return response.status, json.loads(await body_of(response))


def timed(round_trip_s: RoundTrip, clock: Clock) -> Handlers:
    """Of the instance whose agent is a2."""
    shown, info = Shown(STATUS), replace(INFO, instance_id="a2")
    return Handlers(shown, shown, info, clock, round_trip_s=round_trip_s)


async def test_only_the_own_agent_s_vote_has_a_round_trip() -> None:
    def round_trip_s(monitor: Monitor) -> float | None:
        return 0.0123456789 if monitor.host == "192.0.2.1" else None

    async def votes(path: str) -> Any:
        response = await timed(round_trip_s, StillClock())(Request("GET", path, "", peer=ME))
        value = json.loads(await body_of(response))
        return [one["votes"] for one in (value["endpoints"] if "why" in path else value)]

    of_endpoints = await votes("/v1/endpoints")
    for first, second in (of_endpoints[:2], await votes("/v1/why/www.example.org")):
        assert first["a2"]["round_trip_seconds"] == 0.012346
        others = (first["a1"], first["a3"], *second.values())
        assert all("round_trip_seconds" not in vote for vote in others)


async def test_round_trips_never_reach_who_watches(autojump_clock: trio.abc.Clock) -> None:
    asked: list[Monitor] = []

    def round_trip_s(monitor: Monitor) -> float:
        asked.append(monitor)
        return float(len(asked))

    request = Request("GET", "/v1/watch", "", peer=ME)
    body = (await timed(round_trip_s, FakeClock())(request)).body
    assert isinstance(body, AsyncGenerator)
    told = b""
    with trio.fail_after(10):
        async with aclosing(body) as pieces:
            while told.count(b"event: delta") < 3:
                told += await anext(pieces)
    assert b"192.0.2.1" in told
    assert b"round_trip" not in told
    assert asked == []


async def test_looking() -> None:
    shown = Shown(STATUS)
    status, value = await ask(shown, "/v1/status")
    assert (status, value["instance_id"], value["role"]) == (200, "here", "leader")
    assert (await ask(shown, "/v1/members"))[1][0]["id"] == "here"
    assert len((await ask(shown, "/v1/endpoints"))[1]) == 3
    assert [e["lb"] for e in (await ask(shown, "/v1/endpoints?lb=API.example.org."))[1]] == [
        "api.example.org"
    ]
    assert len((await ask(shown, "/v1/endpoints?called=192.0.2.1"))[1]) == 2
    assert [c["id"] for c in (await ask(shown, "/v1/changes"))[1]] == ["c0ffee01"]
    assert len((await ask(shown, "/v1/changes?all=1"))[1]) == 2
    assert (await ask(shown, "/v1/overrides"))[1] == []
    why = (await ask(shown, "/v1/why/www.example.org"))[1]
    assert (why["name"], len(why["endpoints"])) == ("www.example.org", 2)
    assert (await ask(shown, "/v1/why/www.example.org?at=5m"))[1]["endpoints"] == []


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        ("/", 404, "there is no / here: this API is /v1"),
        ("/v2/status", 404, "there is no /v2/status here"),
        ("/v1/why", 404, "there is no /v1/why here"),
        ("/v1/why/", 400, "this is empty"),
        ("/v1/why/a/b", 400, "/v1/why/NAME was expected"),
        ("/v1/why/nobody.example.org", 404, "there is no load balancer nobody.example.org"),
        ("/v1/why/%20", 400, "a DNS name was expected"),
        ("/v1/why/www.example.org?at=x", 400, "no time such as"),
        ("/v1/why/www.example.org?at=1d", 404, "no decision about www.example.org is kept"),
        ("/v1/endpoints?lb=nobody", 404, "there is no load balancer nobody"),
        ("/v1/changes?all=yes", 400, "all: 0 or 1"),
        ("/v1/events?after=-1", 400, "after: a whole number"),
        ("/v1/events?follow=%FF", 400, "query cannot be read"),
    ],
)
async def test_wrong_questions_get_a_sentence(target: str, status: int, sentence: str) -> None:
    found, value = await ask(Shown(STATUS), target)
    assert (found, sentence in value["error"]) == (status, True), value


async def test_a_wrong_method_gets_a_sentence() -> None:
    status, value = await ask(Shown(STATUS), "/v1/status", {})
    assert (status, value["error"]) == (405, "Only GET, HEAD can be done here.")
    assert (await ask(Shown(STATUS), "/v1/commands"))[0] == 405


# ------------------------------------------------------------------------------------ commands


async def test_a_command_is_carried_out_in_the_name_of_the_user() -> None:
    shown = Shown(STATUS, answer=CommandReply(True, ("one", "two")))
    request = {"kind": "drain", "subjects": ["192.0.2.1"], "reason": "r", "timeout": 3}
    assert await ask(shown, "/v1/commands", request) == (
        200,
        {"ok": True, "sentences": ["one", "two"]},
    )
    me = pwd.getpwuid(os.getuid()).pw_name
    assert shown.commands == [(Command("drain", ("192.0.2.1",), me, "r"), 3.0)]


async def test_nobody_says_who_they_are() -> None:
    shown = Shown(STATUS)
    status, value = await ask(shown, "/v1/commands", {"kind": "sync", "by": "root"})
    assert (status, shown.commands) == (400, [])
    assert "unknown key 'by'" in value["error"]


@pytest.mark.parametrize(
    ("peer", "by"),
    [
        (Peer(credentials=UnixCredentials(1, 4_000_000_000, 1)), "uid 4000000000"),
        (Peer(address=("192.0.2.9", 1)), "192.0.2.9:1"),
        (Peer(certificate=CertificateNames("ops-1", ())), "ops-1"),
    ],
)
async def test_others_are_named_as_far_as_they_are_known(peer: Peer, by: str) -> None:
    shown = Shown(STATUS)
    await ask(shown, "/v1/commands", {"kind": "sync"}, peer=peer)
    assert shown.commands[0][0].by == by


async def test_a_directory_of_users_that_hangs_delays_no_command_for_long(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    async def hang(*arguments: object, **options: object) -> str:
        await trio.sleep(3600)
        return "late"

    monkeypatch.setattr(trio.to_thread, "run_sync", hang)
    shown = Shown(STATUS)
    with trio.fail_after(2):
        await ask(shown, "/v1/commands", {"kind": "sync"})
    assert shown.commands[0][0].by == f"uid {os.getuid()}"


async def test_a_refusal_is_a_conflict_with_its_sentence() -> None:
    shown = Shown(STATUS, answer=CommandRefused("that is the last living endpoint"))
    assert await ask(shown, "/v1/commands", {"kind": "sync"}) == (
        409,
        {"error": "that is the last living endpoint", "kind": "refused"},
    )
    shown.answer = CommandReply(False, ("not within the time",))
    assert (await ask(shown, "/v1/commands", {"kind": "sync"}))[0] == 409


async def test_without_a_leader_nothing_is_asked_of_anybody() -> None:
    shown = Shown(STATUS, members=ClusterView("candidate", 3, None, ()))
    status, value = await ask(shown, "/v1/commands", {"kind": "sync"})
    assert (status, value["kind"], shown.commands) == (503, "no-leader", [])


async def test_raft_commands_are_the_cluster_s_to_answer() -> None:
    shown = Shown(STATUS)
    status, value = await ask(shown, "/v1/raft", {"command": "leader"})
    assert (status, value["error"]) == (
        409,
        "leader: this instance is a singleton and has no members",
    )
    assert shown.cluster_commands[0].by == pwd.getpwuid(os.getuid()).pw_name


# -------------------------------------------------------------------------------------- events


async def lines_of(shown: Shown, target: str) -> list[dict[str, Any]]:
    path, _, query = target.partition("?")
    response = await handlers(shown)(Request("GET", path, query))
    assert response.content_type == "application/x-ndjson"
    return [json.loads(line) for line in (await body_of(response)).splitlines()]


async def test_events_are_numbered_over_all_that_were_ever_written() -> None:
    shown = Shown(STATUS)
    for number in range(1, 501):
        shown.say(entry(f"event {number}"), kept_max=300)
    found = await lines_of(shown, "/v1/events")
    assert [one["seq"] for one in found] == list(range(201, 501))
    assert found[0]["message"] == "event 201"
    assert [one["seq"] for one in await lines_of(shown, "/v1/events?after=498")] == [499, 500]
    assert await lines_of(shown, "/v1/events?after=500") == []
    # A number from before a restart of the daemon: everything is new.
    assert len(await lines_of(shown, "/v1/events?after=501")) == 300


async def test_followed_events_come_as_they_happen(autojump_clock: trio.abc.Clock) -> None:
    shown = Shown(STATUS, entries=(entry("first"),))
    closing = trio.Event()
    request = Request("GET", "/v1/events", "follow=1", closing=closing)
    response = await handlers(shown)(request)
    assert not isinstance(response.body, bytes)
    stream = aiter(response.body)
    assert b'"first"' in await anext(stream)
    assert await anext(stream) == b"\n", "a heartbeat tells quiet from dead"
    shown.say(entry("second"))
    assert b'"second"' in await anext(stream)
    closing.set()
    shown.say(entry("last"))
    assert [part async for part in stream] != [], "what happened before the end is told"


# --------------------------------------------------------------------------------------- watch


async def test_not_everybody_can_watch_at_once() -> None:
    answering = handlers(Shown(STATUS))
    open_streams = []
    for _ in range(WATCHERS_MAX):
        response = await answering(Request("GET", "/v1/watch"))
        assert not isinstance(response.body, bytes)
        open_streams.append(response.body)
        await anext(aiter(response.body))
    refused = await answering(Request("GET", "/v1/watch"))
    assert refused.status == 503
    assert b"watching already" in await body_of(refused)
    await open_streams.pop().aclose()  # type: ignore[attr-defined]
    assert (await answering(Request("GET", "/v1/watch"))).status == 200
    for stream in open_streams:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_the_loop_turns_while_endpoints_are_looked_through() -> None:
    many = picture(*(lb(f"n{i}.example.org", ep(f"tcp://10.0.0.{i}:80")) for i in range(1, 200)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        # None matches, so nothing is sent, which would be a turn of its own.
        assert (await ask(Shown(many), "/v1/endpoints?called=192.0.2.250"))[1] == []
        nursery.cancel_scope.cancel()
    assert turns >= 100
