"""The demo's script: what happens to the endpoints and agents, and what an operator does.

Each act says what it does and then lets the daemon do the rest; it waits for nothing but time, so
what is seen is what the daemon made of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from dnslb.daemon.demo.screen import Screen
from dnslb.daemon.demo.stage import AGENTS, Agent, Endpoint
from dnslb.daemon.instance import Instance
from dnslb.errors import CommandRefused
from dnslb.model.command import Command, CommandKind

_REPLY_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays. ``noted``: called when something is done that DNS should follow."""

    instance: Instance
    endpoints: list[Endpoint]
    far_agent: Agent
    nursery: trio.Nursery
    screen: Screen
    noted: Callable[[], None]


Act = Callable[[Cast], Awaitable[None]]


async def crash(cast: Cast) -> None:
    victim = cast.endpoints[1]
    cast.screen.act(f"{victim.address} crashes")
    cast.noted()
    victim.die()


async def recover(cast: Cast) -> None:
    cast.screen.act(f"{cast.endpoints[1].address} is started again")
    cast.noted()
    await cast.endpoints[1].start(cast.nursery)


async def cut_link(cast: Cast) -> None:
    cast.screen.act(f"the network of the agent {AGENTS[2]} breaks: it sees everything down")
    await cast.far_agent.set_cut(True)
    await trio.sleep(2)
    cast.screen.reply(("one agent of three never decides alone: nothing changes in DNS",))


async def mend_link(cast: Cast) -> None:
    cast.screen.act(f"the network of {AGENTS[2]} is mended")
    await cast.far_agent.set_cut(False)


async def drain(cast: Cast) -> None:
    address = cast.endpoints[0].address
    cast.screen.act(f'an operator: dnslbctl drain {address} --reason "new disk"')
    await _command(cast, "drain", address, "new disk")


async def clear(cast: Cast) -> None:
    address = cast.endpoints[0].address
    cast.screen.act(f"an operator: dnslbctl clear {address}")
    await _command(cast, "clear", address)


async def power_cut(cast: Cast) -> None:
    cast.screen.act("a power cut: three of the four endpoints die at once")
    cast.noted()
    for endpoint in cast.endpoints[1:]:
        endpoint.die()


async def approve(cast: Cast) -> None:
    held = [view for view in cast.instance.status.value.changes if view.state == "held"]
    if not held:
        return
    ids = [view.id for view in held]
    cast.screen.act(f"an operator has looked: dnslbctl approve {' '.join(ids)}")
    await _command(cast, "approve", *ids)


async def power_back(cast: Cast) -> None:
    cast.screen.act("the power is back")
    cast.noted()
    for endpoint in cast.endpoints[1:]:
        await endpoint.start(cast.nursery)


SCRIPT: tuple[tuple[float, Act], ...] = (
    (4.0, crash),
    (8.0, recover),
    (15.0, cut_link),
    (20.0, mend_link),
    (23.0, drain),
    (28.0, clear),
    (33.0, power_cut),
    (40.0, approve),
    (45.0, power_back),
)
"""Seconds from the beginning of a round, and what happens then."""
ROUND_S = 60.0


async def _command(cast: Cast, kind: CommandKind, *subjects: str) -> None:
    reason = subjects[1] if kind == "drain" else ""
    wanted = subjects[:1] if kind == "drain" else subjects
    command = Command(kind, wanted, by="the demo", reason=reason)
    try:
        reply = await cast.instance.operations.perform(command, _REPLY_S_MAX)
    except CommandRefused as refusal:
        cast.screen.reply((f"refused: {refusal}",))
        return
    cast.screen.reply(reply.sentences)
