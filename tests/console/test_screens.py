"""Whole screens as text, held against those in golden/: every pane, election, size and state.

`DNSLB_GOLDEN=write` writes them anew; a changed one is committed only by whoever can explain its
difference. The clock stands still, and the daemon's pictures are those of `stage`.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from textual.color import Color

from dnslb.model.cluster import ClusterView, MemberView
from dnslb.model.status import Attention
from dnslbctl.console import headline
from dnslbctl.console.columns import columns
from dnslbctl.console.rows import Rows
from dnslbctl.output import Terminal
from dnslbctl.viewmodel import Picture
from tests.console.driving import Hands, drive, driven
from tests.console.stage import CROWD, LONG_IDS, PAUSED
from tests.console.wire import wire
from tests.dnslbctl.daemon import Daemon
from tests.doubles.operations import WALL

GOLDEN = Path(__file__).with_name("golden")
SMALL, LARGE = (80, 24), (200, 60)


def hold(hands: Hands, name: str) -> None:
    """The screen as it is, against the golden one of this name."""
    shown = "\n".join(hands.rows()) + "\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DNSLB_GOLDEN") == "write":
        path.write_text(shown)
    assert shown == path.read_text(), f"{path.name} differs; the screen is:\n{shown}"


async def resize(hands: Hands, size: tuple[int, int]) -> None:
    await hands.pilot.resize_terminal(*size)
    for _ in range(3):
        await hands.settle()


@pytest.mark.parametrize("election", ["raft", "k8s", "singleton"])
def test_every_pane_small_and_all_large(daemon: Daemon, election: str) -> None:
    async def hand(hands: Hands) -> None:
        for key in "12345":
            await hands.press(key)
            hold(hands, f"{election}-80-{key}")
        await resize(hands, LARGE)
        await hands.press("2", "down", "down")
        await hands.until_shown("fra-1  ✓ up", "no fresh report; its last word was up")
        hold(hands, f"{election}-200")
        await resize(hands, SMALL)
        hold(hands, f"{election}-80-back")

    drive(daemon.path, hand)


@pytest.mark.parametrize("election", ["long"])
def test_a_lost_voter_is_seen_beside_long_ids(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("3")
        for name in LONG_IDS:
            assert f"{name} " in hands.text
        assert "voters 2/3" in hands.rows()[0]
        hold(hands, "long-80-3")
        await resize(hands, LARGE)
        assert "voters 2/3" in hands.rows()[0]
        hold(hands, "long-200")

    drive(daemon.path, hand)


def test_forms_and_pages(daemon: Daemon) -> None:
    steps: list[tuple[str, tuple[str, ...]]] = [
        ("drain", ("2", "down", "down", "d")),
        ("force", ("2", "f")),
        ("pause", ("2", "p")),
        ("decide", ("4", "x", "right")),
        ("release", ("1", "down", "down", "x", "right")),
        ("sync", ("S",)),
        ("transfer", ("t",)),
        ("help", ("question_mark",)),
        ("why", ("2", "g", "w")),
        ("endpoint", ("2", "g", "down", "enter")),
    ]

    async def hand(hands: Hands) -> None:
        for name, keys in steps:
            await hands.press(*keys)
            await hands.until(lambda: "asking the daemon" not in hands.text)
            hold(hands, name)
            await hands.press("escape", "1", "g")
        await hands.press("2", "slash")
        await hands.write("api down")
        hold(hands, "filter")
        await hands.press("enter", "escape", "s")
        hold(hands, "by-name")
        await hands.press("left")
        hold(hands, "folded")

    drive(daemon.path, hand)


def test_without_unicode_there_is_ascii_alone(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for key in "12345":
            await hands.press(key)
            assert hands.text.isascii(), hands.text
        for keys in (("4", "x"), ("2", "d"), ("question_mark",), ("2", "w"), ("3", "t")):
            await hands.press(*keys)
            await hands.until(lambda: "asking the daemon" not in hands.text)
            assert hands.text.isascii(), hands.text
            await hands.press("escape")
        await hands.press("4", "x")
        hold(hands, "ascii-decide")
        await hands.press("escape", "colon")
        await hands.until_shown("Add a voter")
        assert hands.text.isascii(), hands.text
        await hands.press("escape")
        hands.console.clear_notifications()
        hands.console.notify("told")
        await hands.until_shown("told")
        assert hands.text.isascii(), hands.text
        hands.console.clear_notifications()
        await hands.until(lambda: "told" not in hands.text)
        await resize(hands, LARGE)
        hold(hands, "ascii-200")
        assert hands.text.isascii(), hands.text

    drive(daemon.path, hand, unicode=False)


def test_without_colour_there_is_none(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is bad stands out all the same."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def hand(hands: Hands) -> None:
        await hands.press("2")
        exported = hands.console.export_screenshot()
        # The three dots of the window that Rich draws around it are not ours.
        found = {*re.findall(r"fill[:=] ?\"?(#[0-9a-f]{6})", exported)}
        found -= {"#ff5f57", "#febc2e", "#28c840"}
        assert len(found) > 2
        for code in found:
            red, green, blue = Color.parse(code).rgb
            assert max(red, green, blue) - min(red, green, blue) <= 3, code
        assert "[NEEDS YOU]" in hands.text
        assert "[2 Endpoints]" in hands.text

    drive(daemon.path, hand, colour=False)


def test_no_size_breaks_it(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        for size in ((20, 6), (40, 12), (132, 43), (80, 24), (200, 60)):
            await resize(hands, size)
            for key in ("1", "2", "d", "escape", "z", "question_mark", "escape", "z"):
                await hands.press(key)
            assert len(hands.rows()) == size[1]

    drive(daemon.path, hand)


def test_a_pause_is_said_aloud(daemon: Daemon) -> None:
    daemon.shown.show(PAUSED)

    async def hand(hands: Hands) -> None:
        await hands.press("4")
        hold(hands, "paused")

    drive(daemon.path, hand)


@pytest.mark.parametrize("election", ["k8s"])
def test_a_holder_that_is_not_known_is_not_called_nobody(daemon: Daemon) -> None:
    us = MemberView("fra-1", "", "voter", "candidate", True, "0.1.0")
    daemon.shown.members = ClusterView("candidate", 7, None, (us,))
    daemon.shown.show(replace(CROWD, attention=()))

    async def hand(hands: Hands) -> None:
        await hands.press("3")
        assert "nobody is known to hold the Lease" in hands.text

    drive(daemon.path, hand)


def test_a_gate_is_said_only_by_the_one_that_would_write(daemon: Daemon) -> None:
    """A follower's own keeps nothing from DNS: the leader writes."""
    daemon.shown.show(replace(CROWD, gate="no full round yet"))
    leads = daemon.shown.members

    async def hand(hands: Hands) -> None:
        await hands.until_shown("Nothing is written yet: no full round yet")
        daemon.shown.members = replace(leads, role="follower")
        daemon.shown.show(replace(CROWD, revision=CROWD.revision + 1, gate="no full round yet"))
        await hands.until(lambda: "Nothing is written yet" not in hands.text)

    drive(daemon.path, hand)


