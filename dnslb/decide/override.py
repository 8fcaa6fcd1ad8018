"""What people said against what the agents say: one table of precedence (`safety.md` 4.3).

Pause comes first (nothing is written), then force, then drain, then the verdict. An override
names one endpoint of one load balancer; here it becomes a word on that endpoint's address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from dnslb.model.loadbalancer import Endpoint
from dnslb.model.operator import ANY_SCOPE, OperatorState, Override, Pause

Word = Literal["force-up", "force-down", "drain"]


def override_of(operator: OperatorState, lb: str, endpoint: Endpoint) -> Override | None:
    return operator.overrides.get((lb, endpoint.id))


def word_on(overrides: Sequence[Override | None]) -> Word | None:
    """The operator's word on an address, from the overrides (or None) of all its endpoints.

    Forced down is forced down for the whole address; forced up holds only when it was said of
    every endpoint, since nobody vouched for the others.
    """
    kinds = [override.kind if override else None for override in overrides]
    if "force-down" in kinds:
        return "force-down"
    if kinds and all(kind == "force-up" for kind in kinds):
        return "force-up"
    return "drain" if "drain" in kinds else None


def pause_on(pauses: Mapping[str, Pause], zone: str | None, lb: str | None) -> Pause | None:
    """The widest pause that covers this zone and load balancer."""
    for scope in (ANY_SCOPE, zone, lb):
        if scope is not None and scope in pauses:
            return pauses[scope]
    return None
