"""The console on a member over the network: TLS, an order, a redirection, a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.daemon.verbs.authority import Wish
from dnslb.net.tls import TlsFiles
from dnslbctl import cli
from dnslbctl.amember import AsyncMember
from dnslbctl.client import Failed, Unreached
from dnslbctl.remote import RemoteClient, watch_members
from dnslbctl.secure import Credentials
from tests.console.driving import Hands, driven
from tests.console.stage import CROWD, ENTRIES, RAFT
from tests.console.test_orders import drain, order
from tests.dnslbctl.members import Member, Pki, running
from tests.doubles.operations import Shown


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.member("fra-1", "127.0.0.1")
    made.issue(Wish("alice", "operator", ()))
    return made


@pytest.fixture
def member(tmp_path: Path, pki: Pki) -> Iterator[Member]:
    files = TlsFiles(*(pki.directory / name for name in ("ca.crt", "fra-1.crt", "fra-1.key")))
    found = Member(tmp_path / "s", files, shown=Shown(CROWD, ENTRIES, RAFT))
    with running(found):
        yield found


def alice(pki: Pki) -> Credentials:
    return Credentials(*(str(pki.directory / f) for f in ("ca.crt", "alice.crt", "alice.key")))


def test_watched_and_steered_over_tls(member: Member, pki: Pki) -> None:
    client = AsyncMember(RemoteClient(member.address, 10.0, alice(pki)))

    async def hand(hands: Hands) -> None:
        await drain(hands)
        await order(hands)
        await hands.until_shown("done", "Close")
        await hands.press("enter", "w")
        await hands.until_shown("dnslbctl why www.example.org", "in DNS  192.0.2.10")

    asyncio.run(driven(client, hand))
    ((found, _),) = member.shown.commands
    assert (found.kind, found.by) == ("drain", "alice")


def test_without_tls_an_order_goes_through_the_socket(tmp_path: Path) -> None:
    member = Member(tmp_path / "s", shown=Shown(CROWD, ENTRIES, RAFT))
    with running(member):
        client = AsyncMember(RemoteClient(member.address, 10.0))

        async def hand(hands: Hands) -> None:
            await drain(hands)
            await order(hands)
            await hands.until_shown("done", "Close")

        asyncio.run(driven(client, hand))
    assert len(member.shown.commands) == 1


def test_what_goes_wrong_is_told_as_by_the_verbs(member: Member, pki: Pki) -> None:
    async def why(client: RemoteClient) -> str:
        with pytest.raises(Unreached) as raised:
            async with aclosing(AsyncMember(client).watch()) as events:
                await anext(events)
        return str(raised.value)

    for credentials in (None, alice(pki)):
        nobody = RemoteClient("127.0.0.1:1", 10.0, credentials)
        told = asyncio.run(why(nobody))
        assert told.startswith("no daemon is reached: nobody listens at 127.0.0.1:1")
    wrong = RemoteClient(f"localhost:{member.port}", 10.0, alice(pki))
    assert "is for other host names" in asyncio.run(why(wrong))


def test_a_thread_s_failure_is_raised_where_it_is_awaited(member: Member, pki: Pki) -> None:
    client = AsyncMember(RemoteClient(member.address, 10.0, alice(pki)))
    with pytest.raises(Failed, match="there is no load balancer nobody"):
        asyncio.run(client.get("/why/nobody"))


def test_of_several_members_the_next_is_watched_when_one_goes_away(tmp_path: Path) -> None:
    """And the orders go there, too."""
    (tmp_path / "b").mkdir()
    first = Member(tmp_path / "s", shown=Shown(CROWD, ENTRIES, RAFT))
    second = Member(tmp_path / "b" / "s", shown=Shown(CROWD, ENTRIES, RAFT))
    with running(second), ExitStack() as stack:
        stack.enter_context(running(first))
        here, there = (RemoteClient(member.address, 10.0) for member in (first, second))
        client = AsyncMember(here, [there])

        async def hand(hands: Hands) -> None:
            assert hands.console.client.path == first.address
            await drain(hands)
            await asyncio.to_thread(stack.close)
            await hands.until(lambda: client.path == second.address and not hands.console.offline)
            await hands.until_shown("living 3 → 2")
            assert "disk swap" in hands.text, "the form is still there, with what was typed"
            await order(hands)
            await hands.until_shown("done", "Close")

        asyncio.run(driven(client, hand))
    assert (len(first.shown.commands), len(second.shown.commands)) == (0, 1)


def test_of_several_members_whoever_is_there_is_watched(tmp_path: Path) -> None:
    """Also while nobody leads: then a picture of the cluster is wanted most."""
    leaderless = replace(RAFT, role="candidate", leader=None)
    member = Member(tmp_path / "s", shown=Shown(CROWD, ENTRIES, leaderless))
    with running(member):
        call = cli.parse(["--leader", f"multi:///127.0.0.1:1,{member.address}"])
        found = watch_members(call, 10.0)
        assert found.path == member.address

        async def hand(hands: Hands) -> None:
            await hands.until_shown("NO LEADER", "Orders are refused.")

        asyncio.run(driven(found, hand))


def test_where_no_member_is_there_each_is_named_with_its_reason() -> None:
    with pytest.raises(Unreached) as raised:
        watch_members(cli.parse(["--leader", "multi:///127.0.0.1:1,127.0.0.1:2"]), 10.0)
    text = str(raised.value)
    assert text.startswith("no member of the cluster is reached:\n  127.0.0.1:1: nobody listens")
    assert "\n  127.0.0.1:2: nobody listens" in text
    with pytest.raises(Unreached, match=r"nobody listens at 127\.0\.0\.1:1"):
        watch_members(cli.parse(["--address", "127.0.0.1:1"]), 10.0)
