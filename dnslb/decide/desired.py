"""Verdicts and policy to the addresses that should be published, with the rule and the sentence.

The order is that of `safety.md` 4.3. Where nothing is known to live and something is unknown,
what is published stays: not knowing is not "down". Pure: equal inputs give equal answers in
whatever order they come.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from dnslb.model.loadbalancer import Policy

Rule = Literal["verdict", "min-published", "unknown", "keep", "all", "fallback", "none", "frozen"]


class Candidate(NamedTuple):
    """One configured address, the operator's word already weighed in: it ``lives``, its state is
    unknown (``unsure``), or it is dead. ``drained`` and ``forced``: a person took it out, so no
    minimum keeps it. ``lived_mono``: when it was last known to live."""

    address: str
    priority: int
    lives: bool
    unsure: bool
    drained: bool
    forced: bool
    published: bool
    lived_mono: float


class Desired(NamedTuple):
    """``addresses`` in the order of the configuration."""

    addresses: tuple[str, ...]
    rule: Rule
    sentence: str

    @property
    def is_echo(self) -> bool:
        """Whether it only repeats what stands: then it says nothing of whose that is."""
        return self.rule in ("unknown", "keep", "frozen")


def decide(
    policy: Policy, candidates: Sequence[Candidate], published: Sequence[str] | None
) -> Desired:
    """The wanted set. ``published``: what stands now; None when that was never seen."""
    if any(c.lives for c in candidates):
        return _among_living(policy, candidates)
    eligible = [c for c in candidates if not c.drained]
    if any(c.unsure for c in eligible):
        out = {c.address for c in candidates if c.drained or c.forced}
        kept = _kept(candidates, policy, published, out)
        return Desired(
            kept,
            "unknown",
            f"no address is known to live and {sum(c.unsure for c in candidates)} of "
            f"{len(candidates)} are unknown, so DNS stays as it is",
        )
    return _all_down(policy, candidates, published)


def _among_living(policy: Policy, candidates: Sequence[Candidate]) -> Desired:
    """Of several priorities the lowest with a living endpoint, alone. One whose published
    addresses are merely unknown is not given up, nor does it displace what is published."""
    able = [c for c in candidates if c.lives or (c.unsure and c.published)]
    active = min(c.priority for c in able)
    leads = any(c.lives and c.priority == active for c in able)
    chosen = {c.address for c in able if c.priority == active or (c.published and not leads)}
    living = sum(c.lives for c in candidates)
    rule: Rule = "verdict"
    sentence = f"{living} of {len(candidates)} addresses live"
    if len({c.priority for c in candidates}) > 1:
        if leads:
            sentence += f"; priority {active} is published"
        else:
            sentence += f"; priority {active} is unknown, so what is published stays"
    if missing := policy.min_published - len(chosen):
        kept = _most_recently_living(candidates, chosen, active)[: max(0, missing)]
        if kept:
            chosen.update(kept)
            rule = "min-published"
            sentence += f"; {', '.join(kept)} stays, since min-published is {policy.min_published}"
    return Desired(tuple(c.address for c in candidates if c.address in chosen), rule, sentence)


def _most_recently_living(
    candidates: Sequence[Candidate], chosen: set[str], active: int
) -> list[str]:
    """Published addresses that only a verdict would withdraw, best first."""
    spare = [
        c
        for c in candidates
        if c.published and not (c.drained or c.forced) and c.address not in chosen
    ]
    spare.sort(key=lambda c: (c.priority != active, -c.lived_mono, c.priority, c.address))
    return [c.address for c in spare]


def _all_down(
    policy: Policy, candidates: Sequence[Candidate], published: Sequence[str] | None
) -> Desired:
    head = f"none of {len(candidates)} addresses lives"
    match policy.when_all_down:
        case "keep":
            drained = {c.address for c in candidates if c.drained}
            kept = _kept(candidates, policy, published, drained)
            return Desired(kept, "keep", f"{head}, so the published set stays (when-all-down keep)")
        case "all":
            willing = tuple(c.address for c in candidates if not c.drained)
            addresses = willing or tuple(c.address for c in candidates)
            return Desired(addresses, "all", f"{head}, so all are published (when-all-down all)")
        case "fallback":
            return Desired(
                policy.fallback,
                "fallback",
                f"{head}, so the fallback is published (when-all-down fallback)",
            )
        case "none":
            return Desired((), "none", f"{head}, so none is published (when-all-down none)")


def _kept(
    candidates: Sequence[Candidate],
    policy: Policy,
    published: Sequence[str] | None,
    out: Collection[str],
) -> tuple[str, ...]:
    """What stands and is ours to keep, without what a person took ``out``, but never nothing
    for that."""
    if not published:
        return ()
    known = [c.address for c in candidates] + list(policy.fallback)
    kept = tuple(dict.fromkeys(a for a in known if a in published))
    willing = tuple(a for a in kept if a not in out)
    return willing or kept or tuple(published)
