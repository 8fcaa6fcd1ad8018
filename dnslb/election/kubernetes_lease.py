"""Who may write, by a Lease in Kubernetes: what to ask of the API server, and what answers mean.

Not the asking (`kubernetes_elector`) nor the words (`kubernetes_record`). Pure: instants are
arguments, of this instance's own boot clock, and none is compared with another machine's.

    absent ──create, held by nobody──► unheld ──wait──► acquire ──► ours ──renew──► ours
    foreign ── seen to change: wait its duration anew ──► acquire      └─give up─► release

Law (`safety.md` 1.7): the right to write lasts until the *sending* of the last renewal that was
answered, plus the renew deadline. The Lease is taken only by replacing exactly the version that
this instance has known for as long as its holder could rely on it: the recorded duration, and
never less than our own, which is longer than the deadline even for a clock that runs a tenth
slower. A release is the one exception: there the holder itself says that it writes no more.
So whatever a person does to the Lease (delete it, empty it, shorten it), nobody writes sooner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from dnslb.election.kubernetes_objects import KubernetesObject, Payload
from dnslb.election.kubernetes_record import (
    RELEASED_S,
    TRANSITIONS_MAX,
    LeaseRecord,
    from_spec,
    micro_time,
    to_spec,
)
from dnslb.model.instant import Now

Luck = Callable[[], float]
"""Uniform within 0 and 1."""
Step = Literal["create", "acquire", "renew", "release"]

SPREAD_S = 0.1
"""Within which those who wait for the same instant spread."""
ACQUIRE_JITTER = 1.2
"""client-go's JitterFactor for attempts of those who do not hold it."""
PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 30.0
CALL_S_MIN = 1.0
MARKS_MAX = 8


@dataclass(frozen=True, slots=True)
class Timing:
    """``deadline_s`` and a tenth of it are less than ``duration_s`` (the configuration's check)."""

    duration_s: int
    deadline_s: float
    retry_s: float


@dataclass(frozen=True, slots=True)
class Right:
    """To write, until an instant of the boot clock, as the ``term``th holder of this Lease."""

    uid: str
    term: int
    good_until: float


@dataclass(frozen=True, slots=True)
class Look:
    """Read the Lease; without an answer within so many seconds it counts as failed."""

    within_s: float


