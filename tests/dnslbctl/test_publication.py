"""What people read of changes that are applied and not published, and of what was never read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dnslb.api.codec import to_time
from dnslb.control import views
from dnslb.model.publication import Lag
from dnslb.model.status import ZoneView
from dnslbctl import pages
from dnslbctl.output import WARN, Terminal
from dnslbctl.publication import waiting_lines
from tests.doubles.operations import ALONE, INFO, NOW, WALL, change, ep, lb, picture

AT = to_time(NOW.wall)
WIDE = Terminal(width=None, colour=False, unicode=False)
KEY = "www.example.org A"
ZONE = ZoneView("example.org", WALL, WALL, False, 0, None, None)
LAG = Lag(
    "ns2.example.org (192.0.2.53)",
    silent=False,
    sentence="answers 192.0.2.1 (TTL 60) for www.example.org A",
    names=(KEY,),
    count=1,
    since_wall=WALL - 12,
    overdue=False,
)
DEAF = replace(
    LAG, server="ns3", silent=True, sentence="does not answer within 2 s", count=1001, overdue=True
)


def lines(zone: ZoneView, state: str = "applied") -> list[str]:
    message: Any = views.change_message(change(state=state))
    return waiting_lines([message], [views.zone_message(zone)], AT, WIDE)


def test_a_change_that_is_applied_waits_for_servers_by_name() -> None:
    zone = replace(ZONE, lagging=(LAG, DEAF), unasked=("ns4 has no address",))
    assert lines(zone) == [
        "",
        f"example.org: {LAG.server} {LAG.sentence}; missing there for 12s: www.example.org A",
        f"example.org: ns3 {DEAF.sentence}; not seen there for 12s: {KEY} and 1,000 more",
        "example.org: not asked: ns4 has no address",
    ]


def test_where_nobody_is_asked_it_says_so_and_claims_nothing() -> None:
    assert lines(replace(ZONE, unverified="-verify-servers is off")) == [
        "",
        "example.org: applied, and not verified: -verify-servers is off",
    ]


def test_where_nothing_waits_nothing_is_said() -> None:
    assert lines(ZONE) == []
    assert lines(replace(ZONE, unverified="why"), state="published") == []
    assert lines(replace(ZONE, name="example.net", unverified="why")) == []


def test_the_status_names_who_lags() -> None:
    def cell(*lagging: Lag) -> Any:
        message: Any = views.zone_message(replace(ZONE, lagging=lagging))
        return pages._zone(message, AT, False)

    text, style = cell(LAG)
    assert text.endswith("; ns2.example.org (192.0.2.53) lags for 12s")
    assert style == ""
    assert cell(DEAF)[1] == WARN


def test_changes_say_when_they_were_published() -> None:
    done = change(state="published", applied_wall=WALL - 2, published_wall=WALL - 1)
    message: Any = views.change_message(done)
    assert "published at" in "\n".join(pages.changes_page([message], AT, WIDE))


@pytest.mark.parametrize(
    ("published", "provider", "told"),
    [
        ([("192.0.2.1",), ("192.0.2.1",)], "bind", "2 addresses in DNS"),
        ([("192.0.2.1",), None], "bind", "1 address in DNS; 1 name not read yet"),
        ([None, None], "bind", "what is in DNS is not known yet"),
        ([None, None], None, "nothing is published"),
    ],
)
def test_what_was_never_read_is_not_called_nothing(
    published: list[tuple[str, ...] | None], provider: str | None, told: str
) -> None:
    lbs = [
        replace(lb(f"{name}.example.org", ep("tcp://192.0.2.1:80")), published=values)
        for name, values in zip("ab", published, strict=True)
    ]
    info = replace(INFO, provider=provider)
    message = views.status_message(info, picture(*lbs), ALONE, NOW)
    assert f"endpoints  2 of 2 living, {told}" in pages.status_page(message, WIDE)
