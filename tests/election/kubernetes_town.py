"""Instances that compete for one Lease, under faults, by seed: the pure part on a mock clock.

Not the API server (`tests/doubles`) nor trio: one queue of instants, so that hundreds of runs
take seconds and repeat exactly. Clocks differ and drift within a tenth of each other; requests
are refused, lost, cut off, carried out late, answered late or never; instances are cut off, stand
still, are killed and come back; people delete and edit the Lease.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dnslb.election.kubernetes_lease import LeaseContest, Look, Timing, Wait, Write
from dnslb.election.kubernetes_objects import Kind, KubernetesObject, Payload
from dnslb.model.instant import Now

WALL_JUMP_S = 1.0
SHORT = Timing(15, 10.0, 2.0)
LONG = Timing(30, 15.0, 5.0)


class Conflict(Exception):
    """409, or 404 where the object is gone."""


@dataclass
class Server:
    """The Lease as the server has it."""

    stored: KubernetesObject | None = None
    version: int = 0
    made: int = 0
    older: list[Payload] = field(default_factory=list)

    def carry_out(self, existing: KubernetesObject | None, payload: Payload) -> KubernetesObject:
        if existing is None:
            if self.stored is not None:
                raise Conflict
            self.made += 1
            return self._store(f"uid-{self.made}", payload)
        found = self.stored
        wanted = (existing.uid, existing.resource_version)
        if found is None or (found.uid, found.resource_version) != wanted:
            raise Conflict
        return self._store(found.uid, payload)

    def _store(self, uid: str, payload: Payload) -> KubernetesObject:
        self.version += 1
        if self.stored is not None:
            self.older = [*self.older[-5:], self.stored.payload]
        version = str(self.version)
        self.stored = KubernetesObject(Kind.LEASE, "dnslb", uid, version, dict(payload))
        return self.stored

    def edit(self, changed: Payload) -> None:
        """As `kubectl edit` would."""
        if self.stored is not None:
            self._store(self.stored.uid, {**self.stored.payload, **changed})


@dataclass
class Clocks:
    """Of one machine: how fast it goes, and what its clocks showed at the beginning."""

    rate: float
    boot_at: float
    wall_at: float

    def now(self, true_s: float) -> Now:
        ran_s = true_s * self.rate
        return Now(ran_s, self.boot_at + ran_s, self.wall_at + ran_s)

    def true_s(self, boot: float) -> float:
        return (boot - self.boot_at) / self.rate


@dataclass
class Plan:
    seed: int
    size: int = 3
    go: bool = False
    timing: Timing = SHORT
    trouble_s: float = 75.0
    calm_s: float = 75.0
    by_hand: bool = True


class Town:
    contest: type[LeaseContest] = LeaseContest

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.luck = random.Random(plan.seed)
        self.server = Server()
        self.true_s = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.trail: list[str] = []
        self.places = [self.move_in(number) for number in range(plan.size)]
        self.holdings: set[tuple[str, str]] = set()
        self.healed = False

    def move_in(self, number: int) -> House:
        from tests.election.kubernetes_go import GoHouse

        kind = GoHouse if self.plan.go and number == 0 else House
        return kind(self, number)

    # --------------------------------------------------------------------------- its course

    def at(self, true_s: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (max(true_s, self.true_s), self._number, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.true_s + seconds, act)

    def run(self) -> None:
        from tests.election.kubernetes_trouble import Trouble

        for house in self.places:
            self.after(self.luck.uniform(0, 3), house.start)
        trouble = Trouble(self)
        trouble.begin()
        self.at(self.plan.trouble_s, trouble.end)
        end_s = self.plan.trouble_s + self.plan.calm_s
        while self._queue and self._queue[0][0] <= end_s:
            self.true_s, _, act = heapq.heappop(self._queue)
            act()
            self.judge()
        self.true_s = end_s
        self.judge()

    def note(self, text: str) -> None:
        self.trail.append(f"{self.true_s:.3f} {text}")

    def holders(self) -> list[str]:
        """Who may write at this instant."""
        return [house.identity for house in self.places if house.valid_until() > self.true_s]

    def judge(self) -> None:
        holders = self.holders()
        assert len(holders) <= 1, f"two may write at once: {holders}"
        for house in self.places:
            away = house.clocks.now(self.true_s).boot < house.away_until
            assert not (away and house.identity in holders), f"{house.identity} may write again"
        for identity in holders:
            stored = self.server.stored
            self.holdings.add(("" if stored is None else stored.uid, identity))

    def tell_watchers(self) -> None:
        found = self.server.stored
        for house in self.places:
            if house.lives and not house.cut_off:
                late_s = self.luck.choice((0.002, 0.01, 0.05, 1.5))
                house.later(late_s, partial(house.hear, found))


class House:
    """One machine and the instance on it, dnslb's or another."""

    def __init__(self, town: Town, number: int) -> None:
        self.town, self.number = town, number
        luck = town.luck
        wall_at = 1_767_225_600 + luck.uniform(-300, 300)
        self.clocks = Clocks(luck.uniform(0.955, 1.045), luck.uniform(100, 9999), wall_at)
        self.lives = self.cut_off = self.still = False
        self.run = 0
        self.busy = False
        self.away_until = -math.inf
        self.identity = ""
        self.contest: LeaseContest | None = None
        self._last: Now | None = None
        self._asleep: list[Callable[[], None]] = []

    # ------------------------------------------------------------------------------ its life

    def start(self) -> None:
        if self.lives:
            return
        self.run += 1
        self.lives, self.still, self.busy = True, False, False
        self._asleep = []
        self._last = None
        self.away_until = -math.inf
        self.identity = f"dnslb-{self.number}_{self.run}"
        self.begin()
        self.town.note(f"{self.identity} starts")
        found = self.town.server.stored
        self.later(0.02, lambda: self.hear(found))
        self.step()

    def begin(self) -> None:
        luck = self.town.luck
        self.contest = self.town.contest(self.identity, self.town.plan.timing, luck.random)

    def kill(self) -> None:
        self.lives = self.still = False
        self.contest, self._asleep = None, []
        self.town.note(f"{self.identity} is killed")

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """By this run of it, when it does not stand still."""
        run = self.run

        def go() -> None:
            if self.run != run or not self.lives:
                return
            if self.still:
                self._asleep.append(act)
            else:
                act()

        self.town.after(seconds, go)

    def wake(self) -> None:
        self.still = False
        asleep, self._asleep = self._asleep, []
        self.town.luck.shuffle(asleep)
        for act in asleep:
            if self.lives:
                act()

    def now(self) -> Now:
        """As the elector reads it: a wall clock that was set drops the lease."""
        now, last = self.clocks.now(self.town.true_s), self._last
        if last is not None and self.contest is not None:
            jump_s = (now.wall - last.wall) - (now.boot - last.boot)
            if abs(jump_s) > WALL_JUMP_S:
                self.contest.drop(now)
        self._last = now
        return now

    def valid_until(self) -> float:
        if self.contest is None:
            return -math.inf
        right = self.contest.right(self.clocks.now(self.town.true_s).boot)
        return -math.inf if right is None else self.clocks.true_s(right.good_until)

    # ----------------------------------------------------------------------------- its doing

    def hear(self, found: KubernetesObject | None) -> None:
        assert self.contest is not None
        self.contest.see(found, self.now())
        self.step()

    def step(self) -> None:
        if self.busy or self.still or self.contest is None:
            return
        now = self.now()
        wish = self.contest.wish(now)
        if isinstance(wish, Wait):
            if wish.until < math.inf:
                # A clock that goes on in steps: never a hair too early.
                self.later((wish.until - now.boot) / self.clocks.rate + 1e-6, self.step)
            return
        self.busy = True
        Call(self, wish).begin(now)

    def resign(self, calm_s: float) -> None:
        """Gives up; what was under way is at rest a while later."""
        if self.contest is not None:
            self.away_until = self.now().boot + calm_s
            self.contest.give_up(self.away_until)
            self.town.note(f"{self.identity} resigns")
            self.later(self.town.luck.uniform(0, 2), self._rested)

    def _rested(self) -> None:
        assert self.contest is not None
        self.contest.allow_release()
        self.step()


