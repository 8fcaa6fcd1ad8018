"""Envelopes: any bytes at all have a meaning, and it is never "empty"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import OutcomeUnknown, ProviderConflict, ProviderRefusal, ProviderTemporary
from dnslb.providers.autodns_answer import (
    RETRY_AFTER_S_MAX,
    Answer,
    CredentialsRejected,
    RateLimited,
    ZoneMissing,
    read_error,
    to_answer,
    write_error,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
)
KEYS = st.sampled_from(
    ["stid", "status", "object", "data", "messages", "code", "type", "text", "summary"]
)
ENVELOPES = st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON) | st.lists(JSON))
STATUSES = st.integers(200, 599)


def envelope(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def refused(*codes: str, status: int = 400) -> Answer:
    messages = [{"code": code, "status": "ERROR", "text": "Text"} for code in codes]
    body = envelope(status={"code": "E0202001", "type": "ERROR"}, messages=messages)
    return to_answer(status, {}, body)


def test_a_whole_answer() -> None:
    body = envelope(
        stid="20261123-app1-100001",
        status={"code": "S0205", "text": "Gut.", "type": "SUCCESS"},
        object={"type": "Zone", "summary": 3},
        data=[{"origin": "example.org"}],
        new={"field": True},
    )
    answer = to_answer(200, {}, body)
    assert (answer.kind, answer.code, answer.summary) == ("SUCCESS", "S0205", 3)
    assert answer.data == ({"origin": "example.org"},)
    assert read_error(answer, "x") is write_error(answer, "x") is None
    assert str(answer) == "HTTP 200, S0205 (Gut.), stid 20261123-app1-100001"


def test_the_older_name_of_the_code() -> None:
    assert to_answer(200, {}, envelope(status={"resultCode": "E0205"})).code == "E0205"


def test_codes_of_messages_within_messages_count() -> None:
    messages = [{"text": "a", "messages": [{"code": "EF02022", "messages": [{"code": "EF1"}]}]}]
    answer = to_answer(400, {}, envelope(status={"type": "ERROR"}, messages=messages))
    assert answer.details == {"EF02022", "EF1"}


@given(STATUSES, st.binary() | ENVELOPES.map(lambda e: json.dumps(e).encode()))
def test_anything_is_an_answer_and_only_a_success_is_one(status: int, body: bytes) -> None:
    answer = to_answer(status, {}, body)
    for error in (read_error(answer, "reading z"), write_error(answer, "writing z")):
        assert error is None or (len(str(error)) < 700 and str(error).isprintable())
    if read_error(answer, "x") is None:
        assert status == 200
        assert json.loads(body)["status"]["type"] == "SUCCESS"
    if write_error(answer, "x") is None:
        assert status == 200
        assert json.loads(body)["status"]["type"] != "ERROR"


@given(st.text())
def test_texts_decide_nothing_and_stay_on_one_line(text: str) -> None:
    answer = to_answer(400, {}, envelope(status={"type": "ERROR", "text": text}))
    assert type(write_error(answer, "x")) is ProviderRefusal
    assert str(answer).isprintable()
    assert len(str(answer)) < 200


@pytest.mark.parametrize(
    ("answer", "reading", "writing"),
    [
        (Answer(401), CredentialsRejected, CredentialsRejected),
        (Answer(403), CredentialsRejected, CredentialsRejected),
        (Answer(404), ZoneMissing, ZoneMissing),
        (Answer(408), ProviderTemporary, OutcomeUnknown),
        (Answer(429), RateLimited, RateLimited),
        (Answer(301), ProviderRefusal, ProviderRefusal),
        (Answer(400), ProviderRefusal, ProviderRefusal),
        (Answer(413), ProviderRefusal, ProviderRefusal),
        (Answer(500), ProviderTemporary, OutcomeUnknown),
        (Answer(502), ProviderTemporary, OutcomeUnknown),
        (Answer(200), ProviderTemporary, OutcomeUnknown),
        (Answer(204), ProviderTemporary, OutcomeUnknown),
        (Answer(200, "ERROR"), ProviderTemporary, ProviderRefusal),
        (Answer(500, "SUCCESS"), ProviderTemporary, OutcomeUnknown),
        (Answer(400, "SUCCESS"), ProviderRefusal, ProviderRefusal),
        (refused("EF02021"), ProviderRefusal, ProviderConflict),
        (refused("EF02022", status=200), ProviderTemporary, ProviderConflict),
        (refused("EF01000", "EF02021"), ProviderRefusal, ProviderConflict),
        (refused("EF01000"), ProviderRefusal, ProviderRefusal),
    ],
    ids=[f"{n}" for n in range(19)],
)
def test_which_error_it_is(answer: Answer, reading: type, writing: type) -> None:
    assert type(read_error(answer, "reading z")) is reading
    assert type(write_error(answer, "writing z")) is writing


def test_advice_is_given_where_codes_are_known() -> None:
    assert "-autodns-context" in str(write_error(refused("EF01000"), "x"))
    assert "is there already" in str(write_error(refused("EF02022"), "x"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("7", 7),
        (" 7 ", 7),
        ("-1", None),
        ("1e9", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("999999", RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert to_answer(429, {"retry-after": text}, b"").retry_after_s == seconds


def test_whether_the_connection_lasts() -> None:
    assert to_answer(200, {}, b"").lasting
    assert not to_answer(200, {"connection": "Close"}, b"").lasting
