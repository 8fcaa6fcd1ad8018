"""What only the instance that may write knows well: asked there, or marked as perhaps stale."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import trio

from dnslb.control.handlers import Handlers
from dnslb.control.led import Elsewhere
from dnslb.errors import CommandRefused, NoLeader
from dnslb.net.http_message import Request
from tests.control.test_handlers import ME, STATUS, StillClock, body_of
from tests.doubles.operations import INFO, Shown

ASKED: list[tuple[str, dict[str, str]]] = []


async def leader(path: str, parameters: Mapping[str, str]) -> bytes | None:
    await trio.lowlevel.checkpoint()
    ASKED.append((path, dict(parameters)))
    return b'["the leader\'s"]\n'


async def us(path: str, parameters: Mapping[str, str]) -> bytes | None:
    await trio.lowlevel.checkpoint()
    return None


async def nobody(path: str, parameters: Mapping[str, str]) -> bytes | None:
    await trio.lowlevel.checkpoint()
    raise NoLeader("no leader is known to here")


async def ask(elsewhere: Elsewhere, target: str) -> tuple[object, str | None]:
    shown = Shown(STATUS)
    handlers = Handlers(shown, shown, INFO, StillClock(), elsewhere)
    path, _, query = target.partition("?")
    response = await handlers(Request("GET", path, query, peer=ME))
    assert response.status == 200
    return json.loads(await body_of(response)), dict(response.headers).get("Dnslb-Stale")


@pytest.mark.parametrize("target", ["/v1/changes?all=1", "/v1/why/www.example.org"])
async def test_the_one_who_may_write_is_asked(target: str) -> None:
    ASKED.clear()
    assert await ask(leader, target) == (["the leader's"], None)
    path, _, query = target.partition("?")
    assert [(path, {"all": "1"} if query else {})] == ASKED
    ours, stale = await ask(us, target)
    assert ours != ["the leader's"]
    assert stale is None
    assert await ask(nobody, target) == (ours, "no leader is known to here")


async def test_what_is_ours_to_know_is_not_asked_elsewhere() -> None:
    ASKED.clear()
    for target in ("/v1/status", "/v1/endpoints", "/v1/overrides", "/v1/members"):
        await ask(leader, target)
    assert ASKED == []


async def test_another_instance_gets_our_own_answer() -> None:
    shown = Shown(STATUS)
    handlers = Handlers(shown, shown, INFO, StillClock(), leader)
    every = json.loads(await handlers.read("/v1/changes", {"all": "1"}))
    recent = json.loads(await handlers.read("/v1/changes", {}))
    assert len(every) > len(recent) > 0
    why = json.loads(await handlers.read("/v1/why/www.example%2Eorg", {}))
    assert why["name"] == "www.example.org"
    with pytest.raises(CommandRefused, match="no load balancer nowhere"):
        await handlers.read("/v1/why/nowhere.example", {})
    with pytest.raises(CommandRefused, match="0 or 1"):
        await handlers.read("/v1/changes", {"all": "x"})
