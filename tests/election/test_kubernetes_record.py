"""The words of a Lease, as client-go writes and reads them."""

from __future__ import annotations

import pytest

from dnslb.election.kubernetes_objects import JsonValue
from dnslb.election.kubernetes_record import LeaseRecord, from_spec, micro_time, to_spec
from dnslb.errors import InvalidValue

# As client-go's LeaseLock writes them: held, and after its release.
GO_HELD: dict[str, JsonValue] = {
    "holderIdentity": "dns-7f9c_0b8c2f3e-6c36-4c0a-9a5c-1f2f6f2f9a11",
    "leaseDurationSeconds": 30,
    "acquireTime": "2026-11-25T19:00:00.000000Z",
    "renewTime": "2026-11-25T19:00:05.123456Z",
    "leaseTransitions": 3,
}
GO_RELEASED: dict[str, JsonValue] = {
    "holderIdentity": "",
    "leaseDurationSeconds": 1,
    "acquireTime": "2026-11-25T19:00:07.000001Z",
    "renewTime": "2026-11-25T19:00:07.000001Z",
    "leaseTransitions": 3,
}


def test_what_go_wrote_is_read_and_written_alike() -> None:
    for spec in (GO_HELD, GO_RELEASED):
        assert to_spec(from_spec(spec), spec) == spec
    assert not from_spec(GO_HELD).is_released
    assert from_spec(GO_RELEASED).is_released


@pytest.mark.parametrize("key", ["holderIdentity", "leaseDurationSeconds", "renewTime"])
def test_a_release_says_all_of_it(key: str) -> None:
    assert not from_spec({**GO_RELEASED, key: GO_HELD[key]}).is_released


@pytest.mark.parametrize("key", [None, *GO_HELD])
def test_what_is_missing_is_nothing(key: str | None) -> None:
    spec = {} if key is None else {**GO_HELD, key: None}
    assert from_spec(spec) == from_spec({k: v for k, v in spec.items() if k != key})


def test_an_empty_spec_is_an_empty_record() -> None:
    assert from_spec({}) == LeaseRecord()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("holderIdentity", 7),
        ("leaseDurationSeconds", "15"),
        ("leaseDurationSeconds", True),
        ("leaseDurationSeconds", -1),
        ("leaseTransitions", -1),
        ("leaseTransitions", 2**31),
        ("renewTime", 0.5),
    ],
)
def test_what_no_server_keeps_is_refused(key: str, value: JsonValue) -> None:
    with pytest.raises(InvalidValue, match=r"of the Lease|impossible"):
        from_spec({**GO_HELD, key: value})


def test_other_keys_stay() -> None:
    more: dict[str, JsonValue] = {"preferredHolder": "x", "strategy": "y", "new": [1]}
    spec = {**GO_HELD, **more}
    written = to_spec(LeaseRecord("a_1", 15, "t", "t", 4), spec)
    assert {key: written[key] for key in more} == more
    assert written["holderIdentity"] == "a_1"


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (1_764_097_200.0, "2025-11-25T19:00:00.000000Z"),
        (1_764_097_200.25, "2025-11-25T19:00:00.250000Z"),
        (0.0, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_times_have_six_digits(wall: float, text: str) -> None:
    assert micro_time(wall) == text
