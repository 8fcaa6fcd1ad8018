"""Verdicts and policy to the wanted set: precedence, priorities, the unknown and the all-down."""

from __future__ import annotations

from dnslb.decide.desired import Candidate, Desired, decide
from dnslb.model.loadbalancer import Policy

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def candidate(
    address: str, state: str, *said: str, priority: int = 0, lived: float = 0.0
) -> Candidate:
    """``state``: living, dead or unknown. ``said``: "out" (not published), "drained", "forced"."""
    return Candidate(
        address,
        priority,
        lives=state == "living",
        unsure=state == "unknown",
        drained="drained" in said,
        forced="forced" in said,
        published="out" not in said,
        lived_mono=lived,
    )


def wanted(*candidates: Candidate, **policy: object) -> Desired:
    published = [c.address for c in candidates if c.published]
    return decide(Policy(**policy), candidates, published)  # type: ignore[arg-type]


def test_an_unknown_better_priority_does_not_displace_a_living_one() -> None:
    """Its withdrawal was held; then its agents fell silent: that is no reason to withdraw."""
    unknown, living = candidate(A, "unknown"), candidate(B, "living", priority=1)
    decided = wanted(unknown, living)
    assert decided.addresses == (A, B)
    assert "priority 0 is unknown" in decided.sentence


def test_an_unknown_better_priority_is_not_given_up() -> None:
    assert wanted(candidate(A, "unknown"), candidate(B, "living", "out", priority=1)).addresses == (
        A,
    )


def test_a_living_better_priority_is_published_alone() -> None:
    living, worse = candidate(A, "living", "out"), candidate(B, "living", priority=1)
    assert wanted(living, worse).addresses == (A,)


def test_force_down_works_while_the_agents_are_silent() -> None:
    """The very hour in which operators steer by hand."""
    assert wanted(candidate(A, "dead", "forced"), candidate(B, "unknown")).addresses == (B,)
    assert wanted(candidate(A, "dead", "drained"), candidate(B, "unknown")).addresses == (B,)


def test_force_down_of_the_last_published_address_leaves_it() -> None:
    """Nothing else is in DNS, and nobody knows of anything else that lives."""
    forced, other = candidate(A, "dead", "forced"), candidate(B, "unknown", "out")
    assert wanted(forced, other).addresses == (A,)
