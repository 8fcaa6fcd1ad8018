"""Configurations: what they refuse to be, and which change may follow which."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dnslb.election.raft.membership import (
    MEMBERS_MAX,
    Change,
    Configuration,
    Member,
    from_bytes,
    majority,
    to_bytes,
    why_not,
)
from dnslb.errors import InvalidValue

A = Member("a", "localhost:1", "voter", "aa")
B = Member("b", "localhost:2", "voter", "bb")
C = Member("c", "[::1]:3", "nonvoter", "cc")
THREE = Configuration("cd", 7, (A, B, C))


def test_members_voters_and_majorities() -> None:
    assert THREE.voters == {"a", "b"}
    assert THREE.find("c") == C
    assert THREE.find("d") is None
    assert [majority(count) for count in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


def test_members_stay_sorted_and_ids_unique() -> None:
    assert Configuration("cd", 7, (B,)).with_member(A).members == (A, B)
    assert THREE.with_member(replace(C, suffrage="voter")).voters == {"a", "b", "c"}
    assert THREE.without("b").members == (A, C)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a b"),
        ("id", "x" * 129),
        ("address", "localhost"),
        ("address", ":1"),
        ("address", "localhost:0"),
        ("address", "localhost:65536"),
        ("address", "h" * 300 + ":1"),
        ("incarnation", ""),
        ("incarnation", "XY"),
    ],
)
def test_a_member_that_nobody_could_be_is_refused(field: str, value: str) -> None:
    values: dict[str, Any] = {field: value}
    with pytest.raises(InvalidValue):
        replace(A, **values)


MANY = tuple(Member(f"m{i:02}", f"h:{i + 1}", "voter", "aa") for i in range(MEMBERS_MAX + 1))


@pytest.mark.parametrize(
    ("cluster_id", "epoch", "members"),
    [
        ("cd", 7, ()),
        ("", 7, (A,)),
        ("cd", 0, (A,)),
        ("cd", 7, (C,)),
        ("cd", 7, (B, A)),
        ("cd", 7, (A, replace(B, id="a"))),
        ("cd", 7, (A, replace(B, address=A.address))),
        ("cd", 7, MANY),
    ],
)
def test_a_cluster_that_could_not_decide_is_refused(
    cluster_id: str, epoch: int, members: tuple[Member, ...]
) -> None:
    with pytest.raises(InvalidValue):
        Configuration(cluster_id, epoch, members)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (THREE, "already"),
        (replace(THREE, cluster_id="ef"), "never changes"),
        (replace(THREE, epoch=6), "only rises, from 7"),
        (THREE.with_member(replace(C, suffrage="voter")).without("b"), "One voter at a time"),
        (THREE.without("a"), "transfer the leadership first"),
        (THREE.with_member(replace(A, suffrage="nonvoter")), "transfer the leadership first"),
        (THREE.with_member(replace(C, incarnation="dd")), "remove it first"),
    ],
)
def test_a_change_that_may_not_be_is_refused_in_a_sentence(
    new: Configuration, sentence: str
) -> None:
    refusal = why_not(Change(THREE, new), leader="a")
    assert refusal is not None
    assert sentence in refusal


@pytest.mark.parametrize(
    "new",
    [
        THREE.with_member(replace(C, suffrage="voter")),
        THREE.without("c"),
        THREE.without("b"),
        THREE.with_member(replace(B, address="other:9")),
        THREE.with_member(Member("d", "h:4", "nonvoter", "dd")).without("c"),
        replace(THREE, epoch=8),
    ],
)
def test_a_change_of_one_voter_at_most_may_be(new: Configuration) -> None:
    assert why_not(Change(THREE, new), leader="a") is None


def test_bytes_and_back() -> None:
    change = Change(Configuration(), THREE)
    assert from_bytes(to_bytes(change)) == change


@pytest.mark.parametrize("data", [b"", b"\x80", to_bytes(Change(THREE, THREE))[:-1], b"\xc1" * 9])
def test_bytes_that_are_no_change_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        from_bytes(data)


def test_bytes_are_held_against_the_same_rules() -> None:
    data = to_bytes(Change(Configuration(), THREE)).replace(b"nonvoter", b"gonvoter")
    with pytest.raises(InvalidValue):
        from_bytes(data)
    same_address = to_bytes(Change(Configuration(), THREE)).replace(b"localhost:2", b"localhost:1")
    with pytest.raises(InvalidValue, match="one address"):
        from_bytes(same_address)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_change_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidValue):
        from_bytes(data)
