"""Where people see how long an answer took: only beside the vote of which it is known."""

from __future__ import annotations

from typing import Any

import pytest

from dnslb.control.votes import OwnAgent
from dnslb.control.why import why_message
from dnslbctl import pages
from dnslbctl.explanation import why_page
from dnslbctl.output import milliseconds
from tests.dnslbctl.test_pages import AT, TROUBLE, WIDE, endpoints, screen
from tests.doubles.operations import NOW


def test_a_column_where_one_is_known() -> None:
    found = endpoints()[:2]
    found[0]["votes"]["a1"]["round_trip_seconds"] = 0.00042
    expected = """
ENDPOINT              STATE   IN DNS  VOTES     TRIP  FOR    WHY
www.example.org
  tcp://192.0.2.1:80  ✓ up    yes     3 up    0.4 ms  1m00s
  tcp://192.0.2.2:80  ✗ down  no      3 down          1m00s  3 of 3 agents say down (connection
                                                             refused)
"""
    assert screen(pages.endpoints_page(found, AT, WIDE)) == expected


def test_why_tells_it_beside_the_vote() -> None:
    view, own = TROUBLE.loadbalancers["www.example.org"], OwnAgent("a2", lambda monitor: 0.0123)
    why: Any = why_message(TROUBLE, view, NOW, own)
    expected = """
    a1  ✗ down  2.0s ago         connection refused
    a2  ✗ down  2.0s ago  12 ms  connection refused
    a3  ✗ down  2.0s ago         connection refused
"""
    assert expected in screen(why_page(why, AT, WIDE))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0.0 ms"), (0.00042, "0.4 ms"), (0.00996, "10 ms"), (1.25, "1250 ms")],
)
def test_in_words(seconds: float | None, text: str) -> None:
    assert milliseconds(seconds) == text
