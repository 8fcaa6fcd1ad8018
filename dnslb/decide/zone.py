"""What is known of one zone, and whether it may be written now: readings, back-off, plans out.

Keeps instants and counts; decides nothing about addresses and touches no provider.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from dnslb.decide.backoff import GATED_WAIT_S, Trouble, backoff_s, worse
from dnslb.decide.quarantine import Quarantine
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Failure, Receipt
from dnslb.model.plan import Plan
from dnslb.model.publication import Lag
from dnslb.model.rrset import RRset, RRsetKey, ZoneReading
from dnslb.model.status import ZoneView


@dataclass(slots=True)
class Zone:
    """``stale``: what was read must be read again before anything is written. ``revision`` grows
    whenever ``rrsets`` changes. ``fence``: the token that was put into the marker here;
    ``taking``: the one that is being put there. ``unsure``: the addresses that a write left there
    whose end is not known, if it was done. Reads and writes fail on their own: that a zone
    can be read says nothing of whether it can be written, so only a write, or nothing left to
    write, ends ``write_trouble`` and its back-off. ``reading_is_void``: what is being read was
    asked for under an older lease."""

    name: str
    rrsets: dict[RRsetKey, RRset] = field(default_factory=dict)
    cnames: dict[str, str] = field(default_factory=dict)
    names_read: frozenset[str] = frozenset()
    basis: object = None
    read_mono: float | None = None
    read_wall: float | None = None
    read_after_mono: float = float("-inf")
    stale: bool = True
    reading: bool = False
    reading_is_void: bool = False
    outstanding: dict[str, Plan] = field(default_factory=dict)
    unsure: dict[RRsetKey, tuple[str, ...]] = field(default_factory=dict)
    fence: FencingToken | None = None
    taking: FencingToken | None = None
    fence_trouble: Trouble | None = None
    read_trouble: Trouble | None = None
    write_trouble: Trouble | None = None
    quarantine: Quarantine = field(default_factory=Quarantine)
    not_before_mono: float = float("-inf")
    written_mono: float = float("-inf")
    success_wall: float | None = None
    needs_version: int = 0
    blocked: str | None = None
    revision: int = 0
    lagging: tuple[Lag, ...] = ()
    unasked: tuple[str, ...] = ()
    unverified: str | None = None

    def take_over(self, read_after_mono: float) -> None:
        """A new lease: all is read anew, not before this instant, and a reading that is under way
        may show what stood before another writer's last word."""
        self.stale = True
        self.read_after_mono = read_after_mono
        self.reading_is_void = self.reading
        self.not_before_mono = float("-inf")
        self.fence = self.taking = self.fence_trouble = None

    def lay_down(self) -> None:
        """Nobody tries anything here any more, so no success would ever end these."""
        self.fence_trouble = self.read_trouble = self.write_trouble = None
        self.quarantine.keep(())

    def forget(self, name: str) -> None:
        """It lives elsewhere now: what was read of it here says nothing of it any more."""
        self.names_read -= {name}
        self.rrsets = {key: rrset for key, rrset in self.rrsets.items() if key.name != name}
        self.cnames.pop(name, None)
        self.revision += 1

    def needs_fence(self, token: FencingToken, mono: float) -> bool:
        """Whether the marker should be asked for now. Once is enough for a lease: whoever takes
        it away later is a newer writer, and not to be answered in kind (`safety.md` 2.2)."""
        return self.fence != token and self.taking is None and mono >= self.not_before_mono

    def take_fence(self, token: FencingToken, failure: Failure | None, now: Now) -> None:
        """What stood here before the marker was ours may be another writer's last word."""
        self.taking = None
        if failure is None:
            self.fence, self.fence_trouble, self.stale = token, None, True
            return
        if failure.kind == "gated":
            self.not_before_mono = max(self.not_before_mono, now.mono + GATED_WAIT_S)
            return
        self.fence_trouble = worse(self.fence_trouble, failure, now)
        wait_s = backoff_s(self.fence_trouble.failures, failure)
        self.not_before_mono = max(self.not_before_mono, now.mono + wait_s)

    def take_reading(self, reading: ZoneReading, now: Now) -> bool:
        """Whether it counts."""
        if self.reading_is_void:
            self.reading = self.reading_is_void = False
            return False
        self.revision += 1
        self.rrsets = dict(reading.rrsets)
        self.cnames = dict(reading.cnames)
        self.names_read = reading.names
        self.basis = reading.basis
        self.read_mono, self.read_wall = now.mono, now.wall
        self.reading = False
        self.stale = now.mono < self.read_after_mono
        self.read_trouble = None
        return True

    def take_receipt(self, plan: Plan, receipt: Receipt, now: Now) -> None:
        """The provider accepted the plan: what stands now is what the receipt says."""
        self.revision += 1
        new = {rrset.key: rrset for rrset in receipt.rrsets}
        for change in plan.changes:
            if change.after is None:
                self.rrsets.pop(change.key, None)
            else:
                self.rrsets[change.key] = new.get(change.key, change.after)
        if receipt.basis is not None:
            self.basis = receipt.basis
        self.success_wall = now.wall
        self.quarantine.take_success({c.key.name for c in plan.changes})
        if not self.outstanding:
            self.write_trouble = None

    def take_read_failure(self, failure: Failure, now: Now) -> None:
        """What was known may be old now: read again, after the back-off."""
        self.reading = self.reading_is_void = False
        self.stale = True
        self.read_trouble = worse(self.read_trouble, failure, now)
        wait_s = backoff_s(self.read_trouble.failures, failure)
        self.not_before_mono = max(self.not_before_mono, now.mono + wait_s)

    def take_write_failure(self, failure: Failure, now: Now) -> None:
        """Whatever went wrong, the next step is to read again, after the back-off; at once after
        a first conflict, which says only that somebody else was quicker."""
        self.stale = True
        self.write_trouble = worse(self.write_trouble, failure, now)
        failures = self.write_trouble.failures
        if failure.kind != "conflict" or failures > 1:
            wait_s = backoff_s(failures, failure)
            self.not_before_mono = max(self.not_before_mono, now.mono + wait_s)

    def take_refusal(self, plan: Plan, failure: Failure, now: Now) -> None:
        """Of a plan with one name: that name's trouble, and no reason for the others to wait. Of
        one with several: the zone's, and after the wait a search for whose it is."""
        if self.quarantine.take_refusal({c.key.name for c in plan.changes}, failure, now):
            self.stale = True
        else:
            self.take_write_failure(failure, now)

    def nothing_to_write(self) -> None:
        """The zone is as wanted: whatever could not be written is wanted no more."""
        self.quarantine.keep(())
        if not self.outstanding:
            self.write_trouble = None

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong here, if anything: what comes first, first."""
        return self._own_trouble or self.quarantine.trouble

    @property
    def _own_trouble(self) -> Trouble | None:
        """What concerns all names of it."""
        return self.fence_trouble or self.read_trouble or self.write_trouble

    def needs_reading(self, names: AbstractSet[str], download_s: float, mono: float) -> bool:
        """Whether a read should be asked for now."""
        if self.reading or self.outstanding or mono < self.not_before_mono:
            return False
        if mono < self.read_after_mono:
            return False
        return (
            self.is_unread(names) or self.read_mono is None or mono >= self.read_mono + download_s
        )

    def keys_under_way(self) -> set[RRsetKey]:
        """Of which a write was sent off and has not ended."""
        return {change.key for plan in self.outstanding.values() for change in plan.changes}

    def is_unread(self, names: AbstractSet[str]) -> bool:
        return self.stale or self.read_mono is None or not names <= self.names_read

    def next_due(self, download_s: float, upload_s: float, mono: float) -> float:
        """The next instant at which something may be possible here that is not possible now."""
        due = [self.not_before_mono, self.read_after_mono, self.written_mono + upload_s]
        due.append(self.quarantine.next_due(mono))
        if self.read_mono is not None and not self.reading:
            due.append(self.read_mono + download_s)
        return min((at for at in due if at > mono), default=float("inf"))

    def to_view(self) -> ZoneView:
        return ZoneView(
            name=self.name,
            last_read_wall=self.read_wall,
            last_success_wall=self.success_wall,
            in_flight=bool(self.outstanding),
            failures=self.trouble.failures if self.trouble else 0,
            error=self.trouble.error if self.trouble else None,
            failed_wall=self.trouble.last_wall if self.trouble else None,
            refused=() if self._own_trouble else self.quarantine.names,
            blocked=self.blocked,
            lagging=self.lagging,
            unasked=self.unasked,
            unverified=self.unverified,
        )
