"""One worker per zone: marker, reads and writes in sequence; at most one plan waits, the newest.

It carries out; what to read or write, when to try again and what a failure means is decided by
the controller. Luck (the jitter of a back-off) is drawn here, so that the controller draws none.

Law: whatever is asked for is answered exactly once. Between the lease gate and the sending
of bytes there is no wait (`safety.md` 1.8). What was sent in part is never called done.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import trio

from dnslb.daemon.write_gate import WriteGate
from dnslb.decide.events import Event, FenceTaken, WriteEnded, ZoneRead
from dnslb.decide.intents import ReadZone
from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.lease import FencingToken
from dnslb.model.outcome import Failure, FailureKind, ReadOutcome, Receipt, WriteOutcome
from dnslb.model.plan import Plan
from dnslb.model.rrset import ZoneReading
from dnslb.net.clock import Clock
from dnslb.ports.fence import Fence
from dnslb.ports.provider import PreparedWrite, Provider

READ_S_MAX = 60.0
PREPARE_S_MAX = 60.0
SEND_S_MAX = 30.0
FENCE_S_MAX = 300.0
"""Taking a marker may have to wait for its turn in a call budget, behind those of other zones."""
CLOSE_S_MAX = 1.0
_RECALLED = "not sent: nothing is to be changed any more"

Tell = Callable[[Event], None]
Luck = Callable[[], float]
Confirm = Callable[[], Awaitable[str | None]]

_KINDS: tuple[tuple[type[ProviderError], FailureKind], ...] = (
    (ProviderTemporary, "temporary"),
    (ProviderRefusal, "refused"),
    (ProviderConflict, "conflict"),
    (OutcomeUnknown, "unknown"),
    (FenceLost, "fenced"),
)


async def _known() -> str | None:
    """Where nobody else could have it."""
    return None


@dataclass(frozen=True, slots=True)
class Hands:
    """What every worker shares. ``fence``: there where capabilities say ``marked``. ``confirm``:
    asks, once a plan is made, whether the right to write is still ours; a sentence when not."""

    provider: Provider
    gate: WriteGate
    clock: Clock
    tell: Tell
    luck: Luck = random.random
    fence: Fence | None = None
    confirm: Confirm = _known

    def failure(self, error: ProviderError) -> Failure:
        kind: FailureKind = next((k for t, k in _KINDS if isinstance(error, t)), "temporary")
        retry_after_s = error.retry_after_s if isinstance(error, ProviderTemporary) else None
        return Failure(kind, str(error), retry_after_s, self.luck())


class ZoneWorker:
    def __init__(self, zone: str, hands: Hands) -> None:
        self._zone = zone
        self._hands = hands
        self._jobs: deque[ReadZone | FencingToken | Plan] = deque()
        self._wanted = trio.Event()
        self._recalled = False

    def read_nowait(self, wanted: ReadZone) -> None:
        """Reads after what was asked for before."""
        self._jobs.append(wanted)
        self._wanted.set()

    def take_fence_nowait(self, token: FencingToken) -> None:
        """Puts ``token`` into the marker after what was asked for before."""
        self._jobs.append(token)
        self._wanted.set()

    def apply_nowait(self, plan: Plan) -> None:
        """Puts ``plan`` into the slot; one that waits there is answered as replaced."""
        self._clear_slot("replaced by a newer plan")
        self._jobs.append(plan)
        self._wanted.set()

    def recall_nowait(self) -> None:
        """No plan is wanted any more: neither one that waits nor one that is being prepared."""
        self._clear_slot(_RECALLED)
        self._recalled = True

    def _clear_slot(self, why: str) -> None:
        for job in self._jobs:
            if isinstance(job, Plan):
                self._jobs.remove(job)
                self._end(job, Failure("gated", why))
                break

    def _drop_outdated(self, written: Plan) -> None:
        """A plan in the slot that begins where ``written`` began would only be a conflict, at the
        price of the provider's calls; the controller makes a better one."""
        after = {change.key: change.after for change in written.changes}
        waiting = (change for job in self._jobs if isinstance(job, Plan) for change in job.changes)
        if any(change.before != after.get(change.key, change.before) for change in waiting):
            self._clear_slot("planned before the write that has just ended")

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            while not self._jobs:
                self._wanted = trio.Event()
                await self._wanted.wait()
            job = self._jobs.popleft()
            if isinstance(job, Plan):
                self._recalled = False
                began = self._hands.clock.now().mono
                result = await self._write(job)
                self._end(job, result, self._hands.clock.now().mono - began)
                if isinstance(result, Receipt):
                    self._drop_outdated(job)
            elif isinstance(job, ReadZone):
                await self._read(job)
            else:
                failure = await self._take_fence(job)
                self._hands.tell(FenceTaken(self._zone, job, failure))

    def _end(self, plan: Plan, result: Receipt | Failure, took_s: float = 0.0) -> None:
        self._hands.tell(WriteEnded(WriteOutcome(plan, result, took_s)))

    # ---------------------------------------------------------------------------- the marker

    async def _take_fence(self, token: FencingToken) -> Failure | None:
        """None when the marker holds ``token``. Not split into preparing and sending: it names
        what it replaces, so that one that comes too late replaces nothing."""
        hands = self._hands
        assert hands.fence is not None
        if (refusal := hands.gate.refuses_token(token)) is not None:
            return Failure("gated", refusal, jitter=hands.luck())
        try:
            with hands.gate.pass_through(token, FENCE_S_MAX):
                await hands.fence.take(self._zone, token)
                return None
        except ProviderError as error:
            return hands.failure(error)
        sentence = "taking the marker was cut off, so whether it was done is not known"
        return Failure("unknown", sentence, jitter=hands.luck())

    # ------------------------------------------------------------------------------- reading

    async def _read(self, wanted: ReadZone) -> None:
        hands = self._hands
        result: ZoneReading | Failure | None = None
        with trio.move_on_after(READ_S_MAX):
            try:
                result = await hands.provider.read(self._zone, wanted.names, scan=wanted.scan)
            except ProviderError as error:
                result = hands.failure(error)
        if result is None:
            sentence = f"reading took longer than {READ_S_MAX:g} s"
            result = Failure("temporary", sentence, jitter=hands.luck())
        hands.tell(ZoneRead(ReadOutcome(self._zone, result)))

    # ------------------------------------------------------------------------------- writing

    async def _write(self, plan: Plan) -> Receipt | Failure:
        """All of the plan, in as many writes as the provider needs; stops at the first failure."""
        done: list[Receipt] = []
        for part in _parts(plan, self._hands.provider.capabilities.batch_max):
            basis = done[-1].basis if done else None
            result = await self._write_part(part if basis is None else replace(part, basis=basis))
            if isinstance(result, Failure):
                return result if not done else _in_part(result, len(done))
            done.append(result)
        return _whole(done)

    async def _write_part(self, plan: Plan) -> Receipt | Failure:
        hands = self._hands
        # Asked here too: what cannot be sent must not use up the provider's call budget.
        refusal = self._refuses(plan) or await hands.confirm() or self._refuses(plan)
        if refusal is not None:
            return Failure("gated", refusal, jitter=hands.luck())
        lease = hands.gate.lease
        assert lease is not None
        prepared = None
        try:
            with trio.move_on_after(PREPARE_S_MAX):
                prepared = await hands.provider.prepare(plan, lease.token)
            if prepared is not None:
                return await self._send(plan, lease.token, prepared)
        except ProviderError as error:
            return hands.failure(error)
        sentence = f"preparing the write took longer than {PREPARE_S_MAX:g} s"
        return Failure("temporary", sentence, jitter=hands.luck())

    def _refuses(self, plan: Plan, token: FencingToken | None = None) -> str | None:
        return _RECALLED if self._recalled else self._hands.gate.refuses(plan, token)

    async def _send(
        self, plan: Plan, token: FencingToken, prepared: PreparedWrite
    ) -> Receipt | Failure:
        hands = self._hands
        try:
            if (refusal := self._refuses(plan, token)) is not None:
                return Failure("gated", refusal, jitter=hands.luck())
            receipt = None
            with hands.gate.pass_through(token, SEND_S_MAX):
                receipt = await prepared.send()
            if receipt is not None:
                return receipt
            sentence = "the write was cut off, so whether it was done is not known"
            return Failure("unknown", sentence, jitter=hands.luck())
        finally:
            with trio.move_on_after(CLOSE_S_MAX, shield=True):
                await prepared.aclose()


def _parts(plan: Plan, batch_max: int) -> list[Plan]:
    if len(plan.changes) <= batch_max:
        return [plan]
    starts = range(0, len(plan.changes), batch_max)
    return [replace(plan, changes=plan.changes[at : at + batch_max]) for at in starts]


def _in_part(failure: Failure, writes: int) -> Failure:
    """Something stands that the controller has not heard of: "gated" would mean that nothing
    does, so it becomes a kind that makes it read again."""
    kind: FailureKind = "unknown" if failure.kind == "gated" else failure.kind
    sentence = f"written in part ({writes} of several writes), then: {failure.sentence}"
    return replace(failure, kind=kind, sentence=sentence)


def _whole(receipts: list[Receipt]) -> Receipt:
    return Receipt(
        rrsets=tuple(rrset for receipt in receipts for rrset in receipt.rrsets),
        basis=receipts[-1].basis,
        notices=tuple(notice for receipt in receipts for notice in receipt.notices),
    )
