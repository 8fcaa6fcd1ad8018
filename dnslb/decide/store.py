"""The controller's side of the state store: what is durable, what waits to be, who waits for it.

Composes commits and matches their ends; stores nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dnslb.decide.balancer import Balancer
from dnslb.decide.commands import Accepted
from dnslb.decide.guard import APPROVAL_S_MAX, held_id
from dnslb.decide.intents import Commit, Intent
from dnslb.decide.ledger import Ledger
from dnslb.decide.memory import Memory
from dnslb.decide.zones import Zones
from dnslb.model.checkpoint import (
    Flaps,
    Member,
    Precedent,
    PutInForce,
    RecordDecisions,
    StateChange,
    StoredState,
)
from dnslb.model.instant import Now
from dnslb.model.operator import (
    Approve,
    ClearOverrides,
    ClearPauses,
    OperatorState,
    RequestDeletion,
    Settle,
)
from dnslb.model.rrset import RRsetKey

_RETRY_S = 1.0
_RETRY_S_MAX = 60.0


class Ended(NamedTuple):
    """The commit of a command is over; ``error``: why nothing of it is in force, or where
    ``uncertain`` why nobody knows."""

    ticket: int
    accepted: Accepted
    error: str | None
    uncertain: bool = False


class _Proposed(NamedTuple):
    """A record that waits to become durable, the memory's version and when it was composed."""

    ticket: int
    record: RecordDecisions
    version: int
    composed_mono: float


