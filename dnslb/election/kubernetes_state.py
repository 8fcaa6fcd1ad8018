"""The state store in a ConfigMap beside the Lease: by compare-and-set, for one holder at a time.

Implements `dnslb.ports.state_store.StateStore` and `dnslb.election.kubernetes_ground`. Not what
stands in the ConfigMap (`kubernetes_claim`).

Law: only whoever holds the Lease changes it, and only under the claim that was made when the Lease
was taken; so what a former holder sends late meets another version, and is refused. A proposal is
in force when the server says so, or when a look shows it. A watch tells that there is something to
look at, never what: two ways to hear of one object could bring the older news last.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import trio

from dnslb.election.kubernetes_advice import next_step
from dnslb.election.kubernetes_claim import Claim, Kept, from_object, to_data
from dnslb.election.kubernetes_objects import Kind, KubernetesObject, KubernetesObjects
from dnslb.election.state_codec import Saved
from dnslb.election.surroundings import NewestEpoch
from dnslb.errors import (
    DnslbError,
    KubernetesConflict,
    KubernetesError,
    KubernetesUnknown,
    StoreError,
    StoreUncertain,
)
from dnslb.model.checkpoint import RecordDecisions, StateChange, StoredState
from dnslb.model.lease import Lease
from dnslb.model.status import Severity
from dnslb.net.backoff import Backoff
from dnslb.net.clock import Clock
from dnslb.ports.noticeboard import Noticeboard
from dnslb.ports.state_store import PublishState

CONFLICTS_MAX = 5
LOOK_S_MAX = 5.0
"""For the look after a write without an answer."""
NOTICE = "kubernetes-state"
_AGAIN = Backoff(first_s=0.5, max_s=30.0)


@dataclass(frozen=True, slots=True)
class _Stand:
    """What was read or written last. ``found``: None where there is no ConfigMap."""

    kept: Kept
    found: KubernetesObject | None


class KubernetesStateStore:
    """``name``: of the ConfigMap, in ``namespace``; ``lease``: the one in force;
    ``newest_epoch``: of the markers of ours, asked when an epoch is minted."""

    def __init__(
        self,
        objects: KubernetesObjects,
        namespace: str,
        name: str,
        clock: Clock,
        notices: Noticeboard,
        lease: Callable[[], Lease | None],
        newest_epoch: NewestEpoch,
    ) -> None:
        self._objects = objects
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._notices = notices
        self._lease = lease
        self._newest_epoch = newest_epoch
        self._place = f"The ConfigMap {namespace}/{name}"
        self._turn = trio.Lock()
        self._loaded = trio.Event()
        self._publish: PublishState | None = None
        self._claim: Claim | None = None
        self._stand: _Stand | None = None
        self._must_look = True

    # --------------------------------------------------------------------------------- its life

    async def run(self, publish_state: PublishState) -> None:
        self._publish = publish_state
        await self._load()
        self._loaded.set()
        failures = 0
        while True:
            try:
                async with self._objects.watch(Kind.CONFIG_MAP, self._name) as changes:
                    async for found in changes:
                        if failures:
                            failures = 0
                            self._notices.clear(NOTICE)
                        await self._hear(found)
            except KubernetesError as error:
                failures += 1
                self._put("warning", f"{self._place} cannot be followed: {error}", error)
            await trio.sleep(_AGAIN.delay_s(max(1, failures), random.random()))

    async def _load(self) -> None:
        """Until it is known what there is: an API server that does not answer has not said that
        there is nothing."""
        failures = 0
        while True:
            try:
                async with self._turn:
                    self._tell((await self._look()).kept)
                self._notices.clear(NOTICE)
                return
            except KubernetesError as error:
                failures += 1
                self._put("critical", f"{self._place} cannot be read: {error}", error)
            await trio.sleep(_AGAIN.delay_s(failures, random.random()))

    async def _hear(self, found: KubernetesObject | None) -> None:
        async with self._turn:
            before = self._stand
            known = None if before is None else before.found
            if _version(found) == _version(known) or (self._claim and not self._must_look):
                return
            try:
                await self._look()
            except StoreError as error:
                self._put("critical", str(error), error)
                return
            self._notices.clear(NOTICE)
            self._tell_after(before)

    def _tell_after(self, before: _Stand | None) -> None:
        """What differs from what was told before."""
        assert self._stand is not None
        kept = self._stand.kept
        if before is None or kept.saved.state != before.kept.saved.state:
            self._tell(kept)

    def _tell(self, kept: Kept) -> None:
        guard_wall = kept.saved.guard_wall
        # A wall clock that was set back makes nothing older than it is.
        age_s = max(0.0, self._clock.now().wall - guard_wall) if guard_wall else 0.0
        if self._publish is not None:
            self._publish(kept.saved.state, age_s)

    async def _look(self) -> _Stand:
        """Reads what stands there. Raises `KubernetesError`, and `StoreError` where it cannot be
        trusted; what was known before stays known then."""
        found = await self._objects.read(Kind.CONFIG_MAP, self._name)
        if found is not None:
            kept = from_object(found, self._place, self._namespace)
        elif self._stand is not None:
            # It was deleted while we knew what it said, and nothing of that is forgotten.
            kept = self._stand.kept
        else:
            kept = Kept(Saved(), None)
        self._stand = _Stand(kept, found)
        self._must_look = False
        return self._stand

    # ---------------------------------------------------------------------------- taking it over

    async def begin_term(self, lease_uid: str, term: int, nonce: str) -> int:
        await self._loaded.wait()
        claim, newest = Claim(lease_uid, term, nonce), None
        async with self._turn:
            before = self._stand
            with self._translated("is not claimed"):
                for _ in range(CONFLICTS_MAX):
                    stand = await self._look()
                    if newest is None and claim.is_on_new_ground(stand.kept.claim):
                        newest = await self._newest_epoch()
                    kept = self._claimed(stand.kept, claim, newest or 0)
                    try:
                        await self._write(stand, kept)
                    except KubernetesConflict:
                        continue
                    self._claim = claim
                    self._notices.clear(NOTICE)
                    self._tell_after(before)
                    return kept.saved.epoch
        raise StoreError(f"{self._place} is not claimed: others change it all the time.")

    def _claimed(self, kept: Kept, claim: Claim, newest: int) -> Kept:
        """``newest``: the newest epoch in a marker of ours."""
        saved, before = kept.saved, kept.claim
        if before is not None and not claim.follows(before):
            raise StoreError(
                f"{self._place} is claimed for term {before.term} of the Lease already, so term "
                f"{claim.term} is over; another instance writes."
            )
        if claim.is_on_new_ground(before):
            wall_s = int(self._clock.now().wall)
            saved = replace(saved, epoch=max(wall_s, saved.epoch + 1, newest + 1))
        return Kept(replace(saved, saved_wall=self._clock.now().wall), claim)

    def end_term(self) -> None:
        self._claim = None
        self._must_look = True

    # --------------------------------------------------------------------------------- proposing

    async def propose(self, changes: tuple[StateChange, ...]) -> StoredState:
        async with self._turn:
            claim, remaining_s = self._held()
            with trio.move_on_after(remaining_s), self._translated("is unchanged"):
                for _ in range(CONFLICTS_MAX):
                    stand = self._stand if self._stand and not self._must_look else None
                    if stand is None:
                        stand = await self._look()
                    self._check_claim(stand, claim)
                    kept = Kept(self._changed(stand.kept.saved, changes), claim)
                    try:
                        await self._write(stand, kept)
                    except KubernetesConflict:
                        self._must_look = True
                        continue
                    return kept.saved.state
                raise StoreError(f"{self._place} is unchanged: others change it all the time.")
            raise StoreUncertain(
                f"{self._place} may be changed or not: the lease ended before the API server "
                "answered."
            )

    def _held(self) -> tuple[Claim, float]:
        """Our claim, and for how long it holds."""
        claim, lease, now = self._claim, self._lease(), self._clock.now()
        is_held = lease is not None and claim is not None and lease.term == claim.term
        if claim is None or lease is None or not is_held or not lease.holds(now.boot):
            raise StoreError(
                "This instance does not hold the Lease, so nothing was changed; "
                "`dnslbctl status` names who does."
            )
        return claim, lease.good_until_boot - now.boot

    def _check_claim(self, stand: _Stand, claim: Claim) -> None:
        if stand.kept.claim != claim:
            raise StoreError(
                f"{self._place} is claimed by another holder of the Lease: nothing was changed."
            )

    def _changed(self, saved: Saved, changes: tuple[StateChange, ...]) -> Saved:
        wall = self._clock.now().wall
        state, guard_wall = saved.state, saved.guard_wall
        for change in changes:
            state = state.apply(change)
            if isinstance(change, RecordDecisions):
                guard_wall = wall
        return replace(saved, state=state, guard_wall=guard_wall, saved_wall=wall)

    # ----------------------------------------------------------------------------------- writing

    async def _write(self, stand: _Stand, kept: Kept) -> None:
        """Over exactly what is known to stand there. Where no answer came, a look decides; what
        that shows may still be on its way, but then over a version that is no more, once anything
        else is written."""
        data = to_data(kept, self._place)
        self._must_look = True
        try:
            if stand.found is None:
                found = await self._objects.create(Kind.CONFIG_MAP, self._name, data)
            else:
                found = await self._objects.replace(stand.found, data)
        except KubernetesUnknown as error:
            found = await self._seen_after(data, error)
        self._stand = _Stand(kept, found)
        self._must_look = False

    async def _seen_after(self, data: object, error: KubernetesUnknown) -> KubernetesObject:
        sentence = f"{self._place} may be changed or not: {error}"
        with trio.move_on_after(LOOK_S_MAX):
            try:
                found = await self._objects.read(Kind.CONFIG_MAP, self._name)
            except KubernetesError as again:
                raise StoreUncertain(sentence) from again
            if found is not None and found.payload == data:
                return found
        raise StoreUncertain(sentence) from error

    @contextmanager
    def _translated(self, outcome: str) -> Iterator[None]:
        try:
            yield
        except KubernetesError as error:
            raise StoreError(f"{self._place} {outcome}: {error}") from error

    def _put(self, severity: Severity, sentence: str, error: DnslbError) -> None:
        where = f"{self._namespace}/{self._name}"
        step = f"{next_step(error, self._namespace)}; DNS stays as it is meanwhile"
        self._notices.put(severity, NOTICE, where, sentence, step)


def _version(found: KubernetesObject | None) -> tuple[str, str] | None:
    return None if found is None else (found.uid, found.resource_version)
