"""Every order by keys: filled, cancelled, refused, failing, and cut off in the middle."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from textual.widgets import Button

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterView
from dnslb.model.command import Command, CommandReply
from tests.console.driving import Hands, drive, driven
from tests.console.stage import CLUSTERS, CROWD, PAUSED
from tests.console.wire import Wire, wire
from tests.dnslbctl.daemon import Daemon
from tests.doubles.operations import WALL


async def order(hands: Hands) -> None:
    """Presses the button that does it."""
    button = hands.form.query_one("#do", Button)
    assert not button.disabled, hands.text
    button.press()
    await hands.settle()


async def to_endpoint(hands: Hands, *words: str) -> None:
    """Puts the cursor on the first endpoint that these words find."""
    await hands.press("2", "slash")
    await hands.write(" ".join(words))
    await hands.press("enter", "down")


async def drain(hands: Hands) -> None:
    await to_endpoint(hands, "www", "192.0.2.11")
    await hands.press("d")
    await hands.write("disk swap")


async def force(hands: Hands) -> None:
    await to_endpoint(hands, "www", "192.0.2.11")
    await hands.press("f", "tab")
    await hands.write("it lies")


async def clear(hands: Hands) -> None:
    await to_endpoint(hands, "drained")
    await hands.press("c")


async def pause(hands: Hands) -> None:
    await to_endpoint(hands, "www", "192.0.2.11")
    await hands.press("p", "right", "tab")
    await hands.write("move")


async def decide(hands: Hands) -> None:
    await hands.press("4", "x", "right", "tab")
    await hands.write("shop.example.org")


async def drop(hands: Hands) -> None:
    await hands.press("x")


async def release(hands: Hands) -> None:
    await hands.press("down", "down", "x")


async def delete(hands: Hands) -> None:
    await hands.press("down", "down", "x", "right", "tab")
    await hands.write("old.example.org")


async def sync(hands: Hands) -> None:
    await hands.press("S", "right")


WWW = "http://192.0.2.11:80"
ORDERS = [
    (drain, Command("drain", (WWW,), "", "disk swap", "www.example.org", WALL + 7200)),
    (force, Command("force-down", (WWW,), "", "it lies", "www.example.org", WALL + 3600)),
    (clear, Command("clear", ("http://203.0.113.13:80",), "", lb="img.example.org")),
    (pause, Command("pause", ("www.example.org",), "", "move", None, WALL + 1800)),
    (decide, Command("approve", ("5f1c9a02",), "")),
    (drop, Command("drop", ("5f1c9a02",), "")),
    (release, Command("release", ("old.example.org",), "")),
    (delete, Command("release", ("old.example.org",), "", delete=True)),
    (sync, Command("sync", ("example.org",), "")),
]


async def back(hands: Hands) -> None:
    """To where each order begins: Now, its first row, no filter, no form."""
    while hands.forms:
        await hands.press("escape")
    await hands.press("2", "escape", "1", "g")


def test_escape_cancels(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for fill, command in ORDERS:
            await fill(hands)
            assert f" {command.kind} " in hands.text, "the form shows the verb that does the same"
            await hands.press("escape")
            assert hands.forms == 0
            await back(hands)

    drive(daemon.path, hand)
    assert daemon.shown.commands == []


def test_an_order_arrives_as_filled_in_and_a_refused_one_can_be_corrected(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for number, (fill, command) in enumerate(ORDERS):
            daemon.shown.answer = CommandRefused(f"no {command.kind} now")
            await fill(hands)
            await order(hands)
            await hands.until_shown(f"no {command.kind} now", "Cancel")
            daemon.shown.answer = CommandReply(True, (f"address {number} left DNS",))
            await order(hands)
            await hands.until_shown(f"address {number} left DNS", "Close")
            await hands.press("enter")
            assert hands.forms == 0
            await back(hands)

    drive(daemon.path, hand)
    assert {timeout_s for _, timeout_s in daemon.shown.commands} == {30.0}
    found = [replace(command, by="") for command, _ in daemon.shown.commands]
    assert found == [command for _, command in ORDERS for _ in range(2)]


def test_without_a_leader_it_is_said(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for fill, _ in ORDERS:
            await fill(hands)
            daemon.shown.members = ClusterView("candidate", 43, None, ())
            await order(hands)
            await hands.until_shown("no leader is known")
            daemon.shown.members = CLUSTERS["raft"]
            await hands.until(lambda: hands.console.picture.status["leader"] is not None)
            await back(hands)

    drive(daemon.path, hand)
    assert daemon.shown.commands == []


def test_an_answer_that_is_lost_is_not_called_done(tmp_path: Path, daemon: Daemon) -> None:
    async def main() -> None:
        async with wire(tmp_path / "w", daemon.path) as between:

            async def hand(hands: Hands) -> None:
                between.cut_at = "POST"
                for fill, _ in ORDERS:
                    await fill(hands)
                    await order(hands)
                    await hands.until_shown("may or may not have done", "Close")
                    await back(hands)
                sent = [first for first in between.requests if "POST" in first]
                assert sent == ["POST /v1/commands HTTP/1.0\r\n"] * len(ORDERS), "each once"

            await driven(between.path, hand)

    asyncio.run(main())
    assert len(daemon.shown.commands) == len(ORDERS)


def test_keys_that_come_all_at_once_do_what_each_was_meant_for(daemon: Daemon) -> None:
    """Over a slow line they do: the pane, the row, the form and its fields are those that whoever
    typed them slowly would have met."""

    async def hand(hands: Hands) -> None:
        await hands.burst("2", "G", "k", "d", *"disk", "tab", "1", "h")
        await hands.until(lambda: hands.forms == 1 and hands.form_value() == "1h")
        assert hands.form.values()["reason"] == "disk"
        await hands.until_shown("http://192.0.2.11:80 of www.example.org")
        await hands.burst("escape", "3", "G", "n", *"ber-5", "down", *"b:1")
        await hands.until(lambda: hands.forms == 1 and hands.form_value() == "b:1")
        assert hands.form.values()["id"] == "ber-5"
        await hands.burst("escape", "3", "g", "j", "j", "m")
        await hands.until_shown("Demote a voter", "ams-3  voter, follower")

    drive(daemon.path, hand)


# -------------------------------------------------------------------------------- of single forms


def test_resume_says_what_will_be_written(daemon: Daemon) -> None:
    daemon.shown.show(PAUSED)

    async def hand(hands: Hands) -> None:
        await hands.until_shown("PAUSED: ALL DNS CHANGES by kim", "INC-4471 move")
        await hands.press("p")
        await hands.until_shown("1 change may be written at once", "api.example.org A -192.0.2.12")
        await order(hands)
        await hands.until_shown("done")

    drive(daemon.path, hand)
    ((found, _),) = daemon.shown.commands
    assert (found.kind, found.subjects) == ("resume", ())


def test_what_lowers_safety_is_typed(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await to_endpoint(hands, "api", "192.0.2.10")
        view = CROWD.loadbalancers["api.example.org"]
        lower = replace(view, min_published=3)
        daemon.shown.show(replace(CROWD, loadbalancers={**CROWD.loadbalancers, view.name: lower}))
        await hands.until(lambda: hands.console.picture.lbs[view.name].head["min_published"] == 3)
        await hands.press("d")
        await hands.write("because")
        await hands.until_shown("living 3 → 2, min-published 3", "fewer than min-published")
        button = hands.form.query_one("#do", Button)
        assert button.disabled
        await hands.press("tab", "tab")
        await hands.write("api.example.or")
        assert button.disabled
        await hands.write("g")
        await order(hands)
        await hands.until_shown("done")

    drive(daemon.path, hand)
    ((found, _),) = daemon.shown.commands
    assert found.insist


def test_the_last_living_endpoint_is_not_drained(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await to_endpoint(hands, "shop", "198.51.100.12")
        await hands.press("d")
        await hands.write("because")
        await hands.until_shown("it is the last living endpoint; not even --yes drains it")
        assert hands.form.query_one("#do", Button).disabled
        await hands.press("enter", "enter", "enter")

    drive(daemon.path, hand)
    assert daemon.shown.commands == []


def test_a_form_is_judged_by_the_newest_picture(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("4", "x")
        assert not hands.form.query_one("#do", Button).disabled
        daemon.shown.show(replace(CROWD, changes=()))
        await hands.until_shown("5f1c9a02 is not held any more")
        assert hands.form.query_one("#do", Button).disabled

    drive(daemon.path, hand)


def test_a_form_is_about_what_it_was_opened_for(daemon: Daemon) -> None:
    """Rows move beneath it, and the endpoint may leave the configuration."""

    async def hand(hands: Hands) -> None:
        await drain(hands)
        lbs = {n: v for n, v in CROWD.loadbalancers.items() if n != "www.example.org"}
        daemon.shown.show(replace(CROWD, loadbalancers=lbs))
        await hands.until_shown(f"{WWW} is no endpoint of")
        assert hands.form.query_one("#do", Button).disabled

    drive(daemon.path, hand)


def test_while_the_daemon_is_gone_nothing_is_ordered(tmp_path: Path, daemon: Daemon) -> None:
    async def main() -> None:
        async with wire(tmp_path / "w", daemon.path) as between:
            await driven(between.path, lambda hands: _cut_under_a_form(hands, between))

    asyncio.run(main())
    assert daemon.shown.commands == []


async def _cut_under_a_form(hands: Hands, between: Wire) -> None:
    await drain(hands)
    await between.cut()
    await hands.until_shown("orders are off: there is no connection")
    assert hands.form.query_one("#do", Button).disabled
    await between.start()
    await hands.until(lambda: not hands.console.offline)
    await hands.until_shown("living 3 → 2")
    assert "disk swap" in hands.text, "what was typed is still there"
    assert not hands.form.query_one("#do", Button).disabled


def test_an_order_outlives_its_form(daemon: Daemon) -> None:
    """Whoever leaves the form early is told the outcome all the same."""

    async def main() -> None:
        path = daemon.path.with_name("w")
        async with wire(path, daemon.path) as between:

            async def hand(hands: Hands) -> None:
                await drain(hands)
                between.hold()
                await order(hands)
                await hands.until_shown("waiting until its effect shows", "Leave")
                await hands.press("escape")
                assert hands.forms == 0
                between.release()
                await hands.until(lambda: len(hands.console._notifications) == 1)
                (told,) = hands.console._notifications
                assert told.message == "✓ done"

            await driven(path, hand)

    asyncio.run(main())
    assert len(daemon.shown.commands) == 1


def test_actions_that_have_nothing_to_act_on_say_so(daemon: Daemon) -> None:
    daemon.shown.show(replace(CROWD, changes=(), released=(), attention=()))

    async def hand(hands: Hands) -> None:
        await hands.until(lambda: not hands.console.picture.changes)
        for key in ("d", "f", "c", "x", "w"):
            await hands.press(key)
            assert hands.forms == 0, key
        assert len(hands.console._notifications) == 5

    drive(daemon.path, hand)
