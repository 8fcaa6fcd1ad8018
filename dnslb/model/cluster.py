"""Members as anyone may see them, and the words for administering them. No consensus in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["leader", "follower", "candidate", "waiting", "standby", "removed", "dry-run"]
Suffrage = Literal["voter", "nonvoter", "staging"]


@dataclass(frozen=True, slots=True)
class MemberView:
    """``last_contact_s``, ``match_index``, ``lag``: as the leader knows them, which tells them to
    all; of the leader itself, since it was last heard here. ``reached``: whether it takes part, by
    the leader's word, without one by whether it is heard here; None: nobody can say."""

    id: str
    address: str
    suffrage: Suffrage
    role: Role
    is_self: bool
    version: str
    config_digest: str = ""
    last_contact_s: float | None = None
    match_index: int | None = None
    lag: int | None = None
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class ClusterView:
    """``leader`` is (id, address) or None while none is known. ``cluster_id`` None: there is no
    cluster, or this instance waits to be added to one."""

    role: Role
    term: int | None
    leader: tuple[str, str] | None
    members: tuple[MemberView, ...]
    cluster_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterCommand:
    """A raft command by name with its arguments as written; ``by``: who asked. ``background``:
    the reply is a token, by which what comes of it can be asked for."""

    name: str
    arguments: tuple[str, ...]
    by: str
    background: bool = False


@dataclass(frozen=True, slots=True)
class ClusterReply:
    """Lines for people and the same as one object."""

    lines: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)
