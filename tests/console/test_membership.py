"""Members and raft orders by keys, against a stand-in that refuses what the contract refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Button, Input

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterCommand, ClusterReply
from tests.console.cluster import Cluster
from tests.console.driving import Hands, drive, driven
from tests.console.stage import RAFT
from tests.console.test_orders import back, order
from tests.console.wire import wire
from tests.dnslbctl.daemon import Daemon


def members(hands: Hands) -> list[tuple[str, str]]:
    return [(m["id"], m["role"]) for m in hands.console.picture.members]


async def add_voter(hands: Hands) -> None:
    """Promotes the non-voter, which the form proposes."""
    await hands.press("a")


async def add_another(hands: Hands) -> None:
    await hands.press("n")
    await hands.write("ber-5")
    await hands.press("tab")
    await hands.write("10.20.5.5:3648")


async def demote(hands: Hands) -> None:
    await hands.press("3", "g", "down", "down", "m", "tab")
    await hands.write("ams-3")


async def remove(hands: Hands) -> None:
    await hands.press("3", "g", "down", "down", "r", "tab")
    await hands.write("ams-3")


async def transfer(hands: Hands) -> None:
    await hands.press("t")


async def transfer_to(hands: Hands) -> None:
    await hands.press("3", "g", "down", "t")


async def snapshot(hands: Hands) -> None:
    await hands.console.action_snapshot()
    await hands.settle()


INDEX = "183911"
AS_BEFORE = [(m.id, m.role) for m in RAFT.members]


async def until_index(hands: Hands) -> None:
    """The form asks the daemon for it."""
    await hands.until(lambda: hands.form.query_one("#previous_index", Input).value == INDEX)


ORDERS = [
    (
        add_voter,
        "add_voter",
        ("waw-4", "10.20.4.5:3648", INDEX),
        "waw-4 is a voter now (configuration 184211)",
    ),
    (
        add_another,
        "add_nonvoter",
        ("ber-5", "10.20.5.5:3648", INDEX),
        "ber-5 is a non-voter now (configuration 184211)",
    ),
    (
        demote,
        "demote_voter",
        ("ams-3", INDEX),
        "ams-3 is a non-voter now, and votes no more (configuration 184211)",
    ),
    (
        remove,
        "remove_server",
        ("ams-3", INDEX),
        "ams-3 is no member any more (configuration 184211)",
    ),
    (transfer, "leadership_transfer", (), "fra-2 leads now, in term 43"),
    (
        transfer_to,
        "leadership_transfer_to_server",
        ("fra-2", "10.20.2.5:3648"),
        "fra-2 leads now, in term 43",
    ),
    (snapshot, "snapshot", (), "the snapshot is written, and the log shortened"),
]


def test_an_order_arrives_and_its_outcome_is_told(daemon: Daemon) -> None:
    cluster = daemon.shown

    async def hand(hands: Hands) -> None:
        for fill, name, arguments, told in ORDERS:
            await fill(hands)
            if INDEX in arguments:
                await until_index(hands)
            await hands.until_shown(f"dnslbctl raft {name}")
            await order(hands)
            await hands.until_shown(told, "Close")
            cluster.members = RAFT
            cluster.execute = Cluster(cluster).execute  # type: ignore[method-assign]
            await hands.until(lambda: members(hands) == AS_BEFORE)
            await back(hands)

    drive(daemon.path, hand)
    sent = [
        (c.name, c.arguments) for c in cluster.cluster_commands if c.name != "get_configuration"
    ]
    assert sent == [(name, arguments) for _, name, arguments, _ in ORDERS]


def test_a_form_cancelled_sends_nothing(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for fill, *_ in ORDERS:
            await fill(hands)
            assert hands.forms == 1, fill
            await hands.press("escape")
            assert hands.forms == 0
            await back(hands)

    drive(daemon.path, hand)
    assert {c.name for c in daemon.shown.cluster_commands} == {"get_configuration"}


def test_a_refused_order_stays_to_be_corrected(daemon: Daemon) -> None:
    real = daemon.shown.execute

    async def refuse(command: ClusterCommand) -> ClusterReply:
        if command.name == "get_configuration":
            return await real(command)
        raise CommandRefused(f"no {command.name} now")

    async def hand(hands: Hands) -> None:
        daemon.shown.execute = refuse  # type: ignore[method-assign]
        for fill, name, *_ in ORDERS:
            await fill(hands)
            await order(hands)
            await hands.until_shown(f"✗ no {name} now", "Cancel")
            assert not hands.form.query_one("#do", Button).disabled
            await back(hands)
        assert members(hands) == AS_BEFORE

    drive(daemon.path, hand)


def test_an_answer_that_is_lost_is_not_called_done(tmp_path: Path, daemon: Daemon) -> None:
    shown = daemon.shown

    async def main() -> None:
        async with wire(tmp_path / "w", daemon.path) as between:

            async def hand(hands: Hands) -> None:
                between.cut_at = "POST"  # the index is not told either, and 0 stays
                for fill, *_ in ORDERS:
                    await fill(hands)
                    await order(hands)
                    await hands.until_shown("may or may not have done", "Close")
                    shown.members = RAFT
                    shown.execute = Cluster(shown).execute  # type: ignore[method-assign]
                    await hands.until(lambda: members(hands) == AS_BEFORE)
                    await back(hands)

            await driven(between.path, hand)

    asyncio.run(main())
    sent = [c.name for c in shown.cluster_commands if c.name != "get_configuration"]
    assert sent == [name for _, name, *_ in ORDERS], "each once"


def test_who_changed_the_configuration_meanwhile_makes_it_refuse(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await add_voter(hands)
        await until_index(hands)
        await hands.press("tab", "tab")
        await hands.press(*["backspace"] * 6)
        await hands.write("183000")
        await order(hands)
        await hands.until_shown("the configuration is at index 183911, not 183000")
        assert not hands.form.query_one("#do", Button).disabled

    drive(daemon.path, hand)


def test_the_arithmetic_is_shown(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await add_voter(hands)
        await hands.until_shown(
            "voters 3 → 4, 2 → 3 must agree",
            "3 of 4 reachable: none may be lost (now none may be lost)",
            "an even number bears no more failures than 3",
            "a voter is lost: should it be removed first?",
        )
        await hands.press("escape", "3", "down", "r")
        await hands.until_shown("the rest could not elect: 1 of 2 are lost")
        assert hands.form.query_one("#do", Button).disabled

    drive(daemon.path, hand)


def test_enter_goes_through_the_fields_to_the_order_and_never_cancels(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("n", "enter", "enter", "enter", "enter")
        assert hands.forms == 1, "what lacks is said, and where one was one stays"
        await hands.press("escape", "t", "enter")
        assert hands.console.focused is hands.form.query_one("#do", Button)
        await hands.press("enter")
        await hands.until_shown("leads now, in term 43", "Close")

    drive(daemon.path, hand)


def test_details_say_where_a_member_is_and_with_what_it_runs(daemon: Daemon) -> None:
    one = RAFT.members[1]

    async def hand(hands: Hands) -> None:
        await hands.press("3", "g", "down", "enter")
        await hands.until_shown(one.address, one.config_digest, "must agree")

    drive(daemon.path, hand)


def test_removing_says_how_a_member_returns(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await remove(hands)
        await hands.until_shown("stop it afterwards; add_voter takes it in again as it is")

    drive(daemon.path, hand)


def test_nothing_is_handed_over_where_there_is_no_leader(daemon: Daemon) -> None:
    daemon.shown.members = replace(RAFT, role="follower", leader=None)

    async def hand(hands: Hands) -> None:
        await hands.until_shown("Orders are refused.")
        await hands.press("t")
        await hands.until_shown("there is no leader that could hand over")
        assert hands.form.query_one("#do", Button).disabled

    drive(daemon.path, hand)


def test_transfer_warns_of_what_differs(daemon: Daemon) -> None:
    members = tuple(
        replace(m, suffrage="voter", lag=5000, role="follower") if m.id == "waw-4" else m
        for m in RAFT.members
    )
    daemon.shown.members = replace(RAFT, members=members)

    async def hand(hands: Hands) -> None:
        await hands.press("3", "down", "down", "down", "t")
        await hands.until_shown(
            "it is 5,000 entries behind and must catch up first",
            "it runs 0.2.0, this one 0.1.0",
            "its configuration differs",
        )

    drive(daemon.path, hand)


@pytest.mark.parametrize("election", ["singleton", "k8s"])
def test_where_there_are_no_members_it_is_said(daemon: Daemon, election: str) -> None:
    async def hand(hands: Hands) -> None:
        for key in ("a", "n", "t", "m", "r"):
            await hands.press("3", key)
            assert hands.forms == 0
        told = [n.message for n in hands.console._notifications]
        assert told == [f"{election}: this instance has no members to administer"] * 5

    drive(daemon.path, hand)
    assert daemon.shown.cluster_commands == []
