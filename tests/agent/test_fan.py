"""One name with several addresses in mode "all": each is told, and the resolver is followed."""

from __future__ import annotations

import logging
from collections import defaultdict
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from dnslb.agent.fan import (
    ADDRESSES_MAX,
    RESOLVE_GAP_S,
    RESOLVE_S,
    Fan,
    NotResolved,
    addresses_of,
)
from dnslb.agent.link import Link
from tests.agent.scripted import ONE, TWO, ScriptedResolver, ScriptedUpstream, Stage, Start

A, B, C = "10.1.0.1", "10.1.0.2", "10.1.0.3"


class Replicas:
    """What stands behind one name: an upstream at each address, made when it is linked."""

    def __init__(self, *addresses: str) -> None:
        self.resolver = ScriptedResolver(*addresses)
        self.opened: dict[str, list[ScriptedUpstream]] = defaultdict(list)
        self.failing: set[str] = set()
        self.fan = Fan("https://lb/", self._open, resolve=self.resolver, luck=lambda: 1.0)

    def _open(self, address: str) -> Link:
        upstream = ScriptedUpstream("lb", ONE)
        upstream.name = f"https://lb/ at {address}"
        upstream.failing = "connection refused" if address in self.failing else None
        self.opened[address].append(upstream)
        return Link(upstream, interval_s=1.0)

    def at(self, address: str) -> ScriptedUpstream:
        return self.opened[address][-1]


