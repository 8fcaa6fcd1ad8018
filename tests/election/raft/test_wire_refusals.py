"""Who is refused on either end of a stream, in which words; and probes, which leave no stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from dnslb.election.raft.frames import (
    Hello,
    Identity,
    greeting_frame,
)
from dnslb.election.raft.wire import GREETING_S
from dnslb.errors import CommandRefused
from tests.election.raft.network import SETTLED_S, identity, network
from tests.election.raft.stage import configuration

# ----------------------------------------------------------------------------------- refusals


async def test_who_is_refused_hears_why_and_so_do_we(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        net.drivers["b"].us = replace(identity("b"), incarnation="ff")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        [sentence] = net.drivers["a"].sentences()
        assert "remove_server b, then add_voter" in sentence
        assert net.drivers["b"].sentences()[0] == f"a at a refuses: {sentence}"
        assert ("connected", "b") not in net.drivers["a"].told


async def test_whom_we_dialled_is_judged_too(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        await net.add("a")
        net.drivers["a"].us = replace(identity("a"), configuration=configuration("ab"))
        b = await net.add("b")
        other = (
            configuration("ab")
            .without("a")
            .with_member(replace(configuration("a").members[0], incarnation="ee"))
        )
        net.drivers["b"].us = replace(identity("b"), configuration=other)
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        assert "remove_server a" in net.drivers["b"].sentences()[0]
        assert b.peers == frozenset()


@pytest.mark.parametrize("proved", [True, False])
async def test_only_who_proves_itself_hears_that_it_was_removed(
    autojump_clock: trio.testing.MockClock, proved: bool
) -> None:
    async with network() as net:
        await net.add("a", prove=lambda _, __: None if proved else "no certificate")
        leader = replace(identity("a"), configuration=configuration("ac"), leads=True)
        net.drivers["a"].us = leader
        b = await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        rebuff = net.drivers["b"].rebuffs[0]
        assert (rebuff.spoken, rebuff.removed) == (True, proved)


async def test_another_id_at_the_address_is_named(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        b.set_peers({"c": "a"})
        await trio.sleep(1)
        assert net.drivers["b"].sentences()[0] == (
            "c at a refuses: This is a, not c: check the address of c."
        )


async def test_a_certificate_has_to_prove_the_id(autojump_clock: trio.testing.MockClock) -> None:
    def of_c_only(_: trio.abc.Stream, one: str) -> str | None:
        return None if one == "c" else f"the certificate is for 'c', not for {one!r}"

    async with network() as net:
        await net.add("a", prove=of_c_only)
        b = await net.add("b")
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        assert net.drivers["a"].sentences() == ["the certificate is for 'c', not for 'b'"]
    async with network() as net:
        await net.add("a")
        b = await net.add("b", prove=of_c_only)
        b.set_peers({"a": "a"})
        await trio.sleep(SETTLED_S)
        assert "does not prove that it is a" in net.drivers["b"].sentences()[0]


async def test_who_answers_under_another_name_is_hung_up_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        b = await net.add("b")

        async def dial(_: str) -> trio.abc.Stream:
            ours, theirs = trio.testing.memory_stream_pair()
            await theirs.send_all(greeting_frame(Hello("z", "b", "c1", "ab", 1)))
            return ours

        b._dial = dial
        b.set_peers({"a": "somewhere"})
        await trio.sleep(SETTLED_S)
        assert net.drivers["b"].sentences() == ["At somewhere answers z, not a."]
        assert b.peers == frozenset()


async def test_a_silent_address_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with network() as net:
        b = await net.add("b")
        streams = []

        async def dial(_: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            streams.append(theirs)
            return ours

        b._dial = dial
        b.set_peers({"a": "a"})
        await trio.sleep(GREETING_S + 0.01)
        assert net.drivers["b"].sentences() == ["a at a does not answer."]


# -------------------------------------------------------------------------------------- probes


async def test_a_probe_learns_who_answers_and_leaves_no_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        net.drivers["a"].us = Identity("a", "77", "", 3, configuration("bc"))
        hello = await b.probe("a", "a")
        assert (hello.id, hello.incarnation, hello.cluster_id) == ("a", "77", "")
        assert hello.command_version == 3
        assert net.drivers["a"].told == net.drivers["b"].told == []


@pytest.mark.parametrize(
    ("peer", "address", "sentence"),
    [("c", "a", "This is a, not c"), ("a", "nowhere", "cannot be reached")],
)
async def test_a_probe_that_finds_nobody_says_so(
    peer: str, address: str, sentence: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with network() as net:
        await net.add("a")
        b = await net.add("b")
        with pytest.raises(CommandRefused, match=sentence):
            await b.probe(peer, address)
