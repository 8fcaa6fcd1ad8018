"""The marker of a real BIND: who may take it, two at once, and what stands in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import dns.update
import pytest
import trio

from dnslb.errors import (
    FenceLost,
    InvalidValue,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.lease import FencingToken
from dnslb.ports.fence import Fence
from dnslb.providers import marker
from dnslb.providers.rfc2136 import Rfc2136Provider
from dnslb.providers.rfc2136_fence import Rfc2136Fence
from dnslb.providers.rfc2136_reading import ZoneReader
from dnslb.providers.rfc2136_wire import Update
from tests.providers.rfc2136_peer import Peer
from tests.providers.rfc2136_stage import (
    NEXT,
    TOKEN,
    WWW,
    ZONE,
    a,
    change,
    fence_of,
    provider_on,
    records,
    write,
)
from tests.system.named import KEY, POLICY, Named, NamedZone, StartNamed

MARKER = f"_dnslb.{ZONE}"
FOREIGN = FencingToken("theirs", 9, 9, "their-nonce")


async def markers(server: Named) -> list[str]:
    """What stands at the marker, of any type but signatures."""
    found = (line for line in await records(server) if line.startswith(f"{MARKER}. "))
    return [" ".join(line.split()[3:]) for line in found if " RRSIG " not in line]


def shown(token: FencingToken) -> list[str]:
    return [f'TXT "{marker.to_text(token)}"']


async def test_a_marker_is_taken_read_and_reset(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"))
    before = await records(server)
    async with provider_on(server) as provider:
        fence = fence_of(provider)
        assert await fence.read(ZONE) is None
        await fence.take(ZONE, TOKEN)
        assert await markers(server) == shown(TOKEN)
        assert await fence.read(ZONE) == TOKEN
        await fence.reset(ZONE)
        await fence.reset(ZONE)
        assert await fence.read(ZONE) is None
    assert await records(server) == before


async def test_what_is_held_already_is_not_written_again(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    async with provider_on(server, takes=TOKEN) as provider:
        serial = server.serial(ZONE)
        await fence_of(provider).take(ZONE, TOKEN)
        assert server.serial(ZONE) == serial


SUCCESSIONS = [
    (TOKEN, NEXT, True),
    (TOKEN, TOKEN._replace(epoch=2, term=0), True),
    (TOKEN, TOKEN._replace(nonce="another"), False),
    (NEXT, TOKEN, False),
    (TOKEN._replace(epoch=2, term=0), NEXT, False),
    (TOKEN._replace(term=0), TOKEN._replace(term=0, nonce="next run"), True),
]


@pytest.mark.parametrize(("held", "token", "follows"), SUCCESSIONS)
async def test_a_token_is_followed_only_by_a_newer_one(
    named: StartNamed, held: FencingToken, token: FencingToken, follows: bool
) -> None:
    server = named(NamedZone(ZONE))
    async with provider_on(server, takes=held) as provider:
        if follows:
            await fence_of(provider).take(ZONE, token)
        else:
            with pytest.raises(FenceLost):
                await fence_of(provider).take(ZONE, token)
        assert await markers(server) == shown(token if follows else held)


async def test_a_foreign_owner_is_refused_until_a_person_names_it(named: StartNamed) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"))
    async with provider_on(server, takes=FOREIGN) as provider:
        fence = fence_of(provider)
        for over in (None, "others", "tests"):
            with pytest.raises(ProviderRefusal, match=r"'theirs'.*dnslb adopt example\.org"):
                await fence.take(ZONE, TOKEN, over=over)
        with pytest.raises(ProviderRefusal, match="'theirs'"):
            await write(provider, a(WWW, "192.0.2.2"))
        assert await markers(server) == shown(FOREIGN)
        await fence.take(ZONE, TOKEN, over="theirs")
        assert await markers(server) == shown(TOKEN)
        await write(provider, a(WWW, "192.0.2.2"))


@pytest.mark.parametrize("held", [None, TOKEN])
async def test_of_many_takers_at_once_one_wins(
    named: StartNamed, held: FencingToken | None
) -> None:
    server = named(NamedZone(ZONE))
    tokens = [NEXT._replace(nonce=f"n{i}") for i in range(8)]
    won = []

    async def take(token: FencingToken) -> None:
        async with provider_on(server) as provider:
            try:
                await fence_of(provider).take(ZONE, token)
            except FenceLost:
                return
            won.append(token)

    if held is not None:
        async with provider_on(server, takes=held):
            pass
    async with trio.open_nursery() as nursery:
        for token in tokens:
            nursery.start_soon(take, token)
    assert len(won) == 1
    assert await markers(server) == shown(won[0])


Deed = Callable[[], Awaitable[None]]


def gatecrash(fence: Fence, deed: Deed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``deed`` happen between what ``fence`` reads and what it writes."""
    assert isinstance(fence, Rfc2136Fence)
    carry_out = fence._carry_out

    async def late(zone: str, update: Update) -> bool:
        await deed()
        return await carry_out(zone, update)

    monkeypatch.setattr(fence, "_carry_out", late)


