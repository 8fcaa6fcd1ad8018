"""What people see, as whole screens: change one only if you can say why it is better."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dnslb.api.codec import to_time
from dnslb.control import views
from dnslb.control.pieces import endpoint_pieces
from dnslb.control.why import why_message
from dnslb.model.cluster import ClusterView, MemberView
from dnslb.model.operator import OperatorState, Override, Pause
from dnslb.model.status import Decision, Status, ZoneView
from dnslbctl import pages
from dnslbctl.explanation import why_page
from dnslbctl.output import Terminal, plain
from tests.doubles.operations import (
    ALONE,
    INFO,
    NOW,
    WALL,
    change,
    entry,
    ep,
    lb,
    picture,
    row,
)

AT = to_time(NOW.wall)
WIDE = Terminal(width=100, colour=False, unicode=True)
NARROW = Terminal(width=60, colour=False, unicode=True)
ASCII = Terminal(width=100, colour=False, unicode=False)
DRAIN = Override(
    "www.example.org", "tcp://192.0.2.3:80", "drain", "kernel", "kim", WALL - 60, WALL + 3600
)
TROUBLE = picture(
    lb(
        "www.example.org",
        ep("tcp://192.0.2.1:80"),
        ep("tcp://192.0.2.2:80", "down", reason="3 of 3 agents say down (connection refused)"),
        ep(
            "tcp://192.0.2.3:80",
            counts_as="drained",
            published=False,
            override=DRAIN,
            reason="drained by kim: kernel; 3 of 3 agents say up",
        ),
        state="degraded",
        sentence="1 of 3 addresses live",
        history=(Decision(WALL - 600, ("192.0.2.1", "192.0.2.2"), "verdict", "2 addresses live"),),
    ),
    lb(
        "shop.example.org",
        ep("http://[2001:db8::1]:80/ready", "down", published=True, reason="3 of 3 say down"),
        state="down",
        sentence="none of 1 addresses lives, so the published set stays (when-all-down keep)",
        published=("2001:db8::1",),
    ),
    changes=(
        change("held1", state="held", reason="more than may leave within one window"),
        change("wait1", not_before_wall=WALL + 5),
        change("fail1", state="failed", attempts=2, error="the provider refuses the key"),
        change("done1", state="applied", applied_wall=WALL - 60, before=(), after=("192.0.2.1",)),
    ),
    attention=(
        row(subject="shop.example.org"),
        row("warning", "released", "old.example.org"),
        row("info", "disagreement", "www.example.org"),
        row("info", "degraded", "www.example.org"),
    ),
    zones={
        "example.org": ZoneView(
            "example.org", WALL - 30, None, False, 2, "the provider answers 503", "next try in 8 s"
        )
    },
    operator=OperatorState(
        overrides={DRAIN.key: DRAIN},
        pauses={"example.org": Pause("example.org", "provider moves", "lee", WALL, WALL + 600)},
    ),
)


def status(of: Status = TROUBLE, cluster: ClusterView = ALONE, **info: object) -> Any:
    given = replace(INFO, **info)  # type: ignore[arg-type]
    return views.status_message(given, of, cluster, NOW)


def endpoints(of: Status = TROUBLE) -> Any:
    return json.loads(b"".join(endpoint_pieces(of, NOW)))


def screen(lines: list[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"


def test_status_when_something_is_wrong() -> None:
    expected = """
dnslb here  [NEEDS YOU]
singleton leader · file, unfenced · owner example · port 8080 · up 1h00m · version 0.1.0 · 00:00:00Z
PAUSED: example.org, by lee, for 10m00s more: provider moves

✗ CRITICAL  shop.example.org  all-down, for 4m00s
    shop.example.org is down: all endpoints are dead
    → next: dnslbctl why shop.example.org
▲ WARNING  old.example.org  released, for 4m00s
    old.example.org is down: all endpoints are dead
    → next: dnslbctl why old.example.org

names      2: 1 degraded, 1 down
endpoints  1 of 4 living, 2 addresses in DNS
agents     3 of 3 report
changes    1 pending, 1 held: dnslbctl changes
zone       example.org, read 30s ago; failed 2 times: the provider answers 503; not written now:
           next try in 8 s
also       www.example.org is down: all endpoints are dead

NAME              STATE       LIVING  IN DNS  WHY
shop.example.org  ✗ down      0 of 1  1       none of 1 addresses lives, so the published set stays
                                              (when-all-down keep)
