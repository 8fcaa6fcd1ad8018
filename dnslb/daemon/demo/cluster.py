"""``dnslb demo --cluster``: three members, their leader dies, and DNS goes on being right.

The story only; the members are real daemons (`members.py`), the zone file is what they write.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from dnslb.daemon.demo.members import Member, Members
from dnslb.daemon.demo.screen import Screen
from dnslb.daemon.demo.stage import Endpoint
from dnslb.net.clock import mono_s

_TOLD = frozenset({"applied", "held", "write-failed", "zone-error", "frozen"})


@dataclass
class Company:
    """Who plays. ``noted``: called when something is done that DNS should follow; ``gone``: the
    member that was killed."""

    members: Members
    endpoints: list[Endpoint]
    nursery: trio.Nursery
    screen: Screen
    noted: Callable[[], None]
    zone: Path
    gone: Member | None = None


Act = Callable[[Company], Awaitable[None]]


async def crash(company: Company) -> None:
    victim = company.endpoints[1]
    company.screen.act(f"{victim.address} crashes")
    company.noted()
    victim.die()


async def kill_leader(company: Company) -> None:
    leader = await company.members.leader()
    victim = company.endpoints[2]
    company.screen.act(f"the leader, {leader.name}, dies (kill -9), and {victim.address} crashes")
    company.noted()
    await leader.kill()
    company.gone = leader
    victim.die()
    heir = await company.members.leader()
    company.screen.reply((f"{heir.name} leads now",))


async def mend(company: Company) -> None:
    company.screen.act("both endpoints are started again")
    company.noted()
    for endpoint in company.endpoints[1:3]:
        await endpoint.start(company.nursery)


async def start_again(company: Company) -> None:
    if company.gone is not None:
        company.screen.act(f"{company.gone.name} is started again")
        await company.gone.start()
        await company.gone.wait_ready()
        company.screen.reply((f"{company.gone.name} is a {await company.gone.role()}",))
        company.gone = None


async def freeze_leader(company: Company) -> None:
    """It goes on believing that it leads, and that all endpoints live."""
    leader = await company.members.leader()
    victim = company.endpoints[3]
    company.screen.act(f"the leader, {leader.name}, stands still; {victim.address} crashes")
    company.noted()
    leader.send_signal(signal.SIGSTOP)
    victim.die()
    heir = await company.members.leader(but=leader)
    company.screen.reply((f"{heir.name} leads now",))
    await trio.sleep(6)
    company.screen.act(f"{leader.name} goes on, and believes that it still leads")
    before = company.zone.read_bytes()
    leader.send_signal(signal.SIGCONT)
    await trio.sleep(1)
    wrote = "nothing" if company.zone.read_bytes() == before else "something, which is a defect"
    role = await leader.role()
    company.screen.reply((f"it is a {role} now, and has written {wrote}",))
    company.screen.act(f"{victim.address} is started again")
    company.noted()
    await victim.start(company.nursery)


async def hand_over(company: Company) -> None:
    leader = await company.members.leader()
    company.screen.act("an operator: dnslbctl raft leadership_transfer")
    company.screen.reply((await company.members.raft(leader, "leadership_transfer"),))


SCRIPT: tuple[tuple[float, Act], ...] = (
    (4.0, crash),
    (8.0, kill_leader),
    (16.0, mend),
    (20.0, start_again),
    (26.0, freeze_leader),
    (42.0, hand_over),
)
"""Seconds from the beginning of a round, and what happens then."""
ROUND_S = 50.0


async def perform(company: Company) -> None:
    """The script, again and again until the time is up."""
    began = mono_s()
    while True:
        for at_s, act in SCRIPT:
            await trio.sleep_until(began + at_s)
            await act(company)
        began = max(began + ROUND_S, mono_s())
        await trio.sleep_until(began)


async def tell(company: Company, member: Member) -> None:
    """What one member's log says of writes; of elections the story tells itself."""
    async for entry in member.follow_log():
        fields = entry.get("fields")
        if isinstance(fields, dict) and fields.get("event") in _TOLD:
            company.screen.said(member.name, str(entry.get("msg")))
