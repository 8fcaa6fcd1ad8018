"""Streams between members as bytes: the greeting, frames with a limit, and who may speak. Pure.

Not the messages in the frames (`messages`), nor the streams (`wire`).

    MAGIC  frame(Hello) ──►            the one who dialled
         ◄── frame(Hello | Refusal)    the one who was dialled
    frame(message) ◄──► frame(message)

A frame is its length in four bytes, big-endian, and so many bytes. MAGIC begins with a zero byte,
so the first byte tells a member from HTTP and from TLS.

Law: a length is judged before anything of its frame is kept. A member is its id *and* its
incarnation (`safety.md` 5.2); whoever does not fit is refused in a sentence that names the cure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from dnslb.election.raft.membership import Configuration
from dnslb.errors import InvalidValue

MAGIC = b"\x00dnslb\x00\x01"
"""The last byte is the version of all that follows."""

HELLO_BYTES_MAX = 2048
SENTENCE_LENGTH_MAX = 500
_LENGTH = struct.Struct(">I")

_Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,128}\Z")]
_Token = Annotated[str, Meta(pattern=r"\A[0-9a-f]{0,64}\Z")]


class Hello(Struct, frozen=True, array_like=True, tag="hello", forbid_unknown_fields=True):
    """``to``: whom it means to speak to. ``cluster_id`` "" while it waits to be added.
    ``purpose`` "probe": only to learn who answers."""

    id: _Id
    to: _Id
    cluster_id: _Token
    incarnation: Annotated[str, Meta(pattern=r"\A[0-9a-f]{1,64}\Z")]
    command_version: Annotated[int, Meta(ge=1, le=255)]
    purpose: Literal["member", "probe"] = "member"


class Refusal(Struct, frozen=True, array_like=True, tag="refusal", forbid_unknown_fields=True):
    """``removed``: a leader says that its cluster does not have this member any more."""

    sentence: Annotated[str, Meta(max_length=SENTENCE_LENGTH_MAX)]
    removed: bool = False


Greeting = Hello | Refusal
_greetings = msgspec.msgpack.Decoder(Greeting)
_encode = msgspec.msgpack.Encoder().encode


def frame(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def greeting_frame(greeting: Greeting) -> bytes:
    return frame(_encode(greeting))


def greeting_from_bytes(data: bytes) -> Greeting:
    """Raises `InvalidValue`."""
    try:
        greeting: Greeting = _greetings.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        raise InvalidValue(f"this is no greeting of a member: {e}") from e
    return greeting


class FrameReader:
    """Takes bytes as they come, gives whole frames. ``bytes_max`` may be raised in between."""

    def __init__(self, bytes_max: int = HELLO_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> None:
        self._buffer += data

    def frames(self) -> Iterator[bytes]:
        """All that are whole. Raises `InvalidValue` at a length that is 0 or above the limit."""
        while (one := self.next_frame()) is not None:
            yield one

    def next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < _LENGTH.size:
            return None
        [length] = _LENGTH.unpack_from(buffer)
        if not 0 < length <= self.bytes_max:
            raise InvalidValue(f"a frame of {length} bytes, at most {self.bytes_max} are taken")
        end = _LENGTH.size + length
        if len(buffer) < end:
            return None
        data = bytes(buffer[_LENGTH.size : end])
        del buffer[:end]
        return data


@dataclass(frozen=True, slots=True)
class Rebuff:
    """Why a stream to or from a peer came to nothing. ``spoken``: somebody was there to say it or
    to show it; ``removed``: as in a `Refusal`."""

    sentence: str
    spoken: bool = True
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are at this moment, for greetings. ``cluster_id``: of this directory, "" while it
    waits. ``leads``: so its configuration is the newest; a follower's may lack members.
    ``departed``: who was taken out, and what is known of that."""

    id: str
    incarnation: str
    cluster_id: str
    command_version: int
    configuration: Configuration
    leads: bool = False
    departed: Mapping[str, str] = field(default_factory=dict)

    def hello(self, to: str, purpose: Literal["member", "probe"] = "member") -> Hello:
        return Hello(self.id, to, self.cluster_id, self.incarnation, self.command_version, purpose)


def why_refused(us: Identity, hello: Hello) -> str | None:
    """Why this peer may not speak to us, for both ends' logs; None when it may."""
    if hello.to != us.id:
        return f"This is {us.id}, not {hello.to}: check the address of {hello.to}."
    if hello.purpose == "probe":
        return None
    if hello.id == us.id:
        return f"Two instances are called {us.id}: give one of them another -instance-id."
    if us.cluster_id and hello.cluster_id and us.cluster_id != hello.cluster_id:
        return (
            f"{hello.id} belongs to cluster {hello.cluster_id}, {us.id} to {us.cluster_id}: "
            "move the directory away that should not belong there."
        )
    member = us.configuration.find(hello.id)
    if member is not None and member.incarnation != hello.incarnation:
        return (
            f"{hello.id} lost its directory, or another one runs under its name: remove_server "
            f"{hello.id}, then add_voter."
        )
    if is_removed(us, hello):
        words = us.departed.get(hello.id)
        how = f"was taken out of this cluster {words}" if words else "is no member any more"
        return f"{hello.id} {how}: stop it and move its directory away, or add_voter adds it anew."
    if member is None and us.cluster_id and (us.leads or not hello.cluster_id):
        return f"{hello.id} is not a member of this cluster: add_voter adds it."
    return None


def is_removed(us: Identity, hello: Hello) -> bool:
    """Whether that peer belonged to the cluster that we lead, and does not any more."""
    ours = us.leads and bool(us.cluster_id) and hello.cluster_id == us.cluster_id
    return ours and us.configuration.find(hello.id) is None
