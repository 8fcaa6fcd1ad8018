"""The marker's text and the rule of who may follow whom."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import FenceLost, InvalidValue, ProviderRefusal
from dnslb.model.lease import FencingToken
from dnslb.providers import marker

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TOKENS = st.builds(FencingToken, TEXTS, *[st.integers(0, 10**17)] * 2, TEXTS)
ZONE = "example.org"
OURS = FencingToken("ours", 10, 5, "aa")


def test_text_is_as_documented() -> None:
    token = FencingToken("example-eu", 1767225600, 7, "9f1c2a")
    assert marker.to_text(token) == "dnslb owner=example-eu epoch=1767225600 term=7 nonce=9f1c2a"


@given(TOKENS)
def test_every_token_comes_back_and_needs_no_escaping(token: FencingToken) -> None:
    text = marker.to_text(token)
    assert marker.from_text(text) == token
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set('"\\;()@$')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dnslb",
        "v=spf1 -all",
        "dnslb owner= epoch=1 term=1 nonce=a",
        "dnslb owner=a epoch=-1 term=1 nonce=a",
        "dnslb owner=a epoch=01 term=1 nonce=a",
        "dnslb owner=a epoch=1 term=1 nonce=a ",
        "dnslb owner=a epoch=1 term=1 nonce=a\n",
        "dnslb owner=%61 epoch=1 term=1 nonce=a",
        "dnslb owner=%FF epoch=1 term=1 nonce=a",
        "dnslb owner=% epoch=1 term=1 nonce=a",
        "dnslb owner=a epoch=1 term=1 nonce=%FF",
        "dnslb owner=a epoch=1 term=1000000000000000000 nonce=a",
        "dnslb owner=a epoch=1 term=1",
    ],
)
def test_what_is_not_written_so_is_not_read(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no marker"):
        marker.from_text(text)


def test_an_owner_id_that_fits_no_string_is_refused() -> None:
    with pytest.raises(InvalidValue, match="shorter owner-id"):
        marker.to_text(OURS._replace(owner_id="é" * 100))


@pytest.mark.parametrize("token", [OURS._replace(owner_id=""), OURS._replace(nonce="")])
def test_an_empty_part_is_refused(token: FencingToken) -> None:
    with pytest.raises(InvalidValue, match="is empty"):
        marker.to_text(token)


def test_only_the_very_same_token_may_write() -> None:
    marker.check_write(ZONE, OURS, OURS)
    for held in (
        None,
        OURS._replace(nonce="bb"),
        OURS._replace(term=4),
        OURS._replace(epoch=11, term=0),
    ):
        with pytest.raises(FenceLost, match=r"example\.org"):
            marker.check_write(ZONE, held, OURS)
    with pytest.raises(ProviderRefusal, match=r"'theirs'.*adopt"):
        marker.check_write(ZONE, OURS._replace(owner_id="theirs"), OURS)


@pytest.mark.parametrize(
    "held",
    [None, OURS, OURS._replace(term=4, nonce="b"), OURS._replace(epoch=9, term=99, nonce="b")],
)
def test_who_may_be_followed(held: FencingToken | None) -> None:
    marker.check_take(ZONE, held, OURS)


@pytest.mark.parametrize(
    "held",
    [OURS._replace(nonce="b"), OURS._replace(term=6), OURS._replace(epoch=11, term=0)],
)
def test_who_may_not_be_followed(held: FencingToken) -> None:
    with pytest.raises(FenceLost, match="fence reset"):
        marker.check_take(ZONE, held, OURS)


def test_a_singleton_follows_its_own_earlier_run() -> None:
    alone = OURS._replace(term=0)
    marker.check_take(ZONE, alone._replace(nonce="b"), alone)
    with pytest.raises(FenceLost):
        marker.check_take(ZONE, alone._replace(epoch=11), alone)


def test_a_foreign_owner_is_followed_only_when_a_person_named_it() -> None:
    theirs = FencingToken("theirs", 99, 99, "b")
    for over in (None, "others", "ours"):
        with pytest.raises(ProviderRefusal, match="adopt"):
            marker.check_take(ZONE, theirs, OURS, over)
    marker.check_take(ZONE, theirs, OURS, "theirs")
