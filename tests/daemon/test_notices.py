"""Rows beside the controller's: their age, their places, and that a change is told once."""

from __future__ import annotations

from dataclasses import replace

from dnslb.daemon.notices import Notices
from dnslb.decide.controller import Controller
from dnslb.decide.events import SettingsChanged
from dnslb.decide.settings import Settings
from dnslb.model.instant import Now
from dnslb.model.status import Attention, Status


def picture() -> Status:
    controller = Controller()
    controller.step(SettingsChanged(Settings()), Now(0, 0, 0))
    assert controller.status is not None
    return controller.status


def test_a_row_keeps_its_age_while_it_lasts() -> None:
    wall, told = 100.0, 0

    def changed() -> None:
        nonlocal told
        told += 1

    notices = Notices(lambda: wall, changed)
    notices.put("info", "password", "autodns", "soon", "set a new one")
    wall = 200.0
    notices.put("critical", "calls", "autodns", "stopped", "reload")
    notices.put("info", "password", "autodns", "soon", "set a new one")
    assert told == 2
    notices.put("warning", "password", "autodns", "very soon", "set a new one")
    rows = notices.added_to(picture()).attention
    assert [(row.kind, row.since_wall) for row in rows if row.subject == "autodns"] == [
        ("calls", 200.0),
        ("password", 100.0),
    ]
    notices.clear("password")
    notices.clear("password")
    assert told == 4
    assert [row.kind for row in notices.added_to(picture()).attention] == ["calls"]


def test_what_the_controller_shows_itself_is_not_shown_twice() -> None:
    notices = Notices(lambda: 100.0, lambda: None)
    notices.put("critical", "held", "h1", "the leader's words", "approve")
    own = Attention("critical", "held", "h1", 50.0, "our own words", "approve")
    status = replace(picture(), attention=(own,))
    assert notices.added_to(status).attention == (own,)
