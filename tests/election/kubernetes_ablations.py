"""The rules of the Lease, each left out once: what the runs must then catch.

Not options of the product: every ablation overrides a method of the test's own contest.
"""

from __future__ import annotations

from dataclasses import replace

from dnslb.election.kubernetes_lease import LeaseContest, Luck, Right, Timing, Write
from dnslb.election.kubernetes_objects import KubernetesObject
from dnslb.election.kubernetes_record import LeaseRecord
from dnslb.model.instant import Now


class CountsFromAnswer(LeaseContest):
    """The right lasts from when a renewal was sent, not from when it was answered."""

    def written(self, answer: KubernetesObject, now: Now) -> None:
        assert self._sent is not None
        self._sent = replace(self._sent, at=now.boot)
        super().written(answer, now)


class CountsUnknown(LeaseContest):
    """A renewal whose outcome is not known is none."""

    def failed(self, now: Now, *, unknown: bool = False, retry_after_s: float = 0.0) -> None:
        sent = self._sent
        if unknown and sent is not None and self._right is not None:
            self._right = replace(self._right, good_until=sent.at + self.timing.deadline_s)
        super().failed(now, unknown=unknown, retry_after_s=retry_after_s)


class TrustsRecorded(LeaseContest):
    """A foreign Lease is waited for no shorter than our own duration, whatever a person wrote."""

    def _wait_until(self, record: LeaseRecord | None, at: float) -> float:
        return at if record is None else at + record.duration_s


class EmptyIsReleased(LeaseContest):
    """A holder that a person emptied has given nothing up."""

    def _wait_until(self, record: LeaseRecord | None, at: float) -> float:
        return at if record is not None and not record.holder else super()._wait_until(record, at)


class WaitsOnce(LeaseContest):
    """The wait begins anew with each version."""

    def _take(self, found: KubernetesObject | None, record: LeaseRecord | None, at: float) -> None:
        free_at, before = self._free_at, self.record
        super()._take(found, record, at)
        if before is not None and record is not None and record.holder == before.holder != "":
            self._free_at = free_at


class HoldsWhatItMade(LeaseContest):
    """Who makes the Lease waits like everybody else: it may have been deleted a moment ago."""

    def written(self, answer: KubernetesObject, now: Now) -> None:
        assert self._sent is not None
        made = self._sent.write.step == "create"
        super().written(answer, now)
        if made:
            self._free_at = now.boot


class KnowsItselfByName(LeaseContest):
    """An earlier process of this instance is somebody else."""

    def _is_ours(self, found: KubernetesObject | None, record: LeaseRecord | None) -> bool:
        if record is None:
            return False
        return record.holder.rpartition("_")[0] == self.identity.rpartition("_")[0]


class KnowsItselfByIdentity(LeaseContest):
    """Our name in the Lease is our right only where we wrote it."""

    def _is_ours(self, found: KubernetesObject | None, record: LeaseRecord | None) -> bool:
        return record is not None and record.holder == self.identity


class RenewsAfterGivingUp(LeaseContest):
    """What was given up is not got back by an answer that was under way."""

    def written(self, answer: KubernetesObject, now: Now) -> None:
        sent = self._sent
        assert sent is not None
        super().written(answer, now)
        if sent.write.step == "renew":
            good_until = sent.at + self.timing.deadline_s
            self._right = Right(answer.uid, sent.write.record.transitions, good_until)


class KeepsRightAfterRelease(LeaseContest):
    """Who releases the Lease has given up the right before."""

    def begin(self, write: Write, now: Now) -> None:
        super().begin(write, now)
        if write.step == "release":
            self._right = Right("", write.record.transitions, now.boot + 5)


class NoRoomForDrift(LeaseContest):
    """The deadline and a tenth of it are less than the duration."""

    def __init__(self, identity: str, timing: Timing, luck: Luck) -> None:
        deadline_s = timing.duration_s - 0.1
        super().__init__(identity, replace(timing, deadline_s=deadline_s), luck)


ALL: tuple[type[LeaseContest], ...] = (
    CountsFromAnswer,
    CountsUnknown,
    TrustsRecorded,
    EmptyIsReleased,
    WaitsOnce,
    HoldsWhatItMade,
    KnowsItselfByName,
    KnowsItselfByIdentity,
    RenewsAfterGivingUp,
    KeepsRightAfterRelease,
    NoRoomForDrift,
)
