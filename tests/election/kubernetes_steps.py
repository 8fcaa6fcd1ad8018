"""One contest for a Lease by hand: objects, instants and steps for its tests."""

from __future__ import annotations

from dnslb.election.kubernetes_lease import LeaseContest, Timing, Wait, Write
from dnslb.election.kubernetes_objects import JsonValue, Kind, KubernetesObject
from dnslb.election.kubernetes_record import micro_time
from dnslb.model.instant import Now

TIMING = Timing(15, 10.0, 2.0)
WALL = 1_767_225_600.0


def at(seconds: float) -> Now:
    return Now(seconds, 1000 + seconds, WALL + seconds)


def foreign(version: int = 1, **changed: JsonValue) -> KubernetesObject:
    spec: dict[str, JsonValue] = {
        "holderIdentity": "b_2",
        "leaseDurationSeconds": 15,
        "acquireTime": micro_time(WALL),
        "renewTime": micro_time(WALL + version),
        "leaseTransitions": 6,
        "strategy": "OldestEmulationVersion",
    }
    spec |= changed
    return KubernetesObject(Kind.LEASE, "dnslb", "u1", str(version), spec)


def contest(luck: float = 0.0) -> LeaseContest:
    return LeaseContest("a_1", TIMING, lambda: luck)


def answered(one: LeaseContest, write: Write, version: int) -> KubernetesObject:
    uid = "u1" if write.existing is None else write.existing.uid
    return KubernetesObject(Kind.LEASE, "dnslb", uid, str(version), write.payload)


def write(one: LeaseContest, seconds: float, step: str) -> Write:
    wish = one.wish(at(seconds))
    assert isinstance(wish, Write), wish
    assert wish.step == step
    return wish


def until(one: LeaseContest, seconds: float) -> float:
    wish = one.wish(at(seconds))
    assert isinstance(wish, Wait), wish
    return wish.until


def has_right(one: LeaseContest, seconds: float) -> bool:
    return one.right(1000 + seconds) is not None


def held(seconds: float = 0.0) -> LeaseContest:
    """One that acquired version 2 by what was sent then."""
    one = contest()
    one.found(foreign(), at(seconds - 15))
    wish = write(one, seconds, "acquire")
    one.begin(wish, at(seconds))
    one.written(answered(one, wish, 2), at(seconds))
    return one


def write_of(one: LeaseContest) -> Write:
    """What stands there by its knowledge, as a write."""
    record = one.record
    assert record is not None
    return Write("renew", foreign(1), record, 1.0)