class Store:
    """``error``: why the last commit failed, or None; the lease holder's alone to heed."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.loaded = False
        self.error: str | None = None
        self._state = StoredState()
        self._composed_mono = 0.0
        self._flaps: Mapping[Member, Flaps] = {}
        self._taking_over = False
        self._tickets = 0
        self._record: _Proposed | None = None
        self._commands: dict[int, tuple[int, Accepted]] = {}
        self._upkeep: tuple[int, Settle] | None = None
        self._precedent: int | None = None
        self._precedent_failures = 0
        self._precedent_not_before_mono = float("-inf")
        self._failures = 0
        self._not_before_mono = float("-inf")
        self._spent_ids: set[str] = set()
        self._spent_names: set[str] = set()
        self._operator = self._state.operator

    @property
    def operator(self) -> OperatorState:
        """What people said and that is still in force: what a write consumed is not, from that
        moment on, durable or not."""
        return self._operator

    @property
    def precedent(self) -> Precedent:
        """The configuration that is in force."""
        return self._state.checkpoint.precedent

    def _set_state(self, state: StoredState) -> None:
        self._state = state
        spent = Settle(tuple(self._spent_ids), tuple(self._spent_names))
        self._operator = spent.apply(state.operator) if spent != Settle() else state.operator

    def load(self, state: StoredState, guard_age_s: float, now: Now, force: bool) -> None:
        """What the store holds. The lease holder's own memory is newer than the checkpoint."""
        self._set_state(state)
        self._composed_mono = now.mono - guard_age_s
        if force or not self.loaded:
            self._flaps = state.checkpoint.guard.flaps
            self.memory.load(state.checkpoint, guard_age_s, now)
            self._taking_over = False
        self.loaded = True

    def guard_age_s(self, now: Now) -> float:
        """How long ago the guard memory of the stored state was composed."""
        return now.mono - self._composed_mono

    def take_over(self, now: Now) -> None:
        """A new lease: the stored memory is the predecessor's last word. If that was this
        instance and its last word is not stored yet, wait for it. What failed under an older
        lease, which may have been no more than its end, holds nothing up."""
        self._failures, self.error = 0, None
        self._not_before_mono = float("-inf")
        self._taking_over = True
        self.take_over_late(now)

    def take_over_late(self, now: Now) -> bool:
        """Takes the stored memory over if that is still to be done and can be."""
        if not (self._taking_over and self.loaded and self._record is None):
            return False
        self._taking_over = False
        self.memory.load(self._state.checkpoint, self.guard_age_s(now), now)
        self._flaps = self._state.checkpoint.guard.flaps
        return True

    @property
    def is_ready(self) -> bool:
        """Whether decisions may rest on the memory."""
        return self.loaded and not self._taking_over

    def take_flaps(self) -> Mapping[Member, Flaps]:
        """Remembered flaps that no damper has taken yet."""
        flaps = self._flaps
        if self.loaded:
            self._flaps = {}
        return flaps

    def remembered(self, name: str) -> tuple[str, ...] | None:
        """The addresses that we last left at ``name``; None when it was never ours."""
        owned = self.memory.owned
        mine = [owned.get(RRsetKey(name, rtype)) for rtype in ("A", "AAAA")]
        if mine == [None, None]:
            return None
        return tuple(value for one in mine if one is not None for value in one.values)

    def propose_command(self, ticket: int, accepted: Accepted) -> Commit:
        commit = self._commit(accepted.changes)
        for change in accepted.changes:
            if isinstance(change, Approve):
                self._spent_ids.difference_update(a.held_id for a in change.approvals)
            elif isinstance(change, RequestDeletion):
                self._spent_names.discard(change.name)
        self._commands[commit.ticket] = (ticket, accepted)
        return commit

    def _commit(self, changes: tuple[StateChange, ...]) -> Commit:
        self._tickets += 1
        return Commit(self._tickets, changes)

    def propose_record(self, balancers: Iterable[Balancer], now: Now) -> Commit | None:
        """A commit of all decisions not yet durable; None when there is nothing, one is under
        way, or the last one failed a moment ago."""
        memory = self.memory
        if self._record is not None or memory.version == memory.committed:
            return None
        if now.mono < self._not_before_mono:
            return None
        flaps = {
            (balancer.lb.name, address): remembered
            for balancer in balancers
            for address, damper in balancer.dampers.items()
            if (remembered := damper.to_flaps(now.mono)) is not None
        }
        record = memory.to_record(flaps, now)
        commit = self._commit((record,))
        self._record = _Proposed(commit.ticket, record, memory.version, now.mono)
        return commit

    def can_put_in_force(self, now: Now) -> bool:
        """Whether that did not fail a moment ago."""
        return now.mono >= self._precedent_not_before_mono

    def propose_precedent(self, due: Precedent | None, now: Now) -> Commit | None:
        """A commit of the configuration that is to be in force; as `propose_record`. It may fail
        alone, where an older member does not understand it: no reason to store nothing else."""
        if due is None or self._precedent is not None or not self.can_put_in_force(now):
            return None
        commit = self._commit((PutInForce(due),))
        self._precedent = commit.ticket
        return commit

    def committed(self, ticket: int, state: StoredState) -> Ended | None:
        """Returns the command that waits for this commit, if any."""
        if self._upkeep is not None and self._upkeep[0] == ticket:
            self._spent_ids.difference_update(self._upkeep[1].held_ids)
            self._spent_names.difference_update(self._upkeep[1].names)
            self._upkeep = None
        if self._precedent == ticket:
            self._precedent = None
            self._precedent_failures = 0
        self._set_state(state)
        self._failures, self.error = 0, None
        self._not_before_mono = float("-inf")
        if self._record is not None and self._record.ticket == ticket:
            self.memory.committed = self._record.version
            self._composed_mono = self._record.composed_mono
            self._record = None
        waiting = self._commands.pop(ticket, None)
        return None if waiting is None else Ended(*waiting, None)

    def failed(self, ticket: int, sentence: str, now: Now, uncertain: bool = False) -> Ended | None:
        if self._record is not None and self._record.ticket == ticket:
            self.memory.retry(self._record.record)
            self._record = None
        if self._upkeep is not None and self._upkeep[0] == ticket:
            self._upkeep = None
        if self._precedent == ticket:
            self._precedent = None
            self._precedent_failures += 1
            self._precedent_not_before_mono = now.mono + _wait_s(self._precedent_failures)
            return None
        self._failures += 1
        self.error = sentence
        self._not_before_mono = now.mono + _wait_s(self._failures)
        waiting = self._commands.pop(ticket, None)
        return None if waiting is None else Ended(*waiting, sentence, uncertain)

    def settle(self, held_ids: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        """Approvals that a write consumed and deletions that are done leave the state: at once
        in here, durably with the next `upkeep` that succeeds."""
        ids, done = set(held_ids), set(names)
        if ids or done:
            self._spent_ids |= ids
            self._spent_names |= done
            self._set_state(self._state)

    def upkeep(self, ledger: Ledger, zones: Zones, now: Now) -> list[Intent]:
        """What time or a write has ended leaves the operator state: judged here, committed."""
        if self._upkeep is not None or now.mono < self._not_before_mono:
            return []
        operator = self._state.operator
        changes: list[StateChange] = []
        if keys := tuple(k for k, o in operator.overrides.items() if _is_over(o.expires_wall, now)):
            changes.append(ClearOverrides(keys))
        if scopes := tuple(s for s, p in operator.pauses.items() if _is_over(p.expires_wall, now)):
            changes.append(ClearPauses(scopes))
        self._spent_ids &= operator.approvals.keys() | operator.dropped.keys()
        self._spent_names &= operator.deletions.keys()
        ids = set(self._spent_ids)
        ids |= {i for i, a in operator.approvals.items() if _is_stale(a.created_wall, now)}
        if zones.by_name and all(zones.is_readable(z) for z in zones.by_name.values()):
            ids |= operator.dropped.keys() - ledger.held.keys() - self._held_ids(zones)
        settled = Settle(tuple(sorted(ids)), tuple(sorted(self._spent_names)))
        if settled.held_ids or settled.names:
            changes.append(settled)
        if not changes:
            return []
        commit = self._commit(tuple(changes))
        self._upkeep = (commit.ticket, settled)
        return [commit]

    def _held_ids(self, zones: Zones) -> set[str]:
        """Ids of what the guard holds, shown just now or not (a pause, a stall, no verdict)."""
        return {
            held_id("withdrawal", zones.of_owner.get(key.name, ""), key, e.addresses, e.number)
            for key, e in self.memory.guard.episodes.items()
        }

    def next_due(self, now: Now) -> float | None:
        """When an override, pause or approval ends, or a failed commit is tried again. For the
        lease holder: it alone judges what has ended."""
        operator = self.operator
        ends = [r.expires_wall for r in operator.overrides.values()]
        ends += [p.expires_wall for p in operator.pauses.values()]
        ends += [a.created_wall + APPROVAL_S_MAX for a in operator.approvals.values()]
        due = [now.mono + max(0.0, end - now.wall) for end in ends if end is not None]
        if self._upkeep is not None or self._not_before_mono > now.mono:
            due = []
        waits = (self._not_before_mono, self._precedent_not_before_mono)
        due += [at for at in waits if at > now.mono]
        return min(due, default=None)


def _wait_s(failures: int) -> float:
    return min(_RETRY_S * 2.0 ** min(failures - 1, 20), _RETRY_S_MAX)


def _is_over(expires_wall: float | None, now: Now) -> bool:
    return expires_wall is not None and now.wall >= expires_wall


def _is_stale(created_wall: float, now: Now) -> bool:
    return now.wall - created_wall >= APPROVAL_S_MAX
