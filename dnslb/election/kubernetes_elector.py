"""Who may write, by a Lease in Kubernetes: the contest carried to the API server, and made public.

Not the rules (`kubernetes_lease`), nor the calls (`kubernetes_objects`). One task asks, one call
at a time; one watches; one claims the state of a new term before its lease is published. Whoever
lost the right knows in the same turn of the loop in which this does.

Law (`safety.md` 1.7, 5.7): what was given up is gone before it is released, and it is released
only when no write is under way; where that is not known, the Lease runs out by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import trio

from dnslb.election.kubernetes_advice import next_step
from dnslb.election.kubernetes_ground import KubernetesGround
from dnslb.election.kubernetes_lease import LeaseContest, Look, Right, Wait, Wish, Write
from dnslb.election.kubernetes_objects import Kind, KubernetesObject, KubernetesObjects
from dnslb.election.surroundings import Note, Workers
from dnslb.errors import (
    InvalidValue,
    KubernetesConflict,
    KubernetesError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesThrottled,
    KubernetesUnknown,
    StoreError,
)
from dnslb.model.instant import Now
from dnslb.model.lease import FencingToken, Lease
from dnslb.net.clock import Clock, wall_jump_s
from dnslb.ports.elector import PublishLease
from dnslb.ports.noticeboard import Noticeboard

WALL_JUMP_S = 1.0
LOOK_AROUND_S = 1.0
"""How often the clocks are compared when nothing else happens."""
STEP_S = 0.001
"""Two clocks never agree to the last digit: waits are not shorter, so that none is for nothing."""
AGAIN_S_MIN, AGAIN_S_MAX = 10.0, 300.0
"""How long an instance that gave its lease up does not stand, so that a zone that it may not write
is not asked for again and again; doubled each time, forgotten after as long a calm."""
CLAIM_S_MIN = 5.0
"""The Lease is renewed meanwhile."""
REST_S_MAX = 2.5
RELEASE_S_MAX = 1.2
CALLS, WATCH, STATE, STUCK = "kubernetes", "kubernetes-watch", "lease-state", "lease-stuck"
FAILURES_TOLD = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Which Lease, and as whom. ``nonce``: of this process."""

    namespace: str
    name: str
    instance_id: str
    owner_id: str
    nonce: str

    @property
    def identity(self) -> str:
        return f"{self.instance_id}_{self.nonce}"

    @property
    def subject(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Parts:
    """``on_error``: counts a call that came to nothing."""

    objects: KubernetesObjects
    ground: KubernetesGround
    workers: Workers
    note: Note
    notices: Noticeboard
    on_error: Callable[[], None]


class KubernetesElector:
    """Implements `dnslb.ports.elector.Elector`."""

    def __init__(self, place: Place, contest: LeaseContest, parts: Parts, clock: Clock) -> None:
        self._place = place
        self._contest = contest
        self._parts = parts
        self._clock = clock
        self._publish: PublishLease | None = None
        self._published: Lease | None = None
        self._claimed: tuple[str, int] | None = None
        self._epoch = 0
        self._woken = trio.Event()
        self._to_claim = trio.Event()
        self._turned = trio.Event()
        self._failures = 0
        self._call: trio.CancelScope | None = None
        self._last: Now | None = None
        self._again_s = AGAIN_S_MIN / 2
        self._resigned_at = -math.inf

    # ------------------------------------------------------------------------------ its life

    async def run(self, publish_lease: PublishLease) -> None:
        self._publish = publish_lease
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._claim)
            while True:
                self._look()
                wish = self._contest.wish(self._now())
                self._tell_trouble()
                await self._do(wish)
                self._turned.set()
                self._turned = trio.Event()

    async def _do(self, wish: Wish) -> None:
        match wish:
            case Wait(until):
                await self._wait(until)
            case Look() | Write():
                await self._ask(wish)

    def _tell_trouble(self) -> None:
        where, trouble = self._place.subject, self._contest.trouble
        if trouble is None:
            self._parts.notices.clear(STUCK)
            return
        sentence = f"nobody can take the Lease {where}: {trouble}"
        step = f"kubectl delete lease {self._place.name} -n {self._place.namespace}"
        self._parts.notices.put("critical", STUCK, where, sentence, step)

    async def _wait(self, until_boot: float) -> None:
        """Until then, or something is heard, or the right ends."""
        now = self._clock.now()
        right = self._contest.right(now.boot)
        ends_at = math.inf if right is None else right.good_until
        wait_s = min(until_boot - now.boot, ends_at - now.boot, LOOK_AROUND_S)
        with trio.move_on_after(max(wait_s, STEP_S)):
            await self._woken.wait()
        self._woken = trio.Event()

    def _now(self) -> Now:
        """This instant; a wall clock that was set in between drops the lease (`safety.md` 1.1)."""
        now = self._clock.now()
        if self._last is not None and abs(wall_jump_s(self._last, now)) > WALL_JUMP_S:
            self._contest.drop(now)
        self._last = now
        return now

    def _wake(self) -> None:
        self._woken.set()

    # ------------------------------------------------------------------------ what is public

    def _look(self) -> None:
        """Publishes what became of the right to write."""
        right = self._contest.right(self._now().boot)
        claimed = right is not None and self._claimed == (right.uid, right.term)
        if not claimed and self._claimed is not None:
            self._claimed = None
            self._parts.ground.end_term()
        if right is not None and not claimed:
            self._to_claim.set()
        lease = self._to_lease(right) if right is not None and claimed else None
        if self._publish is not None and lease != self._published:
            self._published = lease
            self._publish(lease)

    def _to_lease(self, right: Right) -> Lease:
        place = self._place
        token = FencingToken(place.owner_id, self._epoch, right.term, place.nonce)
        return Lease(place.instance_id, token, right.good_until)

    async def _claim(self) -> None:
        """Makes the state that of this term, before anybody writes under it."""
        while True:
            await self._to_claim.wait()
            self._to_claim = trio.Event()
            right = self._contest.right(self._clock.now().boot)
            if right is None or self._claimed == (right.uid, right.term):
                continue
            deadline = self._clock.now().mono + self._contest.timing.deadline_s
            while not await self._claim_once(right):
                if self._clock.now().mono > deadline:
                    await self.resign("the state beside the Lease cannot be claimed")
                    break
                await trio.sleep(self._contest.timing.retry_s / 2)
            self._look()

    async def _claim_once(self, right: Right) -> bool:
        """False: another try may help."""
        where = self._place.subject
        try:
            with trio.move_on_after(max(self._contest.timing.deadline_s, CLAIM_S_MIN)) as scope:
                epoch = await self._parts.ground.begin_term(
                    right.uid, right.term, self._place.nonce
                )
        except StoreError as error:
            sentence = f"the Lease is held, but nothing is written: {error}"
            step = f"{_STAYS}; {next_step(error, self._place.namespace)}"
            self._parts.notices.put("critical", STATE, where, sentence, step)
            return not self._still(right)
        if scope.cancelled_caught:
            return not self._still(right)
        self._parts.notices.clear(STATE)
        # Whether that holding still goes on, whoever looks next finds out.
        self._epoch, self._claimed = epoch, (right.uid, right.term)
        return True

    def _still(self, right: Right) -> bool:
        """Whether that holding goes on."""
        now = self._contest.right(self._clock.now().boot)
        return now is not None and (now.uid, now.term) == (right.uid, right.term)

    # -------------------------------------------------------------------------------- asking

    async def _ask(self, wish: Look | Write) -> None:
        contest = self._contest
        self._call = trio.CancelScope(deadline=self._clock.now().mono + wish.within_s)
        try:
            with self._call:
                await self._send(wish)
                self._answered()
                return
            self._failed(KubernetesUnknown(f"no answer within {wish.within_s:.1f} s"))
        except KubernetesConflict:
            contest.conflict(self._now())
        except InvalidValue as error:
            self._failed(KubernetesNonsense(str(error)))
        except KubernetesError as error:
            self._failed(error)
        finally:
            self._call = None

    async def _send(self, wish: Look | Write) -> None:
        objects, contest = self._parts.objects, self._contest
        if isinstance(wish, Look):
            contest.found(await objects.read(Kind.LEASE, self._place.name), self._now())
            return
        now = self._now()
        held_before = contest.right(now.boot) is not None
        contest.begin(wish, now)
        if wish.existing is None:
            answer = await objects.create(Kind.LEASE, self._place.name, wish.payload)
        else:
            answer = await objects.replace(wish.existing, wish.payload)
        contest.written(answer, self._now())
        if wish.step != "renew" or not held_before:
            self._parts.note("lease", _DONE[wish.step].format(where=self._place.subject))

    def _answered(self) -> None:
        self._failures = 0
        self._parts.notices.clear(CALLS)

    def _failed(self, error: KubernetesError) -> None:
        """One failure is nothing to tell of: there is time for others before the Lease ends."""
        self._parts.on_error()
        self._failures += 1
        retry_after_s = error.retry_after_s if isinstance(error, KubernetesThrottled) else None
        unknown = isinstance(error, KubernetesUnknown | KubernetesNonsense)
        self._contest.failed(self._now(), unknown=unknown, retry_after_s=retry_after_s or 0.0)
        refused = isinstance(error, KubernetesRefusal)
        if self._failures >= FAILURES_TOLD or refused:
            where = self._place.subject
            sentence = f"the Lease {where} cannot be read or written: {error}"
            step = f"{_STAYS}; {next_step(error, self._place.namespace)}"
            self._parts.notices.put("critical", CALLS, where, sentence, step)

    # ------------------------------------------------------------------------------ watching

    async def _follow(self) -> None:
        """Hears of changes; where nobody can be heard, the calls of the contest are enough."""
        contest = self._contest
        while True:
            try:
                async with self._parts.objects.watch(Kind.LEASE, self._place.name) as changes:
                    async for found in changes:
                        self._hear(found)
                        self._parts.notices.clear(WATCH)
            except KubernetesError as error:
                self._parts.on_error()
                if isinstance(error, KubernetesRefusal):
                    sentence = f"the Lease cannot be watched, so take-over is slower: {error}"
                    step = next_step(error, self._place.namespace)
                    self._parts.notices.put("warning", WATCH, self._place.subject, sentence, step)
            await trio.sleep(contest.timing.retry_s)

    def _hear(self, found: KubernetesObject | None) -> None:
        before = self._contest.holder
        try:
            self._contest.see(found, self._now())
        except InvalidValue:
            # The next look says so.
            return
        if self._contest.holder != before:
            self._note_holder()
        self._wake()

    def _note_holder(self) -> None:
        holder = self._contest.holder
        if holder == self._place.identity:
            return
        if holder:
            self._parts.notices.clear(STATE)
        who = f"{holder} holds" if holder else "nobody holds"
        self._parts.note("lease", f"{who} the Lease {self._place.subject}")

    # ---------------------------------------------------------------------------- giving it up

    async def resign(self, reason: str) -> None:
        """Gives the lease up, and with it the Lease, so that another instance may try; this one
        stands again a while later."""
        await trio.lowlevel.checkpoint()
        now = self._clock.now()
        contest = self._contest
        if not contest.is_standing or (contest.right(now.boot) is None and contest.has_parted):
            return
        calm_s = now.mono - self._resigned_at
        again_s = AGAIN_S_MIN / 2 if calm_s > 2 * AGAIN_S_MAX else self._again_s
        self._again_s, self._resigned_at = min(again_s * 2, AGAIN_S_MAX), now.mono
        text = f"the right to write is given up until {self._again_s:.0f} s from now: {reason}"
        self._parts.note("resigned", text)
        token = None if self._published is None else self._published.token
        self._contest.give_up(now.boot + self._again_s)
        self._look()
        if token is not None:
            await self._parts.workers.rest(token)
        self._contest.allow_release()
        self._wake()

    async def leave(self) -> None:
        """Before a stop: releases the Lease, so that another instance need not wait for its end;
        where a write may still be under way it is left to run out."""
        at_rest = self._published is None
        if self._published is not None:
            with trio.move_on_after(REST_S_MAX):
                await self._parts.workers.rest(self._published.token)
                at_rest = True
        self._contest.give_up(math.inf)
        self._look()
        if not at_rest:
            return
        self._contest.allow_release()
        if self._call is not None:
            self._call.cancel()
        self._wake()
        with trio.move_on_after(RELEASE_S_MAX):
            while not self._contest.has_parted:
                await self._turned.wait()


_STAYS = "nobody may write DNS without the Lease, so DNS stays as it is"
_DONE = {
    "create": "the Lease {where} was missing and is made, for nobody yet",
    "acquire": "the Lease {where} is taken",
    "renew": "the Lease {where} is still ours",
    "release": "the Lease {where} is released",
}
