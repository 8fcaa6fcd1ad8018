"""What an operator asks for and what they are told; who may ask is settled before it gets here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

CommandKind = Literal[
    "drain",
    "force-up",
    "force-down",
    "clear",
    "pause",
    "resume",
    "approve",
    "drop",
    "release",
    "sync",
]
COMMAND_KINDS: tuple[CommandKind, ...] = get_args(CommandKind)


@dataclass(frozen=True, slots=True)
class Command:
    """``subjects``: an endpoint (drain, force, clear), a scope or nothing (pause, resume), held
    ids (approve, drop), a name (release), zones or nothing (sync). ``lb`` narrows an endpoint
    down. ``expires_wall`` None: without end. ``insist``: ``--yes``. ``delete``: with release.
    """

    kind: CommandKind
    subjects: tuple[str, ...]
    by: str
    reason: str = ""
    lb: str | None = None
    expires_wall: float | None = None
    insist: bool = False
    delete: bool = False


@dataclass(frozen=True, slots=True)
class CommandReply:
    """``sentences``: what was done and whether each address left or entered DNS, one a line."""

    ok: bool
    sentences: tuple[str, ...] = field(default_factory=tuple)
