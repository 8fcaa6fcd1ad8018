"""Who belongs to the cluster: configurations as they stand in the log. Pure.

Not who is alive. A configuration entry is always whole (all members, not what changed), so that
a restart, a snapshot or an entry taken back leaves nothing to be reconstructed; the newest one in
the log is in force, committed or not (Raft, Ongaro's thesis, 4.1).

Law (`safety.md` 5.0, 5.2): from one configuration to the next at most one voter comes or goes, so
that any majority of the one meets any majority of the other. A member is its id *and* its
incarnation, which was minted with its directory: who lost the directory is somebody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

import msgspec

from dnslb.errors import InvalidValue

MEMBERS_MAX = 15
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TOKEN = re.compile(r"[0-9a-f]{1,64}")
ADDRESS_LENGTH_MAX = 300

Suffrage = Literal["voter", "nonvoter"]


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """``address``: host:port that others dial. ``incarnation``: hexadecimal."""

    id: str
    address: str
    suffrage: Suffrage
    incarnation: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise InvalidValue(
                f"a member's id is 1 to 128 letters, digits, '.', '_' or '-', not {self.id!r}"
            )
        host, _, port = self.address.rpartition(":")
        plausible = host and port.isascii() and port.isdigit() and 0 < int(port) < 65536
        if not plausible or len(self.address) > ADDRESS_LENGTH_MAX:
            raise InvalidValue(f"a member's address is host:port, not {self.address!r}")
        if not _TOKEN.fullmatch(self.incarnation):
            raise InvalidValue(f"an incarnation is hexadecimal, not {self.incarnation!r}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """``cluster_id`` never changes; ``epoch`` only rises; ``members`` are sorted by id. The empty
    one, without cluster id, is that of a node that waits to be added."""

    cluster_id: str = ""
    epoch: int = 0
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        if not self.members and not self.cluster_id:
            return
        if not _TOKEN.fullmatch(self.cluster_id):
            raise InvalidValue(f"a cluster id is hexadecimal, not {self.cluster_id!r}")
        if not 0 < self.epoch < 2**63:
            raise InvalidValue(f"an epoch is a number above 0, not {self.epoch}")
        if len(self.members) > MEMBERS_MAX:
            raise InvalidValue(f"a cluster has at most {MEMBERS_MAX} members")
        if list(self.members) != sorted(self.members):
            raise InvalidValue("members are sorted by id")
        for what, values in (
            ("id", {member.id for member in self.members}),
            ("address", {member.address for member in self.members}),
        ):
            if len(values) != len(self.members):
                raise InvalidValue(f"two members with one {what}")
        if not self.voters:
            raise InvalidValue("a cluster without a voter could decide nothing")

    @property
    def voters(self) -> frozenset[str]:
        return frozenset(one.id for one in self.members if one.suffrage == "voter")

    def find(self, member_id: str) -> Member | None:
        return next((one for one in self.members if one.id == member_id), None)

    def with_member(self, member: Member) -> Self:
        """With this one, in place of whoever has its id."""
        others = (one for one in self.members if one.id != member.id)
        return type(self)(self.cluster_id, self.epoch, tuple(sorted((*others, member))))

    def without(self, member_id: str) -> Self:
        left = tuple(one for one in self.members if one.id != member_id)
        return type(self)(self.cluster_id, self.epoch, left)


@dataclass(frozen=True, slots=True)
class Change:
    """What a configuration entry holds: both sides, so that it can be compared and taken back."""

    old: Configuration
    new: Configuration


def majority(voters: int) -> int:
    """How many of so many voters decide."""
    return voters // 2 + 1


def why_not(change: Change, *, leader: str) -> str | None:
    """The sentence that refuses a change to the configuration of a cluster led by ``leader``;
    None when it may be proposed."""
    old, new = change.old, change.new
    if new == old:
        return "The configuration is that already."
    if new.cluster_id != old.cluster_id:
        return "The cluster id of a cluster never changes."
    if new.epoch < old.epoch:
        return f"The epoch only rises, from {old.epoch}."
    if len(old.voters ^ new.voters) > 1:
        return "One voter at a time can come or go."
    if leader not in new.voters:
        return f"{leader} leads: transfer the leadership first."
    for member in new.members:
        before = old.find(member.id)
        if before is not None and before.incarnation != member.incarnation:
            return (
                f"{member.id} has another directory than the member of that name: remove it "
                "first, then add it."
            )
    return None


# --------------------------------------------------------------------------------- as bytes

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Change).decode


def to_bytes(change: Change) -> bytes:
    return _encode(change)


def from_bytes(data: bytes) -> Change:
    """Raises `InvalidValue`."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        raise InvalidValue(f"this is no change of a configuration: {e}") from e
