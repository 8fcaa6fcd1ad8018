"""The life of each change as an operator sees it: pending, held, applying, applied, failed.

Keeps what is over in a bounded list; what is open is told anew in every round and keeps its id
and its age as long as it stays the same change.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from dnslb.decide.held import HeldChange
from dnslb.decide.planner import ZonePlan
from dnslb.model.instant import Now
from dnslb.model.outcome import Failure
from dnslb.model.plan import Cause, Change, Plan
from dnslb.model.publication import Expected
from dnslb.model.status import ChangeView

_DONE_MAX = 200
_CAUSES: Mapping[str, Cause] = {"drift": "drift", "configuration": "configuration"}


def change_id(zone: str, change: Change) -> str:
    """Eight hexadecimal digits over zone, RRset, before and after."""
    before = change.before.values if change.before else ()
    after = change.after.values if change.after else ()
    text = repr((zone, change.key, before, after, change.after.ttl if change.after else 0))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


class Ledger:
    """Open and finished changes."""

    def __init__(self) -> None:
        self._done: deque[ChangeView] = deque(maxlen=_DONE_MAX)
        self._applying: dict[str, list[ChangeView]] = {}
        self._open: dict[str, list[ChangeView]] = {}
        self._born: dict[str, float] = {}
        self._decided: dict[str, float] = {}
        self.held: dict[str, HeldChange] = {}
        self._held_by_zone: dict[str, list[HeldChange]] = {}
        self.failures: dict[str, tuple[int, str]] = {}
        self.revision = 0

    def take_round(self, zone: str, plan: ZonePlan, blocked: str | None, now: Now) -> None:
        """What is open in ``zone`` as of this round; ``blocked``: why nothing is sent now."""
        sent = {view.id for views in self._applying.values() for view in views}
        rows = [
            self._row(zone, change, why, now)
            for change, why in [*((c, blocked) for c in plan.changes), *plan.waiting]
            if change_id(zone, change) not in sent
        ]
        rows += [self._held_row(held, now) for held in plan.held]
        self._held_by_zone[zone] = plan.held
        self.held = {h.id: h for many in self._held_by_zone.values() for h in many}
        if rows != self._open.get(zone, []):
            self._open[zone] = rows
            self.revision += 1

    def _row(self, zone: str, change: Change, blocked: str | None, now: Now) -> ChangeView:
        id_ = change_id(zone, change)
        self._decided.setdefault(id_, now.mono)
        attempts, error = self.failures.get(id_, (0, None))
        return ChangeView(
            id=id_,
            zone=zone,
            key=change.key,
            before=change.before.values if change.before else (),
            after=change.after.values if change.after else (),
            ttl=change.after.ttl if change.after else 0,
            reason=change.reason if blocked is None else f"{change.reason} ({blocked})",
            cause=change.cause,
            state="pending",
            created_wall=self._born.setdefault(id_, now.wall),
            attempts=attempts,
            error=error,
        )

    def _held_row(self, held: HeldChange, now: Now) -> ChangeView:
        since = now.wall if held.since_mono is None else now.wall - (now.mono - held.since_mono)
        return ChangeView(
            id=held.id,
            zone=held.zone,
            key=held.key,
            before=held.before,
            after=held.after,
            ttl=held.ttl,
            reason=held.sentence
            if held.dropped_by is None
            else f"{held.sentence}; {held.dropped_by} decided to leave it",
            cause=_CAUSES.get(held.kind, "health"),
            state="held",
            created_wall=self._born.setdefault(held.id, since),
        )

    def sent(self, plan: Plan, now: Now) -> None:
        """The plan is on its way."""
        self._applying[plan.id] = [
            replace(self._row(plan.zone, change, None, now), state="applying", plan_id=plan.id)
            for change in plan.changes
        ]
        self.revision += 1

    def superseded(self, plan: Plan) -> None:
        """Never sent: what is still wanted of it is told in the next round."""
        if self._applying.pop(plan.id, None) is not None:
            self.revision += 1

    def applied(self, plan: Plan, now: Now) -> list[ChangeView]:
        """The provider accepted it; returns the finished rows."""
        rows = []
        for view in self._applying.pop(plan.id, []):
            decided = self._decided.pop(view.id, None)
            self._born.pop(view.id, None)
            self.failures.pop(view.id, None)
            rows.append(
                replace(
                    view,
                    state="applied",
                    attempts=view.attempts + 1,
                    error=None,
                    applied_wall=now.wall,
                    decided_to_applied_s=None if decided is None else now.mono - decided,
                )
            )
        self._done.extend(rows)
        self.revision += 1
        return rows

    def failed(self, plan: Plan, failure: Failure) -> None:
        """Tried and not done; the change goes on being pending with its error."""
        for view in self._applying.pop(plan.id, []):
            attempts = self.failures.get(view.id, (0, ""))[0] + 1
            self.failures[view.id] = (attempts, failure.sentence)
            if failure.kind == "refused":
                self._done.append(
                    replace(view, state="failed", attempts=attempts, error=failure.sentence)
                )
        self.revision += 1

    def published(self, seen: Iterable[Expected], now: Now) -> None:
        """Every server that was asked answers these, as they were applied then."""
        keys = {(e.plan_id, e.key, e.applied_wall) for e in seen}
        if not keys:
            return
        for i, view in enumerate(self._done):
            if (view.plan_id, view.key, view.applied_wall) in keys and view.state == "applied":
                self._done[i] = replace(view, state="published", published_wall=now.wall)
                self.revision += 1

    def forget_zones(self, zones: Iterable[str]) -> None:
        """Zones that are not ours any more have no open changes."""
        for zone in zones:
            self._open.pop(zone, None)
            for held in self._held_by_zone.pop(zone, []):
                self.held.pop(held.id, None)
            self.revision += 1

    def prune(self) -> None:
        """Ages and failures of changes that are wanted no more."""
        alive = {v.id for rows in (*self._open.values(), *self._applying.values()) for v in rows}
        for memory in (self._born, self._decided, self.failures):
            for id_ in [i for i in memory if i not in alive]:
                del memory[id_]

    def views(self) -> tuple[ChangeView, ...]:
        """Open ones first, then the finished ones, newest first."""
        open_rows = [v for rows in self._open.values() for v in rows]
        applying = [v for rows in self._applying.values() for v in rows]
        return (*applying, *open_rows, *reversed(self._done))
