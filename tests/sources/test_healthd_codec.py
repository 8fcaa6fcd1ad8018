"""The codec alone: what lists say, what statuses mean, and what is refused in which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import SourceError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, MESSAGE_LENGTH_MAX, UNKNOWN, UP
from dnslb.sources.healthd_codec import (
    CONTRADICTION,
    STATUSES_BYTES_MAX,
    UNPRINTABLE,
    Announced,
    Matched,
    WireMonitors,
    read_monitors,
    write_statuses,
)

HTTP = Monitor("http", "10.0.0.1", 80)
TCP = Monitor("tcp", "10.0.0.1", 80)
OTHER = Monitor("tcp", "10.0.0.2", 443)
SIX = Monitor("tcp", "2001:db8::1", 443)
READY = Monitor("http", "10.0.0.2", 443, path="/ready")

BLANK = {"IP": "", "Port": 0, "Healthy": False, "Message": "", "DidChange": False}

# Bytes of all kinds: garbage, JSON of any shape, and lists that are nearly right.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
URLS = st.text("htps:/.[]019-_ é\n", max_size=20) | st.sampled_from([HTTP.url, SIX.url])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "IP": st.sampled_from(["", "10.0.0.1"]) | VALUES,
        "Port": st.sampled_from([0, 80]) | VALUES,
        "Healthy": st.booleans() | VALUES,
        "Message": VALUES,
        "id": st.sampled_from([HTTP.id, "x"]) | VALUES,
        "url": URLS | VALUES,
        "interval": st.floats() | VALUES,
        "expect": st.lists(st.integers(), max_size=3) | VALUES,
        "host": st.text(max_size=5) | VALUES,
    },
)
BODIES = (
    st.binary(max_size=100)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.lists(ENTRIES | URLS, max_size=3).map(lambda value: json.dumps(value).encode())
    | st.lists(ENTRIES, max_size=3).map(lambda value: json.dumps(value).encode()[:-2])
)


def wire(*monitors: Monitor, slots: tuple[int, ...] | None = None) -> WireMonitors:
    return WireMonitors(MonitorList(monitors, slots or tuple(range(len(monitors)))))


def status(monitor: Monitor, healthy: bool, message: str = "", **more: object) -> dict[str, object]:
    found = {"IP": monitor.host, "Port": monitor.port, "Healthy": healthy}
    return {**found, "Message": message, "DidChange": False, **more}


def legacy(
    monitors: WireMonitors, *statuses: dict[str, object], trust_position: bool = True
) -> Matched:
    body = json.dumps(statuses).encode()
    return monitors.match(body, rich=False, trust_position=trust_position)


def rich(monitors: WireMonitors, *statuses: dict[str, object]) -> Matched:
    return monitors.match(json.dumps(statuses).encode(), rich=True)


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


# -------------------------------------------------------------------------- the agent's side


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