def test_a_reason_that_asks_is_followed_by_no_full_stop() -> None:
    rows = Rows(Picture(), Terminal(width=80, colour=True, unicode=True))
    for why, said in (
        ("is dnslb running?", "is dnslb running? T"),
        ("it is gone", "it is gone. T"),
    ):
        banner = headline.banner(rows, headline.Trouble(why, None))
        assert banner is not None
        assert said in banner[0]


def test_how_long_it_is_up_goes_on_by_itself(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        before = hands.rows()[0].partition("  up ")[2].split()[0]
        hands.clock_s[0] += 3 * 86400
        hands.console.paint()
        await hands.settle()
        after = hands.rows()[0].partition("  up ")[2].split()[0]
        assert before
        assert after.endswith("d")
        assert after != before

    drive(daemon.path, hand, size=LARGE)


@pytest.mark.parametrize(
    ("names", "heads"),
    [
        (("identifier_1", "identifier_2"), ["ntifier_1", "ntifier_2"]),
        (("fra-1", "ams-3"), ["fra-1", "ams-3"]),
    ],
)
def test_agents_are_told_apart_by_the_heads_of_their_columns(
    names: tuple[str, ...], heads: list[str]
) -> None:
    seen = Picture()
    seen.agents = [{"name": name} for name in names]  # type: ignore[typeddict-item]
    found = [
        column.title
        for column in columns(
            "endpoints", Rows(seen, Terminal(width=120, colour=True, unicode=True)), 120
        )
    ]
    assert found[3 : 3 + len(names)] == heads


def test_the_column_of_one_agent_s_votes_is_called_vote() -> None:
    seen = Picture()
    seen.agents = [{"name": "solo"}]  # type: ignore[typeddict-item]
    rows = Rows(seen, Terminal(width=80, colour=True, unicode=True))
    found = columns("endpoints", rows, 76)
    assert [column.title for column in found] == ["endpoint", "state", "up", "vote", "dns", "for"]


def test_a_member_that_waits_says_what_to_do(daemon: Daemon) -> None:
    us = MemberView("fra-1", "10.20.1.5:3648", "nonvoter", "waiting", True, "0.1.0")
    daemon.shown.members = ClusterView("waiting", None, None, (us,))
    step = "at a member: dnslbctl raft add_voter fra-1 10.20.1.5:3648 0"
    waits = Attention("info", "raft-waiting", "fra-1", WALL, "fra-1 waits to be added", step)
    daemon.shown.show(replace(CROWD, attention=(waits,)))

    async def hand(hands: Hands) -> None:
        text = " ".join(hands.text.split())
        assert f"fra-1 waits to be added to a cluster. At {step[3:]}" in text
        assert "voters" not in hands.rows()[0]

    drive(daemon.path, hand)


def test_the_key_line_says_what_x_does_with_the_row(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        shown = []
        await hands.until_shown("next  x")
        for _ in range(4):
            shown.append(hands.rows()[-1].partition("w Why")[0].strip())
            assert bool(shown[-1]) == ("next  x" in hands.text)
            await hands.press("down")
        assert shown == ["x Decide", "", "x Release", ""]

    drive(daemon.path, hand)


def test_a_daemon_that_is_gone_and_comes_back(tmp_path: Path, daemon: Daemon) -> None:
    async def main() -> None:
        async with wire(tmp_path / "w", daemon.path) as between:

            async def hand(hands: Hands) -> None:
                await hands.press("2", "down", "down")
                await between.cut()
                await hands.until_shown("STALE", "NO CONNECTION")
                hands.clock_s[0] += 37
                hands.console.paint()
                shown = hands.text.replace(str(between.path), "SOCKET")
                assert "This was so 37s ago" in " ".join(shown.split())
                assert "192.0.2.10:443" in shown, "the last picture stays"
                await hands.press("d")
                await hands.until_shown("refused: there is no connection")
                assert hands.forms == 0
                await between.start()
                await hands.until_shown("NEEDS YOU")
                assert "NO CONNECTION" not in hands.text
                assert hands.rows()[6].startswith("│>"), "the cursor is where it was"

            await driven(between.path, hand)

    asyncio.run(main())


def test_a_console_that_is_there_before_its_daemon(tmp_path: Path, daemon: Daemon) -> None:
    async def main() -> None:
        between = wire(tmp_path / "w", daemon.path)

        async def hand(hands: Hands) -> None:
            await hands.until_shown("CONNECTING", "there is no socket")
            for key in (
                "2",
                "3",
                "4",
                "5",
                "z",
                "s",
                "d",
                "p",
                "x",
                "t",
                "w",
                "enter",
                "left",
                "y",
            ):
                await hands.press(key)
            async with between:
                await hands.until_shown("NEEDS YOU")

        await driven(tmp_path / "w", hand, connected=False)

    asyncio.run(main())