@dataclass(frozen=True, slots=True)
class Write:
    """Create the Lease (``existing`` None) or replace exactly that version of it."""

    step: Step
    existing: KubernetesObject | None
    record: LeaseRecord
    within_s: float

    @property
    def payload(self) -> Payload:
        return to_spec(self.record, {} if self.existing is None else self.existing.payload)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to ask before this instant of the boot clock, unless something is heard."""

    until: float


Wish = Look | Write | Wait


@dataclass(frozen=True, slots=True)
class _Mark:
    """What we wrote, or may have written, over which version."""

    uid: str
    basis: str
    record: LeaseRecord

    def is_in(self, uid: str, record: LeaseRecord) -> bool:
        """A person may change the duration; what tells two writes apart is the rest."""
        return self.uid == uid and replace(self.record, duration_s=record.duration_s) == record


@dataclass(frozen=True, slots=True)
class _Sent:
    write: Write
    at: float


class LeaseContest:
    """One instance's part. ``identity``: `<instance-id>_<nonce>`, of this process alone.
    ``record``: what the Lease says, as last heard; ``changed_at``: since when, on the boot clock.
    ``trouble``: why it cannot be taken at all.

    Follow `wish`, one call at a time: `begin` a write right before it is sent, then say what came
    of it. `see` may be called at any time.
    """

    def __init__(self, identity: str, timing: Timing, luck: Luck) -> None:
        self.identity = identity
        self.timing = timing
        self.record: LeaseRecord | None = None
        self.trouble: str | None = None
        self._luck = luck
        self._object: KubernetesObject | None = None
        self._must_look = True
        self.changed_at = -math.inf
        self._free_at = -math.inf
        self._again_at = -math.inf
        self._renew_at = -math.inf
        self._conflicts = 0
        self._marks: tuple[_Mark, ...] = ()
        self._sent: _Sent | None = None
        self._right: Right | None = None
        self._counts_from = -math.inf
        self._stands_from: float | None = None
        self._may_release = False

    # ------------------------------------------------------------------------ what it comes to

    def right(self, at: float) -> Right | None:
        """What this instance may rely on at that instant."""
        right = self._right
        return right if right is not None and at < right.good_until else None

    @property
    def holder(self) -> str:
        """As last heard; "" where nobody holds it, or nothing was heard yet."""
        return "" if self.record is None else self.record.holder

    def leader(self, at: float) -> str:
        """Who holds the Lease at that instant, as far as is known; "" where nobody may."""
        if self.is_ours:
            return self.holder if self.right(at) is not None else ""
        return self.holder if at < self._free_at else ""

    @property
    def is_standing(self) -> bool:
        """It wants the Lease; False while it gives up or has given up what it had."""
        return self._stands_from is None

    @property
    def is_ours(self) -> bool:
        """What is known to stand there was written by this process."""
        return self._is_ours(self._object, self.record)

    def _is_ours(self, found: KubernetesObject | None, record: LeaseRecord | None) -> bool:
        if found is None or record is None:
            return False
        return any(mark.is_in(found.uid, record) for mark in self._marks)

    # --------------------------------------------------------------------------- what is heard

    def see(self, found: KubernetesObject | None, now: Now) -> None:
        """What a watch says, which may be late: who holds the Lease looks for itself. Raises
        `InvalidValue` for a Lease that cannot be read."""
        record = None if found is None else from_spec(found.payload)
        if self._right is None:
            self._take(found, record, now.boot)
        elif not self._continues(found, record):
            self._must_look = True

    def _continues(self, found: KubernetesObject | None, record: LeaseRecord | None) -> bool:
        """Whether this is a version of our own holding, the newest or an earlier one."""
        ours = self.record
        if found is None or record is None or ours is None or self._right is None:
            return False
        return found.uid == self._right.uid and record == replace(
            ours, renewed=record.renewed, duration_s=record.duration_s
        )

    def found(self, found: KubernetesObject | None, now: Now) -> None:
        """The answer to a `Look`. Raises `InvalidValue` for a Lease that cannot be read."""
        record = None if found is None else from_spec(found.payload)
        self._must_look = False
        if not self._is_ours(found, record):
            self._right = None
            # What we wrote over another version can never be carried out any more.
            self._marks = tuple(m for m in self._marks if (m.uid, m.basis) == _version(found))
        self._take(found, record, now.boot)

    def _take(self, found: KubernetesObject | None, record: LeaseRecord | None, at: float) -> None:
        # By version, not by what it says: a holder whose wall clock stands still renews, too.
        if _version(found) != _version(self._object):
            self.changed_at, self._free_at = at, self._wait_until(record, at)
        self._object, self.record = found, record

    def _wait_until(self, record: LeaseRecord | None, at: float) -> float:
        """Until when a holder may rely on what was first seen at that instant."""
        spread_s = self._luck() * SPREAD_S
        own_s = self.timing.duration_s
        if record is None:
            return self._free_at
        if record.is_released and own_s > RELEASED_S:
            return at + spread_s
        return max(self._free_at, at + max(record.duration_s, own_s) + spread_s)

    # ---------------------------------------------------------------------------- what is asked

    def wish(self, now: Now) -> Wish:
        """What to do now; ask again after whatever happens, and at the end of a `Wait`."""
        at, self.trouble = now.boot, None
        if at < self._again_at:
            return Wait(self._again_at)
        if self._stands_from is not None:
            if at < self._stands_from:
                return self._part(now)
            self._stands_from, self._marks, self._may_release = None, (), False
        if self._must_look:
            return Look(self._within_s(at))
        record = self.record
        if record is None:
            return self._write("create", now, LeaseRecord(duration_s=self.timing.duration_s))
        if self.is_ours:
            if at < self._renew_at:
                return Wait(self._renew_at)
            return self._write("renew", now, record)
        if at < self._free_at:
            return Wait(self._free_at)
        if record.transitions >= TRANSITIONS_MAX:
            self.trouble = "its leaseTransitions can grow no more"
            return Wait(math.inf)
        return self._write("acquire", now, replace(record, transitions=record.transitions + 1))

    def _part(self, now: Now) -> Wish:
        assert self._stands_from is not None
        if self._may_release and self._marks:
            if self._must_look:
                return Look(self._within_s(now.boot))
            if self.is_ours:
                assert self.record is not None
                return self._write("release", now, self.record)
        return Wait(self._stands_from)

    def _write(self, step: Step, now: Now, record: LeaseRecord) -> Write:
        time = micro_time(now.wall)
        match step:
            case "renew":
                record = replace(record, renewed=time, duration_s=self.timing.duration_s)
            case "release":
                record = LeaseRecord("", RELEASED_S, time, time, record.transitions)
            case "acquire":
                duration_s = self.timing.duration_s
                record = LeaseRecord(self.identity, duration_s, time, time, record.transitions)
        return Write(step, self._object, record, self._within_s(now.boot))

    def _within_s(self, at: float) -> float:
        """A call that hangs must leave time for another one."""
        right = self.right(at)
        if right is None:
            return max(self.timing.deadline_s / 2, CALL_S_MIN)
        left_s = right.good_until - at
        return max(left_s / 2, min(left_s, CALL_S_MIN))

    # -------------------------------------------------------------------------- what came of it

    def begin(self, write: Write, now: Now) -> None:
        """To be called right before it is sent: its time counts from here."""
        self._sent = _Sent(write, now.boot)

    def written(self, answer: KubernetesObject, now: Now) -> None:
        """It was carried out. Raises `InvalidValue` for an answer that cannot be read."""
        sent, record = self._sent, from_spec(answer.payload)
        assert sent is not None
        self._sent, self._conflicts, existing = None, 0, sent.write.existing
        if existing is not None and (answer.uid != existing.uid or record != sent.write.record):
            # Another object, or another word than ours: no renewal.
            self._must_look = True
            return
        self._take(answer, record, now.boot)
        match sent.write.step:
            case "acquire" | "renew":
                assert existing is not None
                self._marks = (_Mark(answer.uid, existing.resource_version, record),)
                self._renew_at = sent.at + self.timing.retry_s
                if self._stands_from is None:
                    self._right = Right(answer.uid, record.transitions, self._good_until(sent.at))
            case "release":
                self._marks = ()

    def _good_until(self, sent_at: float) -> float:
        return sent_at + self.timing.deadline_s if sent_at >= self._counts_from else -math.inf

    def conflict(self, now: Now) -> None:
        """It was not carried out: another version stands there, or none."""
        self._sent, self._must_look = None, True
        # The first one is looked at at once; who insists is given way.
        pause_s = PAUSE_S_MIN * self._conflicts
        self._conflicts += 1
        self._again_at = now.boot + min(pause_s, self.timing.retry_s)

    def failed(self, now: Now, *, unknown: bool = False, retry_after_s: float = 0.0) -> None:
        """A look or a write came to nothing. ``unknown``: nobody knows whether it was carried
        out, so it is looked at. ``retry_after_s``: when the server wants to be asked again."""
        sent, self._sent = self._sent, None
        self._must_look = True
        if sent is not None and unknown and sent.write.step in ("acquire", "renew"):
            existing = sent.write.existing
            assert existing is not None
            mark = _Mark(existing.uid, existing.resource_version, sent.write.record)
            self._marks = (*self._marks, mark)[-MARKS_MAX:]
        right = self.right(now.boot)
        if right is None:
            pause_s = self.timing.retry_s * (1 + ACQUIRE_JITTER * self._luck())
        else:
            pause_s = min(self.timing.retry_s, (right.good_until - now.boot) / 4)
        if self._stands_from is not None and self._may_release:
            pause_s = 0.0
        pause_s = max(pause_s, PAUSE_S_MIN, min(retry_after_s, PAUSE_S_MAX))
        self._again_at = now.boot + pause_s

    # ------------------------------------------------------------------------------ giving it up

    def drop(self, now: Now) -> None:
        """Nothing that was sent before counts any more, e.g. since a clock jumped; a renewal
        sent from now on does."""
        self._counts_from = now.boot
        if self._right is not None:
            self._right = replace(self._right, good_until=-math.inf)
        self._renew_at = self._again_at = -math.inf

    def give_up(self, stands_from: float) -> None:
        """The right is gone at once, and no Lease is taken before that instant of the boot clock
        (infinite: for good). The Lease itself stays as it is until `allow_release`."""
        self._right = None
        self._stands_from = max(stands_from, self._stands_from or -math.inf)

    def allow_release(self) -> None:
        """Nothing that was begun under the right that was given up is under way any more."""
        self._may_release = self._stands_from is not None
        self._again_at = -math.inf

    @property
    def has_parted(self) -> bool:
        """Nothing is left to be given back."""
        return self._right is None and not self._marks and self._sent is None


def _version(found: KubernetesObject | None) -> tuple[str, str]:
    return ("", "") if found is None else (found.uid, found.resource_version)