def gaps_of(instants: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(instants)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_each_address_is_told(start: Start, autojump_clock: MockClock) -> None:
    replicas = Replicas(A, B, A)
    stage = await start(fans=[replicas.fan])
    await stage.source.say("U")
    await trio.sleep(1)
    await stage.source.say("D")
    assert set(replicas.opened) == {A, B}
    assert replicas.at(A).said == replicas.at(B).said == ["U", "D"]
    assert stage.source.lists[-1].monitors == (ONE,)
    assert stage.agent.described() == (
        f"https://lb/ at {A}: told of 1 monitors; https://lb/ at {B}: told of 1 monitors"
    )


async def test_a_new_address_is_told_at_the_next_look(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A)
    stage = await start(fans=[replicas.fan])
    await stage.source.say("U")
    replicas.resolver.addresses = (A, B)
    await trio.sleep(RESOLVE_S + 0.5)
    assert replicas.at(B).said == ["U"]
    assert replicas.at(A).said == ["U"]
    assert len(replicas.opened[A]) == 1
    await trio.sleep(3 * RESOLVE_S)
    gaps = set(gaps_of(replicas.resolver.asked_at))
    assert gaps == {RESOLVE_S}


async def test_an_address_that_left_dns_is_told_no_more(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A, B)
    stage = await start(fans=[replicas.fan])
    await stage.source.say("U")
    replicas.resolver.addresses = (A,)
    await trio.sleep(RESOLVE_S + 1)
    assert not replicas.at(B).closed, "one answer is not enough"
    await trio.sleep(RESOLVE_S)
    assert replicas.at(B).closed
    assert not replicas.at(A).closed
    await stage.source.say("D")
    assert replicas.at(A).said[-1] == "D"
    assert "D" not in replicas.at(B).said
    # And when it comes back, it is a new one that knows nothing.
    replicas.resolver.addresses = (A, B)
    await trio.sleep(RESOLVE_S + 0.5)
    assert [one.said[-1] for one in replicas.opened[B]] == ["U", "D"]


async def test_an_answer_that_lacks_an_address_once_takes_nothing_away(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A, B)
    await start(fans=[replicas.fan])
    for _ in range(4):
        for answer in ((A,), (A, B)):
            replicas.resolver.addresses = answer
            await trio.sleep(RESOLVE_S)
    assert {address: len(made) for address, made in replicas.opened.items()} == {A: 1, B: 1}


async def test_a_failing_resolver_keeps_the_last_addresses(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = Replicas(A, B)
    stage = await start(fans=[replicas.fan])
    replicas.resolver.failing = "name or service not known"
    await trio.sleep(20 * RESOLVE_S)
    await stage.source.say("U")
    assert replicas.at(A).said[-1] == replicas.at(B).said[-1] == "U"
    sentence = (
        "https://lb/: the host name cannot be resolved: name or service not known; "
        "the 2 addresses known before are told meanwhile"
    )
    assert warnings(caplog) == [sentence]
    assert stage.agent.described().startswith(sentence)
    replicas.resolver.failing = None
    await trio.sleep(RESOLVE_S + 1)
    assert "resolved" not in stage.agent.described()


async def test_a_name_that_is_not_known_yet_is_asked_for_until_it_is(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A)
    replicas.resolver.failing = "name or service not known"
    stage = await start(fans=[replicas.fan])
    assert stage.agent.described().endswith("not known; nobody is told meanwhile")
    await trio.sleep(60)
    gaps = gaps_of(replicas.resolver.asked_at)
    assert gaps[0] == pytest.approx(0.5)
    assert gaps[-1] == pytest.approx(10)
    replicas.resolver.failing = None
    await trio.sleep(10)
    await stage.source.say("U")
    assert replicas.at(A).said == ["U"]


async def test_a_failing_upstream_has_its_name_looked_up_soon_but_not_all_the_time(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A, B)
    stage = await start(fans=[replicas.fan])
    await stage.source.say("U")
    await trio.sleep(RESOLVE_GAP_S + 1)
    # A is replaced by C at another address.
    replicas.at(A).failing = "connection refused"
    replicas.resolver.addresses = (B, C)
    began_at = trio.current_time()
    await stage.source.say("D")
    await trio.sleep(0.1)
    assert replicas.resolver.asked_at[-1] == pytest.approx(began_at)
    assert replicas.at(C).said == replicas.at(B).said[1:] == ["D"]
    await trio.sleep(300)
    asked_at = replicas.resolver.asked_at
    gaps = gaps_of(asked_at)
    assert min(gaps) >= RESOLVE_GAP_S
    assert replicas.at(A).closed


async def test_each_address_has_a_back_off_of_its_own(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A, B)
    replicas.failing = {A}
    stage = await start(fans=[replicas.fan])
    await stage.source.say("U")
    await trio.sleep(100)
    gaps = gaps_of(replicas.at(A).fetched_at)
    assert gaps[0] == pytest.approx(0.5)
    assert gaps[-1] == pytest.approx(10)
    assert replicas.at(B).said == ["U"] * 4, "posts and keep-alives, as if A were well"
    assert f"https://lb/ at {A}: connection refused" not in stage.agent.described()


async def test_the_number_of_addresses_is_bounded(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    many = [f"10.2.0.{i}" for i in range(ADDRESSES_MAX + 3)]
    replicas = Replicas(*many)
    stage = await start(fans=[replicas.fan])
    # Another order of the same answer moves nobody.
    replicas.resolver.addresses = tuple(reversed(many))
    await trio.sleep(5 * RESOLVE_S)
    assert list(replicas.opened) == many[:ADDRESSES_MAX]
    assert {len(made) for made in replicas.opened.values()} == {1}
    assert warnings(caplog) == [
        "https://lb/: 3 more addresses are not told: at most 16 of one name are"
    ]
    assert stage.agent.described().endswith(warnings(caplog)[0])
    # Who leaves makes room.
    replicas.resolver.addresses = tuple(many[1:])
    await trio.sleep(2 * RESOLVE_S + 1)
    assert len(replicas.opened) == ADDRESSES_MAX + 1


async def test_a_list_that_only_a_gone_address_announced_is_checked_no_more(
    start: Start, autojump_clock: MockClock
) -> None:
    replicas = Replicas(A, B)
    stage = await start(fans=[replicas.fan], sync_interval_s=5.0)
    replicas.at(B).announce(ONE, TWO)
    await trio.sleep(6)
    assert stage.source.lists[-1].monitors == (ONE, TWO)
    replicas.resolver.addresses = (A,)
    await trio.sleep(3 * RESOLVE_S)
    assert stage.source.lists[-1].monitors == (ONE,)


async def test_the_end_closes_the_links_of_all_addresses(autojump_clock: MockClock) -> None:
    replicas = Replicas(A, B)
    stage = Stage(fans=[replicas.fan])
    with trio.move_on_after(5):
        await stage.agent.run()
    assert replicas.at(A).closed
    assert replicas.at(B).closed


# ------------------------------------------------------------------------- the system's resolver


async def test_addresses_stand_for_themselves_and_nonsense_is_refused() -> None:
    assert await addresses_of("127.0.0.7") == ("127.0.0.7",)
    assert await addresses_of("::1") == ("::1",)
    for host in ("", "a" * 64, "a..b"):
        with pytest.raises(NotResolved) as failed:
            await addresses_of(host)
        assert str(failed.value)
