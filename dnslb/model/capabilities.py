"""What a provider can do, as one value: nobody asks what kind of provider it is."""

from __future__ import annotations

from dataclasses import dataclass

from dnslb.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``fenced``: every write compares the fencing token, at the instant of writing. ``marked``:
    a marker holds the token, and is taken before a zone is read. ``shared``: other instances can
    write the same zones. ``batch_max``: changes in one write. ``ttl_min``: seconds.
    ``calls_per_s``: the budget, None without one. ``write_s_max``: the longest a write can still
    be under way after its sender died. ``verifiable``: authoritative servers can be asked what
    they answer.
    """

    fenced: bool = False
    marked: bool = False
    shared: bool = False
    batch_max: int = 1000
    ttl_min: int = 1
    calls_per_s: float | None = None
    write_s_max: float = 0.0
    verifiable: bool = False

    def __post_init__(self) -> None:
        if self.fenced and not self.marked:
            raise InvalidValue("a provider that compares the fencing token keeps a marker")