www.example.org   ▲ degraded  1 of 3  1       1 of 3 addresses live
"""
    assert screen(pages.status_page(status(), WIDE)) == expected


def test_status_when_all_is_well() -> None:
    well = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
    expected = """
dnslb here  [HEALTHY]
singleton leader · file, fenced · owner example · port 8080
· up 1h00m · version 0.1.0 · 00:00:00Z

names      1: 1 healthy
endpoints  1 of 1 living, 1 address in DNS
agents     3 of 3 report
changes    none waiting
zone       example.org, read 30s ago, last written 1m30s ago
"""
    assert screen(pages.status_page(status(well, fenced=True), NARROW)) == expected


def test_status_with_nothing_configured() -> None:
    empty = picture(agents=(), zones={}, gate="no full round from a quorum of agents yet")
    shown = screen(pages.status_page(status(empty, provider=None, owner_id=None), WIDE))
    expected = """
dnslb here  [NOTHING TO DO]
singleton leader · no provider · port 8080 · up 1h00m · version 0.1.0 · 00:00:00Z

names    no load balancer is configured: there is nothing to publish
agents   no agent is configured: nobody votes
changes  none waiting
gate     nothing is written yet: no full round from a quorum of agents yet
"""
    assert shown == expected
    follows = {**status(empty), "role": "follower"}
    shown = screen(pages.status_page(follows, WIDE))  # type: ignore[arg-type]
    assert "gate" not in shown, "the leader is the one that would write"


def test_silent_and_suspect_agents_are_named() -> None:
    well = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
    first, second, third = well.agents
    agents = (
        replace(first, fresh=False, seen_mono=NOW.mono - 300),
        replace(second, fresh=False, seen_mono=None, report=None),
        replace(third, suspect=True),
    )
    shown = pages.status_page(status(replace(well, agents=agents)), WIDE)
    assert "agents     1 of 3 report; a1 silent for 5m00s; a2 never heard; a3 is suspect" in shown


@pytest.mark.parametrize(
    ("given", "cluster", "word"),
    [
        ({"attention": (row(),)}, ClusterView("candidate", 3, None, ()), "NO LEADER"),
        ({"attention": (row(),)}, ClusterView("removed", 3, None, ()), "REMOVED"),
        ({"attention": (row(),)}, ClusterView("dry-run", 3, None, ()), "DRY RUN"),
        ({"attention": (row(),)}, ALONE, "NEEDS YOU"),
        ({"operator": TROUBLE.operator}, ALONE, "PAUSED"),
        ({"attention": (row("warning"),)}, ALONE, "NEEDS YOU"),
        ({"attention": (row("info"),)}, ALONE, "DEGRADED"),
    ],
)
def test_one_word_sums_up(given: dict[str, Any], cluster: ClusterView, word: str) -> None:
    of = picture(lb("www.example.org", ep("tcp://192.0.2.1:80"), state="degraded"), **given)
    assert pages.summary_word(status(of, cluster))[0] == word


def test_a_member_of_a_cluster_names_its_leader() -> None:
    cluster = ClusterView("follower", 42, ("fra-2", "10.0.0.2:3648"), ())
    shown = pages.status_page(status(TROUBLE, cluster, election="raft"), WIDE)
    assert shown[1].startswith("raft follower · leader fra-2 at 10.0.0.2:3648 · term 42 · file")


def test_check_shows_only_what_needs_a_person() -> None:
    assert pages.check_page(status(picture()), WIDE) == ["✓ nothing needs a person"]
    shown = pages.check_page(status(), WIDE)
    assert [line[:10] for line in shown if not line.startswith(" ")] == ["✗ CRITICAL", "▲ WARNING "]


def test_endpoints() -> None:
    expected = """
ENDPOINT                         STATE      IN DNS  VOTES   FOR    WHY
www.example.org
  tcp://192.0.2.1:80             ✓ up       yes     3 up    1m00s
  tcp://192.0.2.2:80             ✗ down     no      3 down  1m00s  3 of 3 agents say down
                                                                   (connection refused)
  tcp://192.0.2.3:80             · drained  no      3 up    1m00s  drained by kim: kernel; 3 of 3
                                                                   agents say up
shop.example.org
  http://[2001:db8::1]:80/ready  ✗ down     yes     3 down  1m00s  3 of 3 say down
