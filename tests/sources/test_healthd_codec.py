"""The codec alone: what lists say, what statuses mean, and what is refused in which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import Monitor
from dnslb.model.report import DOWN, MESSAGE_LENGTH_MAX, UNKNOWN, UP
from dnslb.sources.healthd_codec import (
    CONTRADICTION,
    UNPRINTABLE,
    Matched,
)
from tests.sources.statuses import (
    BLANK,
    BODIES,
    HTTP,
    OTHER,
    READY,
    SIX,
    TCP,
    legacy,
    rich,
    status,
    wire,
)

# ------------------------------------------------------------------------------------- lists


def test_the_legacy_list_has_one_entry_per_endpoint_in_order() -> None:
    monitors = wire(HTTP, OTHER, slots=(0, 1, 0))
    assert json.loads(monitors.legacy_body) == [
        "http://10.0.0.1:80",
        "tcp://10.0.0.2:443",
        "http://10.0.0.1:80",
    ]


@pytest.mark.parametrize(
    "monitor",
    [
        SIX,
        READY,
        Monitor("http", "10.0.0.1", 80, host_header="www.example.org"),
        Monitor("http", "10.0.0.1", 80, expect=(200, 399)),
    ],
    ids=["IPv6", "path", "host header", "expected codes"],
)
def test_what_old_agents_would_not_check_alike_is_left_out_and_named(monitor: Monitor) -> None:
    monitors = wire(HTTP, monitor, OTHER)
    assert json.loads(monitors.legacy_body) == ["http://10.0.0.1:80", "tcp://10.0.0.2:443"]
    assert monitors.left_out == (monitor.url,)


def test_the_path_that_old_agents_ask_for_anyway_is_not_written() -> None:
    monitors = wire(Monitor("http", "10.0.0.1", 80, path="/healthz"))
    assert monitors.legacy_body == b'["http://10.0.0.1:80"]'
    assert monitors.left_out == ()


def test_the_rich_list_holds_everything_each_monitor_once() -> None:
    monitor = Monitor(
        "https",
        "2001:db8::1",
        8443,
        path="/ready",
        interval_s=2.5,
        timeout_s=0.5,
        host_header="www.example.org",
        expect=(200, 204),
        rise=3,
        fall=4,
    )
    assert json.loads(wire(monitor, slots=(0, 0)).rich_body) == [
        {
            "id": monitor.id,
            "url": "https://[2001:db8::1]:8443/ready",
            "interval": 2.5,
            "timeout": 0.5,
            "rise": 3,
            "fall": 4,
            "host": "www.example.org",
            "expect": [200, 204],
        }
    ]


def test_an_empty_configuration_is_an_empty_list() -> None:
    assert wire().legacy_body == wire().rich_body == b"[]"


# -------------------------------------------------------------------------- legacy statuses


def test_a_report_in_the_order_of_the_list() -> None:
    found = legacy(wire(HTTP, OTHER), status(HTTP, True, "success"), status(OTHER, False, "no"))
    assert found == Matched(bytes([UP, DOWN]), {1: "no"}, True, "position")


def test_position_tells_two_monitors_of_one_address_apart() -> None:
    found = legacy(wire(HTTP, TCP), status(HTTP, False, "code"), status(TCP, True))
    assert found.votes == bytes([DOWN, UP])
    assert found.how == "position"


def test_position_means_nothing_to_an_agent_that_did_not_fetch_this_list() -> None:
    monitors = wire(HTTP, TCP, OTHER)
    statuses = (status(HTTP, False), status(TCP, True), status(OTHER, False))
    found = legacy(monitors, *statuses, trust_position=False)
    assert found.votes == bytes([UNKNOWN, UNKNOWN, DOWN])
    assert found.messages == {0: CONTRADICTION, 1: CONTRADICTION}
    assert found.complete


@pytest.mark.parametrize("healthy", [True, False])
def test_without_position_statuses_of_one_address_count_where_they_agree(healthy: bool) -> None:
    found = legacy(wire(HTTP, TCP, OTHER), status(HTTP, healthy), status(TCP, healthy))
    vote = UP if healthy else DOWN
    assert found == Matched(bytes([vote, vote, UNKNOWN]), {}, True, "address")


def test_one_address_out_of_place_makes_position_meaningless() -> None:
    found = legacy(
        wire(HTTP, TCP, OTHER), status(HTTP, False), status(OTHER, True), status(TCP, True)
    )
    assert found.votes == bytes([UNKNOWN, UNKNOWN, UP])
    assert found.how == "address"


def test_a_blank_status_is_no_vote_and_makes_the_report_incomplete() -> None:
    found = legacy(wire(HTTP, OTHER), BLANK, status(OTHER, True))
    assert found == Matched(bytes([UNKNOWN, UP]), {}, False, "position")


def test_a_blank_status_out_of_place_is_no_vote_either() -> None:
    found = legacy(wire(HTTP, OTHER), status(OTHER, True), BLANK, BLANK)
    assert found == Matched(bytes([UNKNOWN, UP]), {}, False, "address")


def test_a_blank_status_says_nothing_even_when_it_says_healthy() -> None:
    found = legacy(wire(HTTP), {**BLANK, "Healthy": True})
    assert found == Matched(bytes([UNKNOWN]), {}, False, "position")


def test_monitors_that_the_agents_list_lacked_are_unknown_but_leave_the_report_complete() -> None:
    found = legacy(wire(HTTP, OTHER, SIX), status(HTTP, True))
    assert found == Matched(bytes([UP, UNKNOWN, UNKNOWN]), {}, True, "address")


def test_statuses_of_what_we_do_not_monitor_are_counted_and_dropped() -> None:
    found = legacy(wire(HTTP), status(OTHER, False), status(HTTP, True))
    assert found == Matched(bytes([UP]), {}, True, "address", strangers=1)


def test_an_old_agents_status_never_speaks_for_a_richer_monitor() -> None:
    """READY has the ip:port of OTHER, but an old agent never asked for its path."""
    monitors = wire(OTHER, READY)
    assert legacy(monitors, status(OTHER, False)).votes == bytes([DOWN, UNKNOWN])
    both = legacy(monitors, status(OTHER, True), status(READY, True))
    assert both.votes == bytes([UP, UNKNOWN])


def test_a_monitor_in_several_slots_has_one_vote_when_they_agree() -> None:
    monitors = wire(HTTP, OTHER, slots=(0, 1, 0))
    found = legacy(monitors, status(HTTP, True), status(OTHER, True), status(HTTP, True))
    assert found == Matched(bytes([UP, UP]), {}, True, "position")


def test_a_monitor_in_several_slots_is_unknown_when_they_disagree() -> None:
    monitors = wire(HTTP, OTHER, slots=(0, 1, 0, 0))
    one, other = status(HTTP, True), status(HTTP, False, "refused")
    for statuses in (
        (one, other, other),
        (other, one, one),
        (one, other, one),
        (other, one, other),
    ):
        first, second, third = statuses
        found = legacy(monitors, first, status(OTHER, True), second, third)
        assert found == Matched(bytes([UNKNOWN, UP]), {0: CONTRADICTION}, True, "position")


def test_an_empty_report_is_no_vote() -> None:
    assert legacy(wire(HTTP)) == Matched(bytes([UNKNOWN]), {}, True, "address")


@given(st.data())
def test_position_and_address_agree_wherever_every_address_has_one_monitor(
    data: st.DataObject,
) -> None:
    monitors = [Monitor("tcp", f"10.0.0.{n}", 80) for n in range(1, 6)]
    views = data.draw(st.lists(st.sampled_from([None, True, False]), min_size=5, max_size=5))
    statuses = [
        BLANK if healthy is None else status(monitor, healthy)
        for monitor, healthy in zip(monitors, views, strict=True)
    ]
    found = legacy(wire(*monitors), *statuses)
    shuffled = data.draw(st.permutations(statuses))
    other = legacy(wire(*monitors), *shuffled, trust_position=False)
    assert (found.votes, found.complete) == (other.votes, other.complete)
    assert list(found.votes) == [{None: UNKNOWN, True: UP, False: DOWN}[view] for view in views]


# ---------------------------------------------------------------------------- rich statuses


def test_rich_statuses_go_by_id_in_any_order() -> None:
    monitors = wire(HTTP, TCP, SIX)
    statuses = [
        status(SIX, False, "refused", id=SIX.id),
        status(HTTP, True, id=HTTP.id),
        status(TCP, False, id=TCP.id),
    ]
    expected = Matched(bytes([UP, DOWN, DOWN]), {2: "refused"}, True, "id")
    assert rich(monitors, *statuses) == expected
    assert rich(monitors, statuses[1], statuses[2], statuses[0]) == expected


def test_rich_statuses_of_monitors_that_left_count_for_nothing() -> None:
    found = rich(wire(HTTP), status(OTHER, False, id=OTHER.id), status(HTTP, True, id=HTTP.id))
    assert found == Matched(bytes([UP]), {}, True, "id", strangers=1)


def test_a_changed_monitor_is_another_monitor() -> None:
    slower = Monitor("http", "10.0.0.1", 80, timeout_s=2.0)
    assert rich(wire(slower), status(HTTP, False, id=HTTP.id)).votes == bytes([UNKNOWN])


def test_rich_blank_statuses_make_the_report_incomplete() -> None:
    monitors = wire(HTTP, OTHER)
    found = rich(monitors, {**BLANK, "id": HTTP.id}, status(OTHER, True, id=OTHER.id))
    assert found == Matched(bytes([UNKNOWN, UP]), {}, False, "id")


def test_one_id_twice_is_one_vote_or_none() -> None:
    up, down = status(HTTP, True, id=HTTP.id), status(HTTP, False, id=HTTP.id)
    assert rich(wire(HTTP), up, up).votes == bytes([UP])
    assert rich(wire(HTTP), up, down).votes == bytes([UNKNOWN])


# ------------------------------------------------------------------------- messages, limits


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("connection refused", "connection refused"),
        ("", None),
        ("a\nb\x1b[31mc\u202e", "a b [31mc"),
        ("x" * 5000, "x" * (MESSAGE_LENGTH_MAX - 1) + "…"),
    ],
)
def test_messages_are_bounded_and_printable(message: str, shown: str | None) -> None:
    found = legacy(wire(HTTP), status(HTTP, False, message))
    assert found.messages.get(0) == shown


def test_what_is_well_keeps_no_message() -> None:
    assert legacy(wire(HTTP), status(HTTP, True, "success")).messages == {}


def test_cleaning_messages_has_a_limit_of_its_own() -> None:
    monitors = [Monitor("tcp", f"10.0.{n // 250}.{n % 250}", 80) for n in range(1000)]
    found = legacy(wire(*monitors), *(status(monitor, False, "a\tb") for monitor in monitors))
    assert found.votes == bytes([DOWN]) * 1000
    assert found.messages[0] == "a b"
    assert found.messages[999] == UNPRINTABLE


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the list of status entries: input data was truncated"),
        (b"null", "the list of status entries: expected array, got null"),
        (b'{"Status":[]}', "the list of status entries: expected array, got object"),
        (b"[1]", "status 1: expected object, got int"),
        (b'[{"IP":"10.0.0.1"}]', "status 1: object missing required field Port"),
        (
            b'[{"IP":"","Port":0,"Healthy":false},{"IP":"","Port":"80","Healthy":true}]',
            "status 2, Port: expected int, got str",
        ),
        (
            b'[{"IP":"","Port":0,"Healthy":"yes"}]',
            "status 1, Healthy: expected bool, got str",
        ),
        (b'[{"IP":"\xff","Port":0,"Healthy":true}]', "byte 0 of a text is no UTF-8"),
        (
            b'[{"IP":"","Port":0,"Healthy":true,"x":' + b"[" * 100_000,
            "the list of status entries is nested too deep",
        ),
    ],
)
def test_malformed_statuses_are_refused_with_the_place(body: bytes, sentence: str) -> None:
    with pytest.raises(SourceError) as refused:
        wire(HTTP).match(body, rich=False)
    assert str(refused.value) == sentence


def test_rich_statuses_without_ids_are_refused() -> None:
    with pytest.raises(SourceError, match="status 1: object missing required field id"):
        rich(wire(HTTP), status(HTTP, True))


@given(BODIES, st.booleans())
def test_any_bytes_are_votes_or_a_sentence(body: bytes, is_rich: bool) -> None:
    sentence = ""
    try:
        assert len(wire(HTTP, TCP).match(body, rich=is_rich).votes) == 2
    except SourceError as error:
        sentence = str(error)
    assert sentence.isprintable()
