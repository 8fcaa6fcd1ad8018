"""The agent's half of the codec: lists as they are read, statuses as they are posted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import Monitor
from dnslb.model.report import DOWN, MESSAGE_LENGTH_MAX, UNKNOWN, UP
from dnslb.sources.healthd_codec import (
    STATUSES_BYTES_MAX,
    Announced,
    WireMonitors,
    read_monitors,
    write_statuses,
)
from tests.sources.statuses import (
    BLANK,
    BODIES,
    HTTP,
    OTHER,
    SIX,
    TCP,
    wire,
)


def both_ends(monitors: WireMonitors, *, rich: bool) -> Announced:
    return read_monitors(monitors.rich_body if rich else monitors.legacy_body, rich=rich)


@pytest.mark.parametrize("is_rich", [True, False])
def test_what_one_end_announces_and_posts_the_other_reads(is_rich: bool) -> None:
    monitors = wire(HTTP, TCP, OTHER, slots=(0, 1, 0, 2))
    announced = both_ends(monitors, rich=is_rich)
    assert announced.monitors.monitors == (HTTP, TCP, OTHER)
    body = write_statuses(announced, bytes([DOWN, UP, UNKNOWN]), {0: "refused"}, changed={0})
    found = monitors.match(body, rich=is_rich)
    assert found.votes == bytes([DOWN, UP, UNKNOWN])
    assert found.messages == {0: "refused"}
    assert not found.complete


def test_rich_monitors_come_across_whole() -> None:
    monitor = Monitor("https", "2001:db8::1", 443, "/r", 2.0, 0.3, "example.org", (204, 204), 1, 5)
    assert both_ends(wire(monitor), rich=True).monitors.monitors == (monitor,)


def test_legacy_statuses_have_exactly_the_form_of_the_go_agent() -> None:
    none = Monitor("none", "10.0.0.3", 1)
    announced = both_ends(wire(HTTP, OTHER, none, TCP), rich=False)
    body = write_statuses(announced, bytes([UP, DOWN, UP, UNKNOWN]), {1: "refused"}, changed={1})
    assert body == (
        b'[{"IP":"10.0.0.1","Port":80,"Healthy":true,"Message":"success","DidChange":false},'
        b'{"IP":"10.0.0.2","Port":443,"Healthy":false,"Message":"refused","DidChange":true},'
        b'{"IP":"10.0.0.3","Port":1,"Healthy":true,"Message":"unknown","DidChange":false},'
        b'{"IP":"","Port":0,"Healthy":false,"Message":"","DidChange":false}]'
    )


def test_a_check_that_proves_nothing_does_not_look_like_one_to_come() -> None:
    """An agent without IPv6 never knows of SIX; its reports are complete all the same."""
    monitors = wire(HTTP, SIX)
    announced = both_ends(monitors, rich=True)
    votes = bytes([UP, UNKNOWN])
    found = monitors.match(write_statuses(announced, votes, {}, complete=True), rich=True)
    assert (found.votes, found.complete) == (votes, True)
    found = monitors.match(write_statuses(announced, votes, {}, complete=False), rich=True)
    assert (found.votes, found.complete) == (votes, False)


def test_the_interval_is_for_legacy_lists_alone() -> None:
    legacy_list = read_monitors(b'["tcp://10.0.0.1:80"]', rich=False, interval_s=5.0)
    assert legacy_list.monitors.monitors[0].interval_s == 5.0
    rich_list = read_monitors(b'[{"id":"a","url":"tcp://10.0.0.1:80"}]', rich=True, interval_s=5.0)
    assert rich_list.monitors.monitors[0].interval_s == 1.0


def test_an_entry_that_is_not_understood_spoils_only_itself() -> None:
    announced = read_monitors(b'["grpc://10.0.0.9:1","tcp://10.0.0.2:443"]', rich=False)
    assert announced.entries == (None, 0)
    (problem,) = announced.problems
    assert problem.startswith("monitor 1 is not checked: 'grpc://10.0.0.9:1': 'grpc' is none of")
    body = write_statuses(announced, bytes([UP]), {})
    assert json.loads(body)[0] == BLANK
    body = b'[{"id":"a","url":"tcp://10.0.0.2:443","rise":0},{"id":"b","url":"tcp://10.0.0.2:443"}]'
    announced = read_monitors(body, rich=True)
    assert announced.problems == ("monitor 1 is not checked: rise 0 is not between 1 and 100",)
    assert [entry["id"] for entry in json.loads(write_statuses(announced, bytes([UP]), {}))] == [
        "b"
    ]


@pytest.mark.parametrize(
    ("body", "is_rich", "sentence"),
    [
        (b"<html>", False, "the list of monitor entries: JSON is malformed"),
        (b'["a", 1]', False, "monitor 2: expected str, got int"),
        (b'{"error":"x"}', True, "the list of monitor entries: expected array, got object"),
    ],
)
def test_what_is_no_list_is_refused_whole(body: bytes, is_rich: bool, sentence: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_monitors(body, rich=is_rich)
    assert str(refused.value).lower().startswith(sentence.lower())


@given(BODIES, st.booleans())
def test_any_bytes_are_a_list_or_a_sentence(body: bytes, is_rich: bool) -> None:
    sentence = ""
    try:
        announced = read_monitors(body, rich=is_rich)
        assert announced.entries.count(None) == len(announced.problems)
    except SourceError as error:
        sentence = str(error)
    assert sentence.isprintable()


def test_a_mass_failure_is_still_small_enough_to_be_told() -> None:
    monitors = wire(*(Monitor("tcp", f"10.0.{n // 250}.{n % 250}", 80) for n in range(9000)))
    announced = both_ends(monitors, rich=False)
    messages = dict.fromkeys(range(9000), "m" * MESSAGE_LENGTH_MAX)
    body = write_statuses(announced, bytes([DOWN]) * 9000, messages)
    assert len(body) <= STATUSES_BYTES_MAX
    assert monitors.match(body, rich=False).votes == bytes([DOWN]) * 9000
