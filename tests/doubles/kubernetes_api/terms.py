"""What clients of the double may do, what they did, and what is to go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.doubles.kubernetes_api.kinds import Document


@dataclass(frozen=True)
class Rule:
    """``names``: empty means all, which is what a `create` needs."""

    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def allows(self, verb: str, resource: str, name: str) -> bool:
        is_named = not self.names or name in self.names
        return verb in self.verbs and resource in self.resources and is_named


def least_rules(name: str) -> tuple[Rule, ...]:
    """What dnslb says that it needs, and no more."""
    both = ("leases", "configmaps")
    return Rule(both, ("get", "list", "watch", "update"), (name,)), Rule(both, ("create",))


@dataclass(frozen=True)
class Seen:
    """One request; ``status`` 0: no answer was sent. ``at``: by the monotonic clock."""

    verb: str
    resource: str
    name: str
    user: str
    status: int
    body: Document | None
    at: float


@dataclass
class Fault:
    """What happens to the next ``times`` requests that fit, instead of an answer or before it.

    ``lands``: it is carried out all the same. ``reset``, ``hangs_up``: how the connection ends
    without an answer. ``drip_s``: the answer comes byte by byte, so far apart.
    """

    times: int = 1
    verb: str | None = None
    resource: str | None = None
    user: str | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    drip_s: float = 0.0
    lands: bool = False
    reset: bool = False
    hangs_up: bool = False

    def fits(self, verb: str, resource: str, user: str) -> bool:
        return (
            self.times > 0
            and self.verb in (None, verb)
            and self.resource in (None, resource)
            and self.user in (None, user)
        )
