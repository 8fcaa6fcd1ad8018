"""Wires that find each other in memory, and peers that a test plays by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from dnslb.election.raft import wire as wire_module
from dnslb.election.raft.frames import (
    MAGIC,
    FrameReader,
    Hello,
    Identity,
    Rebuff,
    greeting_frame,
)
from dnslb.election.raft.messages import (
    MESSAGE_BYTES_MAX,
    Message,
)
from dnslb.election.raft.wire import Wire
from tests.election.raft.stage import configuration

SETTLED_S = 0.01


@dataclass
class Driver:
    """Remembers what the wire told it."""

    us: Identity
    told: list[tuple[str, object]] = field(default_factory=list)
    rebuffs: list[Rebuff] = field(default_factory=list)

    def identity(self) -> Identity:
        return self.us

    def connected(self, peer: str, hello: Hello) -> None:
        self.told.append(("connected", peer))

    def disconnected(self, peer: str) -> None:
        self.told.append(("disconnected", peer))

    def receive(self, peer: str, message: Message) -> None:
        self.told.append((peer, message))

    def refused(self, peer: str, rebuff: Rebuff) -> None:
        self.told.append(("refused", rebuff.sentence))
        self.rebuffs.append(rebuff)

    def sentences(self) -> list[str]:
        return [str(what) for kind, what in self.told if kind == "refused"]


def identity(one: str) -> Identity:
    return Identity(one, "ab", "c1", 1, configuration("abc"))


@dataclass
class Network:
    """Wires by the address that they answer at; a dial makes a pair of streams."""

    nursery: trio.Nursery
    wires: dict[str, Wire] = field(default_factory=dict)
    drivers: dict[str, Driver] = field(default_factory=dict)
    dialled: list[tuple[str, str]] = field(default_factory=list)
    streams: list[trio.abc.Stream] = field(default_factory=list)

    async def add(self, one: str, **prove: wire_module.Prove) -> Wire:
        driver = Driver(identity(one))

        async def dial(address: str) -> trio.abc.Stream:
            self.dialled.append((one, address))
            await trio.lowlevel.checkpoint()
            if address not in self.wires:
                raise ConnectionRefusedError(111, "Connection refused")
            ours, theirs = trio.testing.memory_stream_pair()
            self.streams.append(ours)
            self.nursery.start_soon(self.wires[address].accept, theirs)
            return ours

        made = Wire(driver, dial=dial, luck=random.Random(1), **prove)
        await self.nursery.start(made.run)
        self.wires[one], self.drivers[one] = made, driver
        return made


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    async with trio.open_nursery() as nursery:
        yield Network(nursery)
        nursery.cancel_scope.cancel()


async def raw(
    made: Wire, nursery: trio.Nursery, one: str, *, to: str = "a", incarnation: str = "ab"
) -> trio.abc.Stream:
    """A peer played by hand, greeted."""
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(made.accept, theirs)
    hello = Hello(one, to, "c1", incarnation, 1)
    await ours.send_all(MAGIC + greeting_frame(hello))
    return ours


async def read_frame(stream: trio.abc.Stream) -> bytes:
    reader = FrameReader(MESSAGE_BYTES_MAX)
    while (data := reader.next_frame()) is None:
        got = await stream.receive_some()
        assert got, "the stream ended"
        reader.feed(got)
    return data