async def test_a_marker_that_changes_after_it_was_read_is_not_overwritten(
    named: StartNamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = named(NamedZone(ZONE))
    later = NEXT._replace(term=3)
    async with provider_on(server, takes=TOKEN) as rival, provider_on(server) as provider:
        fence, theirs = fence_of(provider), fence_of(rival)
        with monkeypatch.context() as once:
            gatecrash(fence, partial(theirs.take, ZONE, NEXT), once)
            with pytest.raises(FenceLost, match="at the same moment"):
                await fence.take(ZONE, later)
        gatecrash(fence, partial(theirs.take, ZONE, later), monkeypatch)
        with pytest.raises(ProviderConflict, match="left as it is"):
            await fence.reset(ZONE)
    assert await markers(server) == shown(later)


NO_TOKENS = [
    ["v=spf1 -all"],
    [""],
    ["dnslb owner=tests epoch=1"],
    [marker.to_text(TOKEN), marker.to_text(NEXT)],
]


@pytest.mark.parametrize("texts", NO_TOKENS, ids=["foreign", "empty", "cut", "two"])
async def test_a_marker_that_is_no_token_is_never_taken_for_none(
    named: StartNamed, texts: list[str]
) -> None:
    server = named(NamedZone(ZONE, "www A 192.0.2.1\n"))

    def edit(update: dns.update.UpdateMessage) -> None:
        update.add(f"{MARKER}.", 60, "TXT", *(f'"{text}"' for text in texts))

    await change(server, edit)
    before = await records(server)
    async with provider_on(server) as provider:
        fence = fence_of(provider)
        for work in (
            fence.read(ZONE),
            fence.take(ZONE, TOKEN),
            fence.take(ZONE, TOKEN, over="theirs"),
            write(provider, a(WWW, "192.0.2.2")),
        ):
            with pytest.raises(ProviderRefusal, match=r"dnslb fence reset example\.org"):
                await work
        assert await records(server) == before
        await fence.reset(ZONE)
        await fence.take(ZONE, TOKEN)
    assert await markers(server) == shown(TOKEN)


async def test_an_alias_or_a_cut_at_the_marker_is_refused(named: StartNamed) -> None:
    server = named(
        NamedZone(ZONE, "_dnslb CNAME elsewhere.test.\n"),
        NamedZone("example.net", "_dnslb NS elsewhere.test.\n"),
        NamedZone("example.com", "* CNAME elsewhere.test.\n"),
    )
    async with provider_on(server) as provider:
        fence = fence_of(provider)
        with pytest.raises(ProviderRefusal, match=r"alias of elsewhere\.test.*remove the CNAME"):
            await fence.take(ZONE, TOKEN)
        with pytest.raises(ProviderRefusal, match=r"No marker can be kept in example\.net"):
            await fence.take("example.net", TOKEN)
        # A wildcard makes the answers, and stands in nobody's way.
        await fence.take("example.com", TOKEN)
        assert await fence.read("example.com") == TOKEN


async def test_a_policy_without_the_marker_says_which_grant_is_missing(named: StartNamed) -> None:
    options = 'update-policy { grant "dnslb-key." zonesub A AAAA; };'
    async with provider_on(named(NamedZone(ZONE, "", options))) as provider:
        with pytest.raises(ProviderRefusal, match=r'grant "dnslb-key." name _dnslb.example.org.'):
            await fence_of(provider).take(ZONE, TOKEN)


async def test_the_fence_of_signed_zones_is_read_as_it_is(named: StartNamed) -> None:
    options = POLICY + " dnssec-policy default; inline-signing yes;"
    server = named(NamedZone(ZONE, "", options))
    async with provider_on(server) as provider:
        for term in range(1, 30):
            token = NEXT._replace(term=term)
            await fence_of(provider).take(ZONE, token)
            assert await fence_of(provider).read(ZONE) == token


async def test_a_server_that_ends_while_the_fence_is_taken_leaves_it_open(
    mock_time: None, nursery: trio.Nursery, named: StartNamed
) -> None:
    """The answer to the marker's update is lost between named and us; named has carried it out."""
    server = named(NamedZone(ZONE))

    async def behave(peer: Peer, stream: trio.abc.Stream, wire: bytes) -> None:
        async with await trio.open_tcp_stream(*server.address) as upstream:
            await upstream.send_all(len(wire).to_bytes(2, "big") + wire)
            answer = await upstream.receive_some()
        if wire[2] >> 3 & 15 == 5 and wire[8:10] != b"\0\0":
            await stream.aclose()
        else:
            await stream.send_all(answer)

    link = Peer(nursery, behave).link(KEY)
    with pytest.raises(OutcomeUnknown, match="has to be read again"):
        await Rfc2136Fence(link, ZoneReader(link)).take(ZONE, TOKEN)
    assert await markers(server) == shown(TOKEN)


async def test_a_server_that_is_away_is_no_absent_marker(named: StartNamed) -> None:
    server = named(NamedZone(ZONE))
    async with provider_on(server, takes=TOKEN) as provider:
        await trio.to_thread.run_sync(server.stop)
        for work in (fence_of(provider).read(ZONE), fence_of(provider).take(ZONE, NEXT)):
            with pytest.raises(ProviderTemporary, match="cannot be reached"):
                await work


def test_an_owner_id_that_fits_into_no_marker_is_refused_at_once() -> None:
    for owner_id in ("", "x" * 200):
        with pytest.raises(InvalidValue):
            Rfc2136Provider(("127.0.0.1", 53), KEY, owner_id)
        Rfc2136Provider(("127.0.0.1", 53), KEY, owner_id, ownership=False)


async def test_a_zone_that_is_not_here_has_no_fence(named: StartNamed) -> None:
    async with provider_on(named(NamedZone(ZONE))) as provider:
        for work in (
            fence_of(provider).read("example.net"),
            fence_of(provider).take("example.net", TOKEN),
            fence_of(provider).reset("example.net"),
        ):
            with pytest.raises(ProviderError, match=r"example\.net"):
                await work