"""
    assert screen(pages.endpoints_page(endpoints(), AT, WIDE)) == expected
    assert pages.endpoints_page([], AT, WIDE) == ["no endpoint is configured"]


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("tcp://192.0.2.10:80", "192.0.2.10", "tcp://192.0.2.10:80"),
        ("tcp://192.0.2.10:80", "192.0.2.1", "tcp://192.0.2.10:80 → 192.0.2.1"),
        ("tcp://[2001:db8::1]:80", "2001:db8::1", "tcp://[2001:db8::1]:80"),
        ("tcp://10.0.0.1:80", "2001:db8::1", "tcp://10.0.0.1:80 → 2001:db8::1"),
    ],
)
def test_an_endpoint_names_the_address_that_it_speaks_for(
    url: str, address: str, shown: str
) -> None:
    endpoint: Any = {"endpoint": url, "address": address}
    assert pages.named(endpoint, WIDE) == shown


def test_votes_in_words() -> None:
    def shown(*votes: str) -> str:
        endpoint: Any = {"votes": {str(i): {"vote": vote} for i, vote in enumerate(votes)}}
        return pages.votes_of(endpoint)

    assert shown("up", "up", "up") == "3 up"
    assert shown("up", "down", "unknown", "down") == "1 up 2 down 1 ?"
    assert shown(*["up"] * 10, "unknown") == "10 up 1 ?"
    assert shown() == "none"


def test_changes_in_ascii() -> None:
    rows: Any = [views.change_message(one) for one in TROUBLE.changes]
    expected = """
ID     STATE       AGE  RECORD             CHANGE      WHY
held1  = held     5.0s  www.example.org A  -192.0.2.2  more than may leave within one window;
                                                       dnslbctl approve held1 lets it go out, drop
                                                       gives it up
wait1  - pending  5.0s  www.example.org A  -192.0.2.2  192.0.2.2 is down; not before 00:00:05Z
fail1  x failed   5.0s  www.example.org A  -192.0.2.2  192.0.2.2 is down; failed 2 times: the
                                                       provider refuses the key
done1  + applied  5.0s  www.example.org A  +192.0.2.1  192.0.2.2 is down; applied at 2025-12-31
                                                       23:59:00Z
"""
    assert screen(pages.changes_page(rows, AT, ASCII)) == expected
    assert pages.changes_page([], AT, WIDE) == [
        "no change is under way, and none was made in the last hour"
    ]


def test_differences() -> None:
    def shown(before: tuple[str, ...], after: tuple[str, ...]) -> str:
        message: Any = views.change_message(change(before=before, after=after))
        return pages.difference(message)

    assert shown(("a", "b"), ("b", "c")) == "-a +c"
    assert shown(("a",), ("a",)) == "ttl 60"
    assert shown(("a", "b", "c"), ("d", "e")) == "-3 +2 addresses"
    assert shown(("a", "b", "c", "d", "e"), ()) == "-5 addresses"


def test_overrides() -> None:
    orders: Any = views.order_messages(TROUBLE)
    expected = """
ORDER  SUBJECT             NAME             BY   HOLDS            REASON
drain  tcp://192.0.2.3:80  www.example.org  kim  for 1h00m more   kernel
pause  example.org                          lee  for 10m00s more  provider moves
"""
    assert screen(pages.orders_page(orders, AT, WIDE)) == expected
    assert pages.orders_page([], AT, WIDE) == ["nothing is overridden, paused, approved or dropped"]


def test_members() -> None:
    cluster = ClusterView("leader", 3, ("a", "10.0.0.1:1"), (
        MemberView("a", "10.0.0.1:1", "voter", "leader", True, "0.1.0", "abcdef0123"),
        MemberView("b", "10.0.0.2:1", "voter", "follower", False, "0.1.0", "abcdef01", 1.4, 9, 20,
                   reached=False),
        MemberView("c", "10.0.0.3:1", "nonvoter", "follower", False, "0.0.9"),
    ))  # fmt: skip
    rows: Any = views.member_messages(cluster)
    expected = """
MEMBER    ROLE      SUFFRAGE       HEARD  BEHIND  VERSION  CONFIG    ADDRESS
a (here)  leader    voter              -       -  0.1.0    abcdef01  10.0.0.1:1
b         follower  voter     1.4s, lost      20  0.1.0    abcdef01  10.0.0.2:1
c         follower  nonvoter    not seen       -  0.0.9              10.0.0.3:1
"""
    assert screen(pages.members_page(rows, WIDE)) == expected


def test_why() -> None:
    why: Any = why_message(TROUBLE, TROUBLE.loadbalancers["www.example.org"], NOW)
    expected = """
