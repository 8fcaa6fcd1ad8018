"""What a dump shows, and that no secret is in it in any form."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given, strategies as st

from dnslb.providers.autodns_dump import BODY_LENGTH_MAX, HIDDEN, Redactor

SECRETS = st.text(min_size=6, max_size=20).filter(lambda text: "*" not in text)


def test_a_request_and_its_answer() -> None:
    redactor = Redactor(["s3cret!"])
    headers = {"Authorization": "Basic x", "User-Agent": "dnslb/1", "X-New": "what"}
    assert redactor.request("PATCH", "https://h/v1/zone", headers, b'{"a":1}').splitlines() == [
        "> PATCH https://h/v1/zone",
        "> authorization: ***",
        "> user-agent: dnslb/1",
        "> x-new: ***",
        '> {"a":1}',
    ]
    answer = redactor.response(200, {"Content-Type": "text/html", "Set-Cookie": "a=b"}, b"")
    assert answer.splitlines() == ["< 200", "< content-type: text/html", "< set-cookie: ***"]


def test_bodies_of_private_calls_are_hidden_whole() -> None:
    redactor = Redactor(["s3cret!"], private=True)
    assert redactor.request("POST", "u", {}, b"anything").splitlines()[-1] == "> ***"
    assert redactor.response(200, {}, b"anything").splitlines()[-1] == "< ***"


@given(SECRETS, st.text(max_size=10))
def test_a_secret_that_is_repeated_is_taken_out(secret: str, around: str) -> None:
    redactor = Redactor([secret])
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
        body = f"{around}<{form}>".encode(errors="replace")
        if form.encode(errors="replace").decode() != form:
            continue
        shown = redactor.response(500, {"server": form, "date": form}, body)
        assert f"<{HIDDEN}>" in shown


def test_a_secret_at_the_cut_is_not_shown_in_half() -> None:
    body = b"x" * (BODY_LENGTH_MAX - 3) + b"s3cret-and-long" + b"y" * 100
    shown = Redactor(["s3cret-and-long"]).response(200, {}, body)
    assert "s3c" not in shown
    assert f"({len(body)} bytes in all)" in shown


def test_a_line_stays_a_line() -> None:
    shown = Redactor([]).response(200, {}, b"one\n< 200 forged\x1b[31m\xff")
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown


def test_an_empty_secret_hides_nothing() -> None:
    assert Redactor([""]).clean("text") == "text"
