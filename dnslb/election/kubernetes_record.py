"""The ``spec`` of a Lease as client-go keeps it: what it says, and what each step writes. Pure.

Not when to write (`kubernetes_lease`). Go and Python instances compete for one lock by these
words (client-go tools/leaderelection, coordination.k8s.io/v1 LeaseSpec):

    holderIdentity        who may write, or "" when it was released
    leaseDurationSeconds  how long others wait from when they saw it change; 1 when it was released
    acquireTime           when this holder got it         } wall clocks of whoever wrote it: for
    renewTime             when it renewed it last         } people, and to tell two writes apart
    leaseTransitions      how often it has changed hands; the term of whoever holds it

Law: keys that are not of these (strategy, preferredHolder, what is to come) stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from dnslb.election.kubernetes_objects import JsonValue, Payload
from dnslb.errors import InvalidValue

RELEASED_S = 1
"""What a release writes for a duration; a Lease of 0 s is none that a server takes."""
TRANSITIONS_MAX = 2**31 - 1
"""An int32 for the server."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a spec says; what is missing there is empty or 0. ``duration_s``: whole seconds."""

    holder: str = ""
    duration_s: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0

    @property
    def is_released(self) -> bool:
        """Its last holder gave it up, in the words of client-go: both times are that of the
        release. An empty holder alone is none: a person emptied it, or it was made by somebody
        who does not hold it yet."""
        times_agree = self.acquired != "" and self.acquired == self.renewed
        return not self.holder and self.duration_s == RELEASED_S and times_agree


def from_spec(spec: Payload) -> LeaseRecord:
    """Raises `InvalidValue` for what no server would keep."""
    record = LeaseRecord(
        holder=_text(spec, "holderIdentity"),
        duration_s=_number(spec, "leaseDurationSeconds"),
        acquired=_text(spec, "acquireTime"),
        renewed=_text(spec, "renewTime"),
        transitions=_number(spec, "leaseTransitions"),
    )
    if record.duration_s < 0 or not 0 <= record.transitions <= TRANSITIONS_MAX:
        raise InvalidValue("the Lease has a negative duration or an impossible leaseTransitions")
    return record


def to_spec(record: LeaseRecord, over: Payload) -> dict[str, JsonValue]:
    """``over``: the spec that it replaces, whose other keys stay."""
    return {
        **over,
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.duration_s,
        "acquireTime": record.acquired or None,
        "renewTime": record.renewed or None,
        "leaseTransitions": record.transitions,
    }


def micro_time(wall: float) -> str:
    """Seconds since 1970 as a MicroTime: RFC 3339 in UTC with six digits, as Go writes it."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(spec: Payload, key: str) -> str:
    value = spec.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidValue(f"{key} of the Lease is no text")
    return value


def _number(spec: Payload, key: str) -> int:
    value = spec.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValue(f"{key} of the Lease is no whole number")
    return value
