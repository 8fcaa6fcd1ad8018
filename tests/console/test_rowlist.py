"""The cursor follows a row's key; the mouse, the filter, the folding and the palette."""

from __future__ import annotations

from dataclasses import replace

from textual.events import MouseScrollDown, MouseScrollUp
from textual.widgets import Input

from dnslb.model.status import LoadBalancerView
from dnslbctl.console.widgets.rowlist import RowList
from tests.console.driving import Hands, drive
from tests.console.stage import CROWD, entry, of
from tests.dnslbctl.daemon import Daemon
from tests.doubles.operations import lb, picture


def rows(hands: Hands, pane: str = "endpoints") -> RowList:
    return hands.console.screen_stack[0].query_one(f"#{pane}", RowList)


def marked(hands: Hands) -> str:
    """The line with the cursor."""
    (line,) = [row for row in hands.rows() if row.startswith("│>")]
    return line


def turned(name: str) -> dict[str, LoadBalancerView]:
    lbs = dict(CROWD.loadbalancers)
    lbs[name] = replace(lbs[name], state="down", living=0)
    return lbs


def test_the_cursor_follows_its_row(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("2", "G", "k", "k")
        assert "http://192.0.2.10:80" in marked(hands)
        before = marked(hands)
        daemon.shown.show(replace(CROWD, loadbalancers=turned("www.example.org")))
        await hands.until(lambda: rows(hands).keys[0] == "www.example.org")
        await hands.settle()
        assert marked(hands) == before
        assert rows(hands).keys.index(rows(hands).key) == 1

    drive(daemon.path, hand)


def test_a_row_that_left_hands_its_line_on(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("2", "G")
        lbs = {n: v for n, v in CROWD.loadbalancers.items() if n != "www.example.org"}
        daemon.shown.show(replace(CROWD, loadbalancers=lbs))
        await hands.until(lambda: len(rows(hands).keys) == 17)
        await hands.settle()
        assert "203.0.113.12:25" in marked(hands)
        daemon.shown.show(replace(CROWD, loadbalancers={}))
        await hands.until_shown("no endpoint")
        assert rows(hands).key is None
        await hands.press("down", "enter", "d", "w", "y")

    drive(daemon.path, hand)


def test_events_follow_while_the_cursor_is_on_the_first(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("5")
        daemon.say_soon(entry("verdict", "something new", 0))
        await hands.until(lambda: "something new" in marked(hands))
        await hands.press("down")
        before = marked(hands)
        daemon.say_soon(entry("verdict", "newer still", 0))
        await hands.until_shown("newer still")
        assert marked(hands) == before

    drive(daemon.path, hand)


def test_long_lists_are_scrolled(daemon: Daemon) -> None:
    crowd = picture(*(lb(f"n{i:03}", *of(f"10.0.{i}", 4)) for i in range(200)))
    daemon.shown.show(crowd)

    async def hand(hands: Hands) -> None:
        await hands.until(lambda: len(rows(hands).keys) == 1000)
        await hands.press("2", "G")
        assert "10.0.199.13" in marked(hands)
        await hands.press("pageup", "pagedown", "g")
        assert "n000" in marked(hands)
        await hands.press("pagedown", "pagedown", "down")
        before = hands.rows()[5]
        region = rows(hands).region
        for kind in (MouseScrollDown, MouseScrollUp):
            event = kind(None, region.x + 5, region.y + 5, 0, 0, 0, False, False, False)
            hands.console.screen._forward_event(event)
            await hands.settle()
            assert (hands.rows()[5] == before) is (kind is MouseScrollUp)

    drive(daemon.path, hand)


def test_the_mouse(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        tabs = hands.rows()[1]
        await hands.pilot.click("#tabs", offset=(tabs.index("Endpoints"), 0))
        await hands.settle()
        assert hands.console.active == "endpoints"
        await hands.pilot.click("#endpoints", offset=(5, 3))
        await hands.settle()
        assert "192.0.2.10:443" in marked(hands)
        await hands.pilot.click("#endpoints", offset=(5, 3), times=2)
        await hands.until_shown("esc closes", "2.0s ago")
        await hands.press("escape")
        keys = hands.rows()[-1]
        await hands.pilot.click("#keys", offset=(keys.index("Force"), 0))
        await hands.settle()
        await hands.until_shown("it is treated as dead")
        await hands.pilot.click("#kind", offset=(25, 0))
        await hands.until_shown("it is published whatever the agents say")
        await hands.pilot.click("#cancel")
        await hands.settle()
        assert hands.forms == 0

    drive(daemon.path, hand)


def test_filter_fold_sort_and_zoom(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("2", "slash")
        await hands.write("SHOP down")
        assert len(rows(hands).keys) == 3
        await hands.press("enter")
        assert rows(hands).has_focus
        await hands.press("slash")
        assert hands.form_value() == "SHOP down"
        await hands.press("escape")
        assert len(rows(hands).keys) == 21
        await hands.press("g", "down", "left")
        assert rows(hands).key == "api.example.org"
        assert len(rows(hands).keys) == 17
        await hands.press("enter", "s")
        names = [key for key in rows(hands).keys if isinstance(key, str)]
        assert names == sorted(names)
        await hands.press("s")
        newest = next(key for key in rows(hands).keys if isinstance(key, str))
        assert newest == "api.example.org"
        for pane, words, count in (("3", "fra", 2), ("4", "held", 1), ("5", "verdict", 2),
                                   ("1", "warning", 2)):  # fmt: skip
            await hands.press(pane, "slash")
            await hands.write(words)
            await hands.press("enter")
            assert len(rows(hands, hands.console.active).keys) == count, words
            await hands.press("escape")

    drive(daemon.path, hand)


def test_from_a_need_to_the_thing_itself(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("enter")
        assert (hands.console.active, hands.console.cursor()) == ("changes", "5f1c9a02")
        await hands.press("1", "down", "enter")
        await hands.until_shown("look at the agent ams-3", "esc closes")
        await hands.press("escape", "down", "down", "enter")
        await hands.until_shown("dnslbctl why api.example.org", "in DNS  192.0.2.10")

    drive(daemon.path, hand)


def test_the_palette_has_every_order(daemon: Daemon) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press("2", "g", "down", "ctrl+p")
        await hands.until(lambda: isinstance(hands.console.focused, Input))
        await hands.write("force the")
        await hands.until_shown("dnslbctl force-up|force-down ENDPOINT")
        await hands.press("enter")
        await hands.until(lambda: "whatever the agents say" in hands.text)
        await hands.press("escape")

    drive(daemon.path, hand)
