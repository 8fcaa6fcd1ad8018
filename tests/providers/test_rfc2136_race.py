"""A writer that was stopped anywhere between its plan and its write, and resumes after another took
the fence, changes nothing: random runs against a real BIND, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import dns.update
import pytest
import trio

from dnslb.errors import FenceLost, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.model.plan import Plan
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.providers.rfc2136 import PreparedUpdate, Rfc2136Provider
from tests.providers.rfc2136_stage import ZONE, a, change, fence_of, plan, provider_on, records
from tests.system.named import Named, NamedZone, StartNamed

NAMES = tuple(f"n{i}.{ZONE}" for i in range(6))
Stop = Literal["planned", "prepared", "sending"]
Rival = Literal["successor", "next epoch", "stranger", "reset"]


@dataclass
class Run:
    """One of them: what is drawn from ``luck`` makes it what it is."""

    luck: random.Random
    server: Named
    old: Rfc2136Provider
    new: Rfc2136Provider
    stranger: Rfc2136Provider
    token: FencingToken

    async def go(self) -> FencingToken | None:
        """The token that is held in the end; None when the marker was removed."""
        stop: Stop = self.luck.choice(["planned", "prepared", "prepared", "sending"])
        rival: Rival = self.luck.choice(
            ["successor", "successor", "next epoch", "stranger", "reset"]
        )
        reading = await self.old.read(ZONE, frozenset(NAMES))
        stale = self.draw_plan(reading)
        if stop == "sending":
            return await self.race(stale)
        prepared = await self.old.prepare(stale, self.token) if stop == "prepared" else None
        held = await self.depose(rival)
        await self.edit(reading, stale)
        before, serial = await records(self.server), self.server.serial(ZONE)
        kind = ProviderRefusal if rival == "stranger" else FenceLost
        with pytest.raises(kind):
            await self.resume(stale, prepared)
        assert await records(self.server) == before
        assert self.server.serial(ZONE) == serial
        return held

    async def resume(self, stale: Plan, prepared: PreparedUpdate | None) -> None:
        prepared = prepared or await self.old.prepare(stale, self.token)
        try:
            await prepared.send()
        finally:
            await prepared.aclose()

    async def race(self, stale: Plan) -> FencingToken:
        """Write and take-over at the same instant: one comes first, and only then is the write
        done. What the new holder reads is what stays."""
        prepared = await self.old.prepare(stale, self.token)
        held, done = self.successor, False

        async def send() -> None:
            nonlocal done
            try:
                await prepared.send()
                done = True
            except FenceLost:
                pass

        async def take() -> ZoneReading:
            await fence_of(self.new).take(ZONE, held)
            return await self.new.read(ZONE, frozenset(NAMES))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for _ in range(self.luck.randrange(4)):
                await trio.lowlevel.checkpoint()
            seen = await take()
        await prepared.aclose()
        assert await self.new.read(ZONE, frozenset(NAMES)) == seen
        for planned in stale.changes:
            stands = seen.rrsets.get(planned.key)
            assert stands == (planned.after if done else planned.before)
        return held

    async def depose(self, rival: Rival) -> FencingToken | None:
        held = self.successor
        if rival == "reset":
            await fence_of(self.new).reset(ZONE)
            return None
        if rival == "stranger":
            held = held._replace(owner_id="x")
            await fence_of(self.stranger).take(ZONE, held, over="tests")
            return held
        if rival == "next epoch":
            held = held._replace(epoch=held.epoch + 1, term=0)
        await fence_of(self.new).take(ZONE, held)
        return held

    @property
    def successor(self) -> FencingToken:
        token = self.token
        return token._replace(term=token.term + 1, nonce=f"{self.luck.getrandbits(32):08x}")

    async def edit(self, reading: ZoneReading, stale: Plan) -> None:
        """The new holder may write before the old one resumes: the same, something else, or what
        makes the old one's RRset prerequisites true or false."""
        for planned in stale.changes:
            choice = self.luck.choice(["leave", "leave", "their plan", "other"])
            if choice != "leave":
                rrset = planned.after if choice == "their plan" else self.draw(planned.key)
                await change(self.server, edit_of(planned.key, rrset))

    def draw_plan(self, reading: ZoneReading) -> Plan:
        names = self.luck.sample(NAMES, self.luck.randint(1, len(NAMES)))
        keys = [RRsetKey(name, self.luck.choice(["A", "AAAA"])) for name in names]
        wanted = {key: self.draw(key) for key in keys}
        same = {key for key in keys if reading.rrsets.get(key) == wanted[key]}
        gone = tuple(k for k in keys if k in reading.rrsets and self.luck.random() < 0.2)
        after = [rrset for key, rrset in wanted.items() if key not in gone and key not in same]
        if not after and not gone:
            return self.draw_plan(reading)
        return plan(reading, *after, gone=gone)

    def draw(self, key: RRsetKey) -> RRset:
        prefix = "192.0.2." if key.rtype == "A" else "2001:db8::"
        values = self.luck.sample(range(1, 10), self.luck.randint(1, 4))
        return a(key.name, *(f"{prefix}{value}" for value in values))


def edit_of(key: RRsetKey, rrset: RRset | None) -> Callable[[dns.update.UpdateMessage], None]:
    def edit(update: dns.update.UpdateMessage) -> None:
        update.delete(f"{key.name}.", key.rtype)
        if rrset is not None:
            update.add(f"{key.name}.", rrset.ttl, key.rtype, *rrset.values)

    return edit


@pytest.mark.parametrize("runs", [50, pytest.param(1000, marks=pytest.mark.long)])
async def test_a_deposed_writer_changes_nothing(named: StartNamed, runs: int) -> None:
    server = named(NamedZone(ZONE, "n0 A 192.0.2.1\nn1 AAAA 2001:db8::1\n"))
    token = FencingToken("tests", 1, 1, "first")
    async with (
        provider_on(server) as old,
        provider_on(server) as new,
        provider_on(server, owner_id="x") as stranger,
    ):
        for seed in range(runs):
            await fence_of(old).reset(ZONE)
            await fence_of(old).take(ZONE, token)
            run = Run(random.Random(seed), server, old, new, stranger, token)
            try:
                assert await run.go() == await fence_of(new).read(ZONE)
            except BaseException as e:
                e.add_note(f"in the run of seed {seed}")
                raise
            token = token._replace(term=token.term + 1)
