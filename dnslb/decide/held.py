"""Changes that wait for a person, and names that are left alone: values and their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from dnslb.decide import reason
from dnslb.decide.diff import Difference, why
from dnslb.decide.guard import APPROVAL_S_MAX, Episode, held_id
from dnslb.model.instant import Now
from dnslb.model.operator import OperatorState, Pause
from dnslb.model.rrset import RRset, RRsetKey

HeldKind = Literal["withdrawal", "first-contact", "drift", "configuration"]


class HeldChange(NamedTuple):
    """A change that waits for a person; ``id`` is what `approve` and `drop` take. ``before`` and
    ``after`` are what approving it alone would change."""

    id: str
    kind: HeldKind
    lb: str
    zone: str
    key: RRsetKey
    before: tuple[str, ...]
    after: tuple[str, ...]
    ttl: int
    addresses: frozenset[str]
    sentence: str
    since_mono: float | None
    dropped_by: str | None


class Trouble(NamedTuple):
    """Why a name is left alone, for the attention list."""

    kind: str
    subject: str
    sentence: str
    next: str


def is_approved(operator: OperatorState, id_: str, now: Now) -> bool:
    """Whether a person said yes to exactly this, less than ten minutes ago."""
    approval = operator.approvals.get(id_)
    return approval is not None and 0 <= now.wall - approval.created_wall < APPROVAL_S_MAX


def _dropped_by(operator: OperatorState, id_: str) -> str | None:
    dropped = operator.dropped.get(id_)
    return dropped.by if dropped else None


def unasked(zone: str, d: Difference, kind: HeldKind, operator: OperatorState) -> HeldChange:
    """A whole RRset that is not changed before a person says so."""
    shown = [*(f"- {v}" for v in d.before), *(f"+ {v}" for v in d.wanted), f"ttl {d.ttl}"]
    id_ = held_id(kind, zone, d.key, shown, 0)
    before, wanted = reason.listed(d.before), reason.listed(d.wanted)
    if d.existing is not None and d.before == d.wanted:
        # The addresses agree, so naming them twice would say nothing.
        before, wanted = f"ttl {d.existing.ttl}", f"ttl {d.ttl}"
    if kind == "first-contact":
        sentence = (
            f"{d.key} exists ({before}) and differs from what dnslb would publish "
            f"({wanted}); it was never ours"
        )
    else:
        sentence = f"{d.key} was changed by somebody else to {before}; dnslb would publish {wanted}"
    return HeldChange(
        id=id_,
        kind=kind,
        lb=d.balancer.lb.name,
        zone=zone,
        key=d.key,
        before=d.before,
        after=d.wanted,
        ttl=d.ttl,
        addresses=d.withdrawn,
        sentence=sentence,
        since_mono=None,
        dropped_by=_dropped_by(operator, id_),
    )


def beyond_budget(
    zone: str, d: Difference, kept: frozenset[str], episode: Episode, operator: OperatorState
) -> HeldChange:
    """Withdrawals that the guard holds."""
    id_ = held_id("withdrawal", zone, d.key, kept, episode.number)
    return HeldChange(
        id=id_,
        kind="withdrawal",
        lb=d.balancer.lb.name,
        zone=zone,
        key=d.key,
        before=tuple(sorted(set(d.wanted) | kept)),
        after=d.wanted,
        ttl=d.ttl,
        addresses=kept,
        sentence=(
            f"withdrawing {reason.listed(sorted(kept))} from {d.key} would go beyond what may "
            f"leave DNS within one window; {why(d)}"
        ),
        since_mono=episode.since_mono,
        dropped_by=_dropped_by(operator, id_),
    )


def by_configuration(
    zone: str, parts: Sequence[tuple[Difference, Difference]], operator: OperatorState
) -> HeldChange:
    """What only our configuration would change at one name, both families together: of each
    RRset what flows all the same, and what is wanted."""
    flowing = {value for part, _ in parts for value in part.wanted}
    wanted = {value for _, whole in parts for value in whole.wanted}
    key, ttl = parts[0][1].key, parts[0][1].ttl
    gone, new = sorted(flowing - wanted), sorted(wanted - flowing)
    shown = [*(f"- {value}" for value in gone), *(f"+ {value}" for value in new)]
    would = [f"withdraw {reason.listed(gone)}"] * bool(gone) + [f"add {reason.listed(new)}"] * bool(
        new
    )
    if any(part.ttl != whole.ttl for part, whole in parts):
        shown.append(f"ttl {ttl}")
        would.append(f"set the TTL to {ttl}")
    id_ = held_id("configuration", zone, RRsetKey(key.name, ""), shown, 0)
    return HeldChange(
        id=id_,
        kind="configuration",
        lb=key.name,
        zone=zone,
        key=key,
        before=tuple(sorted(flowing)),
        after=tuple(sorted(wanted)),
        ttl=ttl,
        addresses=frozenset((*gone, *new)),
        sentence=(
            f"the configuration of this leader would {', '.join(would)} at {key.name}; the one "
            "that is in force differs, and not all voters have the leader's"
        ),
        since_mono=None,
        dropped_by=_dropped_by(operator, id_),
    )


def paused(pause: Pause) -> str:
    """Why a change waits."""
    return f"paused by {pause.by}: {pause.reason}"


def cname(name: str, target: str) -> Trouble:
    return Trouble(
        "cname",
        name,
        f"{name} is a CNAME to {target}; no address may stand beside it, so it is left alone",
        "remove the CNAME by hand, or take the name out of the configuration",
    )


def drift(d: Difference) -> Trouble:
    return Trouble(
        "drift",
        str(d.key),
        f"{d.key} was changed by somebody else to {reason.listed(d.before)}; dnslb would publish "
        f"{reason.listed(d.wanted)} and leaves it (drift report)",
        "put it right by hand, or set drift to restore",
    )


def rival(key: RRsetKey) -> Trouble:
    return Trouble(
        "rival-writer",
        str(key),
        f"somebody else keeps changing {key}; dnslb restores it ever more slowly",
        "find the other writer and stop it, or take the name out of one configuration",
    )


def would_empty(key: RRsetKey) -> Trouble:
    return Trouble(
        "would-empty",
        str(key),
        f"{key} would be left without any address, which no policy asked for, so it stays",
        f"dnslbctl why {key.name}",
    )


def not_deleted(key: RRsetKey, existing: RRset) -> Trouble:
    return Trouble(
        "drift",
        str(key),
        f"{key} is now {reason.listed(existing.values)}, which dnslb did not write, so it is not "
        "deleted",
        f"delete it by hand, then dnslbctl release {key.name}",
    )
