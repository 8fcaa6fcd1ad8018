"""Members' streams through the raft address: the door and the wire together, with real TLS."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dnslb.daemon.config import TlsPaths
from dnslb.daemon.raft_door import RaftDoor
from dnslb.daemon.verbs.authority import make_authority
from dnslb.election.raft.frames import MAGIC, Hello, greeting_frame
from dnslb.election.raft.messages import Ask, Outdated
from dnslb.election.raft.wire import GREETINGS_EACH_MAX, Wire, dial_tcp
from dnslb.errors import CommandRefused
from dnslb.metrics.counters import Counters
from dnslb.net.clock import wall_s
from tests.daemon.test_raft_door import GET, House, ask, config, dial, paths
from tests.election.raft.network import Driver, identity


class Member(House):
    """A door with a wire behind it. ``tells``: who it says that it is."""

    def __init__(self, name: str, tls: TlsPaths | None, tells: str = "") -> None:
        super().__init__(config(tls))
        self.door = RaftDoor(config(tls), name, Path("/run/dnslb/x.sock"), Counters())
        self.driver = Driver(identity(tells or name))
        self.wire = Wire(
            self.driver,
            dial=self.door.secured(dial_tcp),
            prove=self.door.prove,
            luck=random.Random(7),
        )

    async def wait_told(self, what: object) -> None:
        with trio.fail_after(10):
            while what not in self.driver.told:  # noqa: ASYNC110  # a double tells nobody
                await trio.sleep(0.002)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for member in members:
            await member.door.open()
            await nursery.start(member.wire.run)
            await nursery.start(member.door.serve, member.handlers, member.wire.accept)
        yield
        for member in members:
            member.door.shut()
        nursery.cancel_scope.cancel()
    for member in members:
        await member.door.aclose()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    make_authority(directory, 30, wall_s())
    return directory


@pytest.mark.parametrize("secured", [True, False])
async def test_members_speak_and_people_are_answered_at_one_port(pki: Path, secured: bool) -> None:
    one = Member("fra-1", paths(pki, "fra-1") if secured else None)
    two = Member("fra-2", paths(pki, "fra-2") if secured else None)
    async with running(one, two):
        two.wire.set_peers({"fra-1": one.address})
        await one.wait_told(("connected", "fra-2"))
        await two.wait_told(("connected", "fra-1"))
        one.wire.send("fra-2", Outdated(3))
        two.wire.send("fra-1", Ask(4, 5, 6))
        await one.wait_told(("fra-2", Ask(4, 5, 6)))
        await two.wait_told(("fra-1", Outdated(3)))
        stream = await (
            dial(one.address, paths(pki, "viewer", "viewer")) if secured else dial_tcp(one.address)
        )
        assert b" 200 " in await ask(stream, GET)


async def test_nobody_speaks_as_another_member(pki: Path) -> None:
    one = Member("fra-1", paths(pki, "fra-1"))
    liar = Member("fra-2", paths(pki, "fra-2"), tells="fra-3")
    async with running(one, liar):
        with pytest.raises(CommandRefused, match="is for 'fra-2', not for 'fra-3'"):
            await liar.wire.probe("fra-1", one.address)
        # Nor is anybody believed who answers at another's address.
        with pytest.raises(CommandRefused, match=r"does not prove that it is fra-3.*'fra-2'"):
            await one.wire.probe("fra-3", liar.address)
    assert one.driver.sentences() == ["the certificate of 'fra-2' is for 'fra-2', not for 'fra-3'"]


async def test_nobody_with_another_certificate_keeps_a_member_waiting(pki: Path) -> None:
    """From one address, as behind a NAT: who greets slowly is evicted by its own kind alone."""
    one = Member("fra-1", paths(pki, "fra-1"))
    greeting = MAGIC + greeting_frame(Hello("fra-2", "fra-1", "c1", "ab", 1))
    async with running(one):
        slow = await dial(one.address, paths(pki, "fra-2"))
        await slow.send_all(greeting[:-1])
        flood = []
        for _ in range(3 * GREETINGS_EACH_MAX):
            flood.append(await dial(one.address, paths(pki, "agent", "agent")))
            await flood[-1].send_all(MAGIC)
        with trio.fail_after(10), contextlib.suppress(trio.BrokenResourceError):
            assert await flood[0].receive_some() == b""
        await slow.send_all(greeting[-1:])
        await one.wait_told(("connected", "fra-2"))
        for stream in (slow, *flood):
            await trio.aclose_forcefully(stream)


async def test_the_one_who_dials_learns_why_it_is_refused(pki: Path, tmp_path: Path) -> None:
    make_authority(tmp_path, 30, wall_s())
    one = Member("fra-1", paths(pki, "fra-1"))
    foreign = paths(tmp_path, "fra-2")
    two = Member("fra-2", foreign)
    async with running(one, two):
        with pytest.raises(CommandRefused, match="the peer's certificate is refused: it comes"):
            await two.wire.probe("fra-1", one.address)
        # Trusting both sides' CA, it gets as far as being refused itself.
        assert foreign.ca is not None
        foreign.ca.write_bytes((pki / "ca.crt").read_bytes() + foreign.ca.read_bytes())
        with pytest.raises(CommandRefused, match="it does not know our CA"):
            await two.wire.probe("fra-1", one.address)
