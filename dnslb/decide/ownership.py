"""Is the RRset that stands there ours, and as we left it? First contact, drift, rival writers.

Compares what was read with what we last wrote or were about to write; decides nothing about
health (`safety.md` 3.3). A CNAME at an owned name is always refused: no address may stand
beside it (RFC 1034 3.6.2), and replacing it would be ours to regret.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

from dnslb.model.checkpoint import EARLIER_MAX, Owned
from dnslb.model.rrset import RRset, RRsetKey

Relation = Literal["ours", "new", "foreign", "drifted"]

RIVAL_EDITS = 3
RIVAL_WINDOW_S = 600.0
RIVAL_WAIT_S = 10.0
RIVAL_WAIT_S_MAX = 300.0


def relation(
    existing: RRset | None, wanted: Sequence[str], ttl: int, owned: Owned | None
) -> Relation:
    """``new``: nothing stands there. ``foreign``: something does that we never saw, and it is
    not what we want. ``drifted``: it was ours and somebody changed it."""
    values = existing.values if existing else ()
    if owned is None:
        if existing is None:
            return "new"
        return "ours" if values == tuple(wanted) and existing.ttl == ttl else "foreign"
    if is_as_left(existing, owned) and (existing is None or existing.ttl in (owned.ttl, ttl)):
        return "ours"
    if values == tuple(wanted) and (existing is None or existing.ttl == ttl):
        return "ours"
    return "drifted"


def is_as_left(existing: RRset | None, owned: Owned | None) -> bool:
    """Whether the addresses that stand there are what we last wrote or were about to write."""
    values = existing.values if existing else ()
    return owned is not None and values in owned.may_show


def earlier_than(
    intended: tuple[str, ...] | None, values: tuple[str, ...], known: Owned
) -> tuple[tuple[str, ...], ...]:
    """What writes before the one that intends ``intended`` may leave where ``values`` stand:
    whoever takes over in the middle must know all of it as ours. The newest come first."""
    before = () if known.intended is None else (known.intended,)
    listed = dict.fromkeys((*before, *known.earlier))
    return tuple(one for one in listed if one not in (values, intended))[:EARLIER_MAX]


class RivalWatch:
    """Counts foreign edits per RRset: against somebody who insists we back off and alarm."""

    def __init__(self) -> None:
        self._edits: dict[RRsetKey, deque[float]] = {}
        self._seen: dict[RRsetKey, tuple[str, ...]] = {}

    def note(self, key: RRsetKey, values: tuple[str, ...], mono: float) -> bool:
        """Notes a drifted RRset; True when this edit was not seen before."""
        if self._seen.get(key) == values:
            return False
        self._seen[key] = values
        edits = self._edits.setdefault(key, deque(maxlen=16))
        edits.append(mono)
        return True

    def settled(self, key: RRsetKey) -> None:
        """The RRset is ours again; the same edit would be a new one."""
        self._seen.pop(key, None)

    def wait_until(self, key: RRsetKey, mono: float) -> float | None:
        """Until when the RRset is left alone since somebody else keeps writing it, or None."""
        edits = self._edits.get(key)
        if not edits:
            return None
        recent = sum(mono - at <= RIVAL_WINDOW_S for at in edits)
        if recent < RIVAL_EDITS:
            return None
        wait = min(RIVAL_WAIT_S * 2.0 ** (recent - RIVAL_EDITS), RIVAL_WAIT_S_MAX)
        return edits[-1] + wait
