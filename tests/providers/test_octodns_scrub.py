"""Secrets in foreign words, however they are written there."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given, strategies as st

from dnslb.providers.octodns_scrub import HIDDEN, Scrub, to_sentence

SECRET = 'gehe/im\'s "wort"\\+ä'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        repr(SECRET),
        repr({"token": SECRET}),
        json.dumps({"token": SECRET}),
        json.dumps({"token": SECRET}, ensure_ascii=False),
        f"https://x.example/?token={quote_plus(SECRET)}&a=b",
    ],
)
def test_a_secret_is_hidden_however_it_is_written(written: str) -> None:
    scrubbed = Scrub([SECRET], {})(f"before {written} after")
    assert HIDDEN in scrubbed
    assert "gehe" not in scrubbed
    assert "wort" not in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")


def test_lines_of_a_long_secret_are_secret_each() -> None:
    key = "-----BEGIN KEY-----\nc2VjcmV0c2VjcmV0\nbW9yZXNlY3JldHM=\n-----END KEY-----"
    scrubbed = Scrub([key], {})("bad line 2: c2VjcmV0c2VjcmV0, then 'bW9yZXNlY3JldHM='")
    assert scrubbed == f"bad line 2: {HIDDEN}, then '{HIDDEN}'"


def test_settings_are_secret_unless_their_key_says_otherwise() -> None:
    settings = {
        "host": "ns1.example.org",
        "key_file": "/etc/some.key",
        "secret_access_key": "plainly-written",
        "odd": ["another-one", {"region": "eu-west-1", "password": "and-a-third"}],
        "short": "eu",
        "n": 5,
    }
    scrub = Scrub([], settings)
    said = "ns1.example.org /etc/some.key eu-west-1 eu 5"
    assert scrub(said) == said
    assert scrub("plainly-written another-one and-a-third") == " ".join([HIDDEN] * 3)


def test_a_known_secret_is_hidden_wherever_it_stands_and_however_short() -> None:
    assert Scrub(["ab"], {"host": "ab"})("x ab y") == f"x {HIDDEN} y"


def test_of_two_that_overlap_the_longer_goes_first() -> None:
    assert Scrub(["word", "password"], {})("the password") == f"the {HIDDEN}"


# Letters that stars are not made of, so that what is hidden is not found again in "***".
@given(
    secret=st.text(st.characters(exclude_characters="*"), min_size=1, max_size=40),
    words=st.text(max_size=40),
)
def test_no_secret_survives(secret: str, words: str) -> None:
    scrub = Scrub([secret], {})
    pieces = scrub(f"{words}{secret}{words}").split(HIDDEN)
    assert len(pieces) > 1
    assert not any(secret in piece for piece in pieces)


@given(cut=st.integers(0, len(SECRET) * 3))
def test_no_end_of_a_secret_survives_a_cut(cut: int) -> None:
    scrubbed = Scrub([SECRET], {})((SECRET * 3)[cut:], is_cut=True)
    assert scrubbed.replace(HIDDEN, "") == ""
    assert Scrub([SECRET], {})("words", is_cut=True) == "words"


def test_a_sentence_is_one_line_and_cut() -> None:
    assert to_sentence("a\n\tb\x1b[31m  c", 80) == "a b [31m c"
    assert to_sentence("x" * 100, 10) == "xxxxxxx..."