class Call:
    """One request on its way, what becomes of it, and what its sender learns."""

    def __init__(self, house: House, wish: Look | Write) -> None:
        self.house, self.wish, self.town = house, wish, house.town
        self.over = False

    def begin(self, now: Now) -> None:
        house, luck = self.house, self.town.luck
        assert house.contest is not None
        if isinstance(self.wish, Write):
            house.contest.begin(self.wish, now)
        house.later(self.wish.within_s / house.clocks.rate, self.give_up)
        fate = luck.random() if not self.town.healed else 1.0
        if house.cut_off or fate < 0.03:
            return
        if fate < 0.08:
            house.later(0.005, lambda: self.fail(retry_after_s=luck.choice((0.0, 1.0, 7.0))))
            return
        slow_s = luck.choice((0.002, 0.01, 0.03))
        if fate < 0.16 and not self.town.plan.go:
            slow_s = luck.uniform(0.5, 20.0)
        answer_s = luck.choice((0.002, 0.01, 0.03))
        if 0.16 < fate < 0.24:
            answer_s = luck.uniform(0.1, 0.9 if self.town.plan.go else 12.0)
        lost = 0.24 < fate < 0.30
        self.town.after(slow_s, lambda: self.arrive(answer_s, lost=lost))

    def arrive(self, answer_s: float, *, lost: bool) -> None:
        """At the server, whether its sender still waits for it or not."""
        server = self.town.server
        if isinstance(self.wish, Look):
            found = server.stored
            self._answer(answer_s, lost, lambda: self.found(found))
            return
        try:
            stored = server.carry_out(self.wish.existing, self.wish.payload)
        except Conflict:
            self._answer(answer_s, lost, self.conflict)
            return
        self.town.note(f"{self.house.identity} did {self.wish.step}")
        self.town.tell_watchers()
        self._answer(answer_s, lost, lambda: self.written(stored))

    def _answer(self, seconds: float, lost: bool, act: Callable[[], None]) -> None:
        if not lost and not self.house.cut_off:
            self.house.later(seconds, act)

    def _ends(self) -> LeaseContest | None:
        if self.over:
            return None
        self.over, self.house.busy = True, False
        return self.house.contest

    def found(self, found: KubernetesObject | None) -> None:
        if (contest := self._ends()) is not None:
            contest.found(found, self.house.now())
            self.house.step()

    def written(self, stored: KubernetesObject) -> None:
        if (contest := self._ends()) is not None:
            contest.written(stored, self.house.now())
            self.house.step()

    def conflict(self) -> None:
        if (contest := self._ends()) is not None:
            contest.conflict(self.house.now())
            self.house.step()

    def fail(self, *, retry_after_s: float = 0.0) -> None:
        if (contest := self._ends()) is not None:
            contest.failed(self.house.now(), retry_after_s=retry_after_s)
            self.house.step()

    def give_up(self) -> None:
        if (contest := self._ends()) is not None:
            contest.failed(self.house.now(), unknown=True)
            self.house.step()
