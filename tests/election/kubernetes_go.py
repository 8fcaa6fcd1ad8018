"""A competitor as client-go's leader election is documented: polls, renews, times what it saw.

Of tools/leaderelection, from its documentation and the order of its steps: a fast path that
replaces what it last saw while it leads; else read, compare, wait for the recorded duration from
when it saw a change, replace. It leads until a renewal has failed for the renew deadline, which
it counts from the beginning of that renewal: `retry` later than the last one was answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dnslb.election.kubernetes_objects import KubernetesObject
from dnslb.election.kubernetes_record import LeaseRecord, from_spec, micro_time, to_spec
from tests.election.kubernetes_town import Conflict, House


class GoHouse(House):
    def begin(self) -> None:
        self.identity = f"go-{self.number}_{self.run}"
        self.contest = None
        self._seen: KubernetesObject | None = None
        self._record = LeaseRecord()
        self._seen_at = -math.inf
        self._leads_until = -math.inf
        self._turn = 0

    def kill(self) -> None:
        super().kill()
        self._leads_until = -math.inf

    def hear(self, found: KubernetesObject | None) -> None:
        """It does not watch."""

    def valid_until(self) -> float:
        return self.clocks.true_s(self._leads_until) if self.lives else -math.inf

    def resign(self, calm_s: float) -> None:
        if self._leads_until < self._boot():
            return
        self.town.note(f"{self.identity} resigns")
        self._leads_until = -math.inf
        time = micro_time(self.now().wall)
        self._put(LeaseRecord("", 1, time, time, self._record.transitions), lambda stored: None)
        self.later(calm_s, self.step)

    def _boot(self) -> float:
        return self.clocks.now(self.town.true_s).boot

    def _leads(self) -> bool:
        return self._record.holder == self.identity

    def _is_valid(self) -> bool:
        return self._seen_at + self._record.duration_s > self._boot()

    def step(self) -> None:
        self._turn += 1
        if self._leads_until > self._boot() and self._leads() and self._is_valid():
            self._renew(self._turn)
        else:
            self._look(self._turn)

    def _again(self, turn: int) -> None:
        if turn != self._turn:
            return
        retry_s, luck = self.town.plan.timing.retry_s, self.town.luck
        if not self._leads():
            retry_s *= 1 + 1.2 * luck.random()
        self.later(retry_s / self.clocks.rate, self.step)

    def _answers(self) -> tuple[float, float] | None:
        luck = self.town.luck
        if self.cut_off or (not self.town.healed and luck.random() < 0.08):
            return None
        return luck.choice((0.002, 0.03)), luck.choice((0.002, 0.03, 0.8))

    def _look(self, turn: int) -> None:
        # The answer of a look and what follows happen in one turn: nothing is lost but time.
        times = self._answers()
        self._again(turn)
        if times is not None:
            found = self.town.server.stored
            self.later(sum(times), lambda: self._found(found))

    def _found(self, found: KubernetesObject | None) -> None:
        time, duration_s = micro_time(self.now().wall), self.town.plan.timing.duration_s
        mine = LeaseRecord(self.identity, duration_s, time, time, 0)
        if found is None:
            self._seen = None
            self._put(mine, self._won)
            return
        record = from_spec(found.payload)
        if record != self._record:
            self._record, self._seen_at = record, self._boot()
        self._seen = found
        if record.holder and self._is_valid() and not self._leads():
            return
        if self._leads():
            mine = LeaseRecord(self.identity, duration_s, record.acquired, time, record.transitions)
        else:
            mine = LeaseRecord(self.identity, duration_s, time, time, record.transitions + 1)
        self._put(mine, self._won)

    def _renew(self, turn: int) -> None:
        record = self._record
        time = micro_time(self.now().wall)
        duration_s = self.town.plan.timing.duration_s
        mine = LeaseRecord(self.identity, duration_s, record.acquired, time, record.transitions)
        self._again(turn)
        self._put(mine, self._won, otherwise=lambda: self._look(0))

    def _put(
        self,
        record: LeaseRecord,
        won: Callable[[KubernetesObject], None],
        otherwise: Callable[[], None] = lambda: None,
    ) -> None:
        times, seen = self._answers(), self._seen
        if times is None:
            return
        payload = to_spec(record, {} if seen is None else seen.payload)

        def arrive() -> None:
            try:
                stored = self.town.server.carry_out(seen, payload)
            except Conflict:
                self.later(times[1], otherwise)
                return
            self.town.note(f"{self.identity} wrote {record.holder!r}")
            self.town.tell_watchers()
            self.later(times[1], lambda: won(stored))

        self.town.after(times[0], arrive)

    def _won(self, stored: KubernetesObject) -> None:
        timing = self.town.plan.timing
        self._seen, self._record, self._seen_at = stored, from_spec(stored.payload), self._boot()
        if self._record.holder == self.identity:
            self._leads_until = self._boot() + timing.retry_s + timing.deadline_s
