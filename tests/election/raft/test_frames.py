"""Frames and greetings: any bytes in any pieces, limits before memory, and who may speak."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from dnslb.election.raft.frames import (
    HELLO_BYTES_MAX,
    MAGIC,
    FrameReader,
    Hello,
    Identity,
    Refusal,
    frame,
    greeting_frame,
    greeting_from_bytes,
    is_removed,
    why_refused,
)
from dnslb.election.raft.log import COMMAND_BYTES_MAX, STATE_BYTES_MAX, Entry
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.messages import (
    BATCH_BYTES_MAX,
    CHUNK_BYTES_MAX,
    ENTRIES_MAX,
    MESSAGE_BYTES_MAX,
    Append,
    Ask,
    Chunk,
    Echo,
    Heard,
    Message,
    Outdated,
    Sound,
    StandNow,
    Vote,
    from_bytes,
    to_bytes,
)
from dnslb.election.raft.timings import LEASE_S_MAX, PROMISE_S_MAX
from dnslb.errors import InvalidValue
from tests.election.raft.stage import configuration, entry

# ------------------------------------------------------------------------------------- frames


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.data())
def test_frames_come_whole_however_they_are_cut(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, frames))
    reader = FrameReader(60)
    found = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:cut])
        stream = stream[cut:]
        found += list(reader.frames())
    assert found == frames


@given(st.binary(max_size=300))
def test_any_bytes_give_frames_within_the_limit_or_are_refused(data: bytes) -> None:
    reader = FrameReader(40)
    reader.feed(data)
    with contextlib.suppress(InvalidValue):
        assert all(0 < len(one) <= 40 for one in reader.frames())


@pytest.mark.parametrize("length", [0, 41, 2**32 - 1])
def test_a_length_is_judged_before_its_frame_is_there(length: int) -> None:
    reader = FrameReader(40)
    reader.feed(length.to_bytes(4, "big"))
    with pytest.raises(InvalidValue, match=f"a frame of {length} bytes"):
        reader.next_frame()


def test_the_first_byte_is_of_no_other_protocol() -> None:
    assert MAGIC[:1] not in {b"\x16", *(bytes((letter,)) for letter in range(0x20, 0x7F))}


# ----------------------------------------------------------------------------------- messages

MESSAGES: list[Message] = [
    Append(3, 4, 0.4, 5, 6, 7, 2, (entry(8, 3), entry(9, 3))),
    Append(3, 4, 0.4, 5, 6, 7, 2),
    Chunk(3, 4, 0.4, 5, 6, 2, configuration("abc"), 2, 9, 8, 0, b"state"),
    Heard(3, 4, 5, 6, matches=True, snapshot=7, offset=8),
    Ask(3, 4, 5),
    Vote(3, 0.25),
    Sound(3, 4, 5),
    Echo(3, 2, would_vote=True),
    Outdated(3),
    StandNow(3, 0.0),
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_messages_and_back(message: Message) -> None:
    assert from_bytes(to_bytes(message)) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidValue):
        assert to_bytes(from_bytes(data))


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_that_was_tampered_with_is_a_message_or_refused(
    message: Message, data: st.DataObject
) -> None:
    mangled = bytearray(to_bytes(message))
    for _ in range(data.draw(st.integers(1, 3))):
        mangled[data.draw(st.integers(0, len(mangled) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidValue):
        assert to_bytes(from_bytes(bytes(mangled)))


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x00"


@pytest.mark.parametrize(
    "message",
    [
        Append(-1, 1, 0.4, 1, 1, 1, 1),
        Append(2**62, 1, 0.4, 1, 1, 1, 1),
        Append(1, 1, 0.0, 1, 1, 1, 1),
        Append(1, 1, LEASE_S_MAX * 1.01, 1, 1, 1, 1),
        Append(1, 1, float("nan"), 1, 1, 1, 1),
        Append(1, 1, float("inf"), 1, 1, 1, 1),
        Append(1, 1, 0.4, 1, 1, 1, 1, (entry(2, 1),) * (ENTRIES_MAX + 1)),
        Append(1, 1, 0.4, 1, 1, 1, 1, (Entry(b"", 2, 1),)),
        Append(1, 1, 0.4, 1, 1, 1, 1, (Entry(bytes(COMMAND_BYTES_MAX + 1), 2, 1),)),
        Chunk(1, 1, 0.4, 1, 1, 1, configuration("a"), 1, STATE_BYTES_MAX + 1, 0, 0, b""),
        Chunk(1, 1, 0.4, 1, 1, 1, configuration("a"), 1, 9, 0, 0, bytes(CHUNK_BYTES_MAX + 1)),
        Vote(1, -0.1),
        Vote(1, PROMISE_S_MAX * 1.01),
        Vote(1, float("nan")),
        StandNow(1, PROMISE_S_MAX * 1.01),
    ],
)
def test_a_message_beyond_a_bound_is_refused(message: Message) -> None:
    with pytest.raises(InvalidValue):
        from_bytes(to_bytes(message))


@pytest.mark.parametrize(
    "data", [nested(100_000), msgspec.msgpack.encode(["append", 1]), b"\x80\x04\x95"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        from_bytes(data)


def test_the_largest_message_fits_its_frame() -> None:
    largest = Entry(bytes(COMMAND_BYTES_MAX), 2**61, 2**61)
    almost = Entry(bytes(BATCH_BYTES_MAX // (ENTRIES_MAX - 1)), 2**61, 2**61)
    entries = (*([almost] * (ENTRIES_MAX - 1)), largest)
    assert len(to_bytes(Append(1, 1, 0.4, 1, 1, 1, 1, entries))) <= MESSAGE_BYTES_MAX


# ---------------------------------------------------------------------------------- greetings

US = Identity("a", "ab", "c1", 1, configuration("abc"))
WAITING = Identity("d", "dd", "", 1, Configuration())


def hello(**values: Any) -> Hello:
    plain = Hello("b", "a", "c1", "ab", 1)
    return msgspec.structs.replace(plain, **values)


def test_greetings_and_back_within_their_limit() -> None:
    longest = Hello("x" * 128, "y" * 128, "a" * 64, "b" * 64, 255, "probe")
    for greeting in (hello(), longest, Refusal("x" * 500), US.hello("b")):
        reader = FrameReader(HELLO_BYTES_MAX)
        reader.feed(greeting_frame(greeting))
        [data] = reader.frames()
        assert greeting_from_bytes(data) == greeting


@given(st.binary(max_size=100))
def test_any_bytes_are_a_greeting_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidValue):
        greeting_from_bytes(data)


@pytest.mark.parametrize(
    "values",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "a\n"},
        {"to": "x" * 129},
        {"cluster_id": "XY"},
        {"incarnation": ""},
        {"command_version": 0},
        {"purpose": "other"},
    ],
)
def test_a_greeting_that_is_none_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        greeting_from_bytes(greeting_frame(hello(**values))[4:])


DEPARTED = replace(US, leads=True, departed={"z": "by eve (index 9)"})


@pytest.mark.parametrize(
    ("us", "values", "removed"),
    [
        (DEPARTED, {"id": "z"}, True),
        (DEPARTED, {"id": "z", "cluster_id": ""}, False),
        (DEPARTED, {"id": "z", "cluster_id": "c2"}, False),
        (DEPARTED, {"id": "b"}, False),
        (replace(DEPARTED, leads=False), {"id": "z"}, False),
        (replace(WAITING, leads=True), {"id": "z", "cluster_id": ""}, False),
    ],
)
def test_only_a_leader_says_that_one_of_its_own_was_removed(
    us: Identity, values: dict[str, Any], removed: bool
) -> None:
    assert is_removed(us, hello(**values)) is removed


@pytest.mark.parametrize(
    ("us", "values", "sentence"),
    [
        (US, {"to": "z"}, "This is a, not z"),
        (US, {"id": "a"}, "Two instances are called a"),
        (US, {"cluster_id": "c2"}, "b belongs to cluster c2, a to c1"),
        (US, {"incarnation": "ff"}, "remove_server b, then add_voter"),
        (US, {"incarnation": "ff", "cluster_id": ""}, "remove_server b, then add_voter"),
        (US, {"id": "d", "cluster_id": ""}, "d is not a member of this cluster"),
        (replace(US, leads=True), {"id": "z"}, "z is no member any more: stop it"),
        (replace(US, leads=True), {"id": "z", "cluster_id": ""}, "z is not a member of this"),
        (DEPARTED, {"id": "z"}, "z was taken out of this cluster by eve (index 9): stop it"),
        (DEPARTED, {"id": "z", "cluster_id": ""}, "z is not a member of this cluster: add_voter"),
    ],
)
def test_who_does_not_fit_is_refused_with_the_cure(
    us: Identity, values: dict[str, Any], sentence: str
) -> None:
    refusal = why_refused(us, hello(**values))
    assert refusal is not None
    assert sentence in refusal


@pytest.mark.parametrize(
    ("us", "values"),
    [
        (US, {}),
        (US, {"cluster_id": ""}),
        (US, {"id": "z"}),
        (US, {"incarnation": "ff", "purpose": "probe"}),
        (WAITING, {"to": "d"}),
        (WAITING, {"to": "d", "cluster_id": "c7"}),
    ],
)
def test_a_member_a_newcomer_and_a_probe_may_speak(us: Identity, values: dict[str, Any]) -> None:
    assert why_refused(us, hello(**values)) is None
