"""Bodies and queries: taken whole, or refused with a sentence that names the key."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from dnslb.api.codec import REQUEST_BYTES_MAX, Malformed
from dnslb.control.requests import (
    TIMEOUT_DEFAULT_S,
    TIMEOUT_S_MAX,
    to_cluster_command,
    to_command,
    to_count,
    to_flag,
)
from dnslb.model.command import COMMAND_KINDS, Command


def command(**fields: object) -> tuple[Command, float]:
    return to_command(json.dumps(fields).encode(), "kim", 1000.0)


def test_a_command_with_everything() -> None:
    given_, timeout_s = command(
        kind="drain",
        subjects=["192.0.2.1"],
        reason="kernel update",
        lb="www.example.org",
        for_seconds=60,
        insist=True,
        delete=False,
        timeout=5,
    )
    assert given_ == Command(
        kind="drain",
        subjects=("192.0.2.1",),
        by="kim",
        reason="kernel update",
        lb="www.example.org",
        expires_wall=1060.0,
        insist=True,
    )
    assert timeout_s == 5.0


def test_what_is_left_out_has_its_default() -> None:
    given_, timeout_s = command(kind="sync")
    assert given_ == Command("sync", (), "kim")
    assert timeout_s == TIMEOUT_DEFAULT_S
    assert command(kind="sync", timeout=1e9)[1] == TIMEOUT_S_MAX


def test_an_end_at_a_time_of_day() -> None:
    given_, _ = command(kind="pause", reason="r", expires_at="1970-01-01T01:00:00Z")
    assert given_.expires_wall == 3600.0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "kind: one of drain,"),
        ({"kind": "reboot"}, "kind: one of drain,"),
        ({"kind": ["drain"]}, "kind: one of drain,"),
        ({"kind": "sync", "expires": 1}, "unknown key 'expires'; known are delete,"),
        ({"kind": "drain"}, "subjects: drain takes one endpoint"),
        ({"kind": "drain", "subjects": ["a", "b"]}, "subjects: drain takes one endpoint"),
        ({"kind": "approve", "subjects": []}, "subjects: approve takes the ids of held changes"),
        ({"kind": "approve", "subjects": ["x"] * 101}, "subjects: at most 100"),
        ({"kind": "sync", "subjects": "zone"}, "subjects: a list of texts"),
        ({"kind": "sync", "subjects": [1]}, "subjects: a text"),
        ({"kind": "sync", "reason": "x" * 1001}, "reason: a text of at most 1000"),
        ({"kind": "sync", "reason": "a\nb"}, "reason: one line without control"),
        ({"kind": "sync", "reason": "a\x1b[2Jb"}, "reason: one line without control"),
        ({"kind": "sync", "reason": "\ud800"}, "reason: one line without control"),
        ({"kind": "sync", "reason": "a\u202eb"}, "reason: one line without control"),
        ({"kind": "sync", "insist": 1}, "insist: true or false"),
        ({"kind": "sync", "timeout": 0}, "timeout: a number of seconds above 0"),
        ({"kind": "sync", "timeout": True}, "timeout: a number of seconds"),
        ({"kind": "sync", "for_seconds": -1}, "for_seconds: a number of seconds above 0"),
        ({"kind": "sync", "for_seconds": "1h"}, "for_seconds: a number of seconds"),
        ({"kind": "sync", "expires_at": "tomorrow"}, "RFC 3339"),
        (
            {"kind": "sync", "for_seconds": 1, "expires_at": "2026-01-01T00:00:00Z"},
            "exclude each other",
        ),
    ],
)
def test_a_wrong_command_is_refused_with_its_key(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(Malformed) as refused:
        command(**fields)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"sync"', b"{", b"\xff", b"[" * 9999])
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    for parse in (lambda: to_command(body, "kim", 0.0), lambda: to_cluster_command(body, "kim")):
        with pytest.raises(Malformed):
            parse()


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps(text).encode()))
def test_no_body_raises_anything_else(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert to_command(body, "kim", 0.0)[0].by == "kim"


@given(
    st.dictionaries(
        st.sampled_from(("kind", "subjects", "reason", "lb", "expires_at", "timeout", "insist")),
        st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.text()),
    ),
    st.sampled_from(COMMAND_KINDS),
)
def test_no_object_raises_anything_else(fields: dict[str, object], kind: str) -> None:
    body = json.dumps({**fields, "kind": fields.get("kind", kind)}).encode()
    try:
        found, timeout_s = to_command(body, "kim", 0.0)
    except Malformed:
        return
    assert found.by == "kim"
    assert found.kind in COMMAND_KINDS
    assert 0 < timeout_s <= TIMEOUT_S_MAX


def test_too_much_is_not_decoded() -> None:
    body = b'{"kind":"sync","reason":"' + b"x" * REQUEST_BYTES_MAX + b'"}'
    with pytest.raises(Malformed, match="more than the"):
        to_command(body, "kim", 0.0)


def test_a_cluster_command() -> None:
    body = b'{"command":"add_voter","arguments":["b","localhost:3650","0"]}'
    found = to_cluster_command(body, "kim")
    assert (found.name, found.arguments, found.by) == (
        "add_voter",
        ("b", "localhost:3650", "0"),
        "kim",
    )
    for wrong in (b"{}", b'{"command":""}', b'{"command":"leader","args":[]}'):
        with pytest.raises(Malformed):
            to_cluster_command(wrong, "kim")


def test_only_the_data_of_apply_log_may_be_long() -> None:
    long = "x" * 64_000

    def written(name: str, text: str) -> bytes:
        return json.dumps({"command": name, "arguments": [text, ""]}).encode()

    assert to_cluster_command(written("apply_log", long), "kim").arguments == (long, "")
    for name, text in (("apply_log", "x" * 70_000), ("remove_server", "x" * 1001)):
        with pytest.raises(Malformed, match="arguments: a text of at most"):
            to_cluster_command(written(name, text), "kim")


def test_fields_of_a_query() -> None:
    assert to_flag({"all": "1"}, "all")
    assert not to_flag({}, "all")
    assert to_count({"after": "17"}, "after") == 17
    assert to_count({}, "after") == 0
    for wrong in ("yes", "", "2"):
        with pytest.raises(Malformed, match="all: 0 or 1"):
            to_flag({"all": wrong}, "all")
    for wrong in ("-1", "x", "", "9" * 30, "٣"):
        with pytest.raises(Malformed, match="after: a whole number"):
            to_count({"after": wrong}, "after")
