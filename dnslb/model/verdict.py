"""What the agents together say of one endpoint, and the votes that made it so."""

from __future__ import annotations

from typing import Literal, NamedTuple

VerdictState = Literal["up", "down", "unknown"]


class Verdict(NamedTuple):
    """``ups`` + ``downs`` + ``unknowns`` is the number of configured agents."""

    state: VerdictState
    ups: int
    downs: int
    unknowns: int