www.example.org  [▲ degraded]  at 00:00:00Z
1 of 3 addresses live

in DNS  192.0.2.1
wanted  192.0.2.1 (as it is)
rule    verdicts
zone    example.org
paused  example.org by lee, for 10m00s more: provider moves

tcp://192.0.2.1:80  ✓ up for 1m00s, counts as living, in DNS
  3 of 3 agents say up
    a1  ✓ up  2.0s ago
    a2  ✓ up  2.0s ago
    a3  ✓ up  2.0s ago

tcp://192.0.2.2:80  ✗ down for 1m00s, counts as dead, not in DNS
  3 of 3 agents say down (connection refused)
    a1  ✗ down  2.0s ago  connection refused
    a2  ✗ down  2.0s ago  connection refused
    a3  ✗ down  2.0s ago  connection refused

tcp://192.0.2.3:80  ✓ up for 1m00s, drained, not in DNS
  Drained by kim: kernel; 3 of 3 agents say up
  Drained for 1h00m more; dnslbctl --lb www.example.org clear tcp://192.0.2.3:80 ends that
    a1  ✓ up  2.0s ago
    a2  ✓ up  2.0s ago
    a3  ✓ up  2.0s ago

changes
ID     STATE    AGE  RECORD             CHANGE      WHY
held1  ‖ held  5.0s  www.example.org A  -192.0.2.2  more than may leave within one window; dnslbctl
                                                    approve held1 lets it go out, drop gives it up

earlier decisions, newest first
  2025-12-31 23:50:00Z  2 addresses live (wanted: 192.0.2.1, 192.0.2.2)
"""
    why["changes"] = why["changes"][:1]
    assert screen(why_page(why, AT, WIDE)) == expected


def test_why_says_what_differs_and_what_stands_in_the_way() -> None:
    of = picture(
        lb(
            "www.example.org",
            ep("tcp://192.0.2.1:80"),
            zone=None,
            desired=("192.0.2.1", "192.0.2.9"),
            published=("192.0.2.1", "192.0.2.2"),
            frozen="its evaluation failed",
        ),
        gate="waiting for a full round",
    )
    why: Any = why_message(of, of.loadbalancers["www.example.org"], NOW)
    shown = why_page(why, AT, WIDE)
    assert "FROZEN, since its evaluation failed: its evaluation failed" in shown
    assert "wanted  192.0.2.1, 192.0.2.9 (-192.0.2.2 +192.0.2.9)" in shown
    assert "zone    none was found yet" in shown
    assert "gate    nothing is written yet: waiting for a full round" in shown


def test_an_event() -> None:
    event = views.event_message(3, entry("www.example.org \x1b[2J is down"))
    shown = pages.event_line(event, AT, WIDE)
    assert shown == "00:00:00Z  verdict       www.example.org \\x1b[2J is down"


def test_nothing_hostile_is_printed_from_any_field() -> None:
    """Every text of every answer is replaced by one that would clear the screen."""

    def poisoned(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poisoned(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poisoned(v, key) for v in value]
        words = {"severity", "state", "role", "suffrage", "vote", "counts_as"}
        orders = key == "kind" and value in ("drain", "force-up", "force-down")
        times = isinstance(value, str) and value.endswith("Z") and value[:2] == "20"
        if not isinstance(value, str) or key in words or orders or times:
            return value
        return value + "\x1b[2J"

    why = why_message(TROUBLE, TROUBLE.loadbalancers["www.example.org"], NOW)
    lines = [
        *pages.status_page(poisoned(status()), WIDE),
        *pages.endpoints_page(poisoned(endpoints()), AT, WIDE),
        *pages.changes_page(poisoned([views.change_message(c) for c in TROUBLE.changes]), AT, WIDE),
        *pages.orders_page(poisoned(views.order_messages(TROUBLE)), AT, WIDE),
        *pages.members_page(poisoned(views.member_messages(ALONE)), WIDE),
        *why_page(poisoned(why), AT, WIDE),
    ]
    assert any("\\x1b[2J" in line for line in lines)
    assert [line for line in lines if line != plain(line)] == []
