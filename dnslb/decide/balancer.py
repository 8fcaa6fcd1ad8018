"""One load balancer's moving parts: dampers per address, its decision, its view.

Runs on every member, leader or not: tally to desired. Whatever raises in here concerns this load
balancer alone; the controller freezes it and goes on with the others (`safety.md` 4.8).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from dnslb.decide import reason
from dnslb.decide.agents import Witnesses
from dnslb.decide.damping import Damper, combined
from dnslb.decide.desired import Candidate, Desired, decide
from dnslb.decide.override import override_of, word_on
from dnslb.decide.tally import Tally
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, MonitorList
from dnslb.model.operator import OperatorState, Override
from dnslb.model.report import UNKNOWN, VOTE_WORDS
from dnslb.model.status import Decision, EndpointView, LoadBalancerState, LoadBalancerView
from dnslb.model.verdict import VerdictState

_HISTORY = 20

CountsAs = Literal["living", "dead", "unknown", "drained"]


class _Address(NamedTuple):
    """One published address: where its endpoints stand in the load balancer and in the list."""

    address: str
    positions: tuple[int, ...]
    indexes: tuple[int, ...]
    priority: int
    damper: Damper


class _Shown(NamedTuple):
    """What an address's endpoints are shown with."""

    counts_as: CountsAs
    published: bool
    flaps: int
    waiting_s: float | None


class Balancer:
    """State of one load balancer between steps."""

    def __init__(self, lb: LoadBalancer, monitors: MonitorList) -> None:
        self.lb = lb
        self.zone: str | None = None
        self.dampers: dict[str, Damper] = {a: Damper() for a in lb.addresses}
        self.desired = Desired((), "unknown", "nothing has been decided yet")
        self.decided = False
        self.due_mono: float | None = None
        self.frozen: str | None = None
        self.view: LoadBalancerView | None = None
        self.operator_out: frozenset[str] = frozenset()
        self.living: frozenset[str] = frozenset()
        self._orders: dict[str, Override] = {}
        self._ended: dict[str, Override] = {}
        self.turned: list[tuple[Endpoint, str]] = []
        self._history: deque[Decision] = deque(maxlen=_HISTORY)
        self._since_wall: list[float] = []
        self._place(monitors)

    def _place(self, monitors: MonitorList) -> None:
        endpoints = self.lb.endpoints
        self.indexes = tuple(monitors.index_of[e.monitor] for e in endpoints)
        speakers: dict[str, list[int]] = {}
        for position, endpoint in enumerate(endpoints):
            speakers.setdefault(endpoint.address, []).append(position)
        self._addresses = [
            _Address(
                address,
                tuple(positions),
                tuple(self.indexes[p] for p in positions),
                endpoints[positions[0]].priority,
                self.dampers[address],
            )
            for address, positions in speakers.items()
        ]
        self._states = bytes(len(endpoints))
        if len(self._since_wall) != len(endpoints):
            self._since_wall = []

    def reconfigure(self, lb: LoadBalancer, monitors: MonitorList) -> None:
        """A reload: addresses that stay keep their dampers."""
        if lb.endpoints != self.lb.endpoints:
            self._since_wall = []
        states = self._states
        self.lb = lb
        self.dampers = {a: self.dampers.get(a, Damper()) for a in lb.addresses}
        self.frozen = None
        self._place(monitors)
        if self._since_wall:
            self._states = states

    def evaluate(
        self,
        tally: Tally,
        witnesses: Witnesses,
        operator: OperatorState,
        published: tuple[str, ...] | None,
        now: Now,
    ) -> None:
        """Verdicts, damping, overrides, desired; then the view."""
        self._note_turns(tally, witnesses, now)
        overrides: Sequence[Override | None] = ()
        if operator.overrides:
            overrides = [override_of(operator, self.lb.name, e) for e in self.lb.endpoints]
        standing = frozenset(published or ())
        self.due_mono = None
        candidates = [self._candidate(a, tally, overrides, standing, now) for a in self._addresses]
        self.living = frozenset([c.address for c in candidates if c.lives])
        self.operator_out = frozenset([c.address for c in candidates if c.drained or c.forced])
        if self._orders or self._ended or any(overrides):
            self._note_orders(overrides, standing)
        self._remember(decide(self.lb.policy, candidates, published), now)
        self.view = self._to_view(candidates, tally, witnesses, overrides, published, now)

    def _candidate(
        self,
        one: _Address,
        tally: Tally,
        overrides: Sequence[Override | None],
        standing: frozenset[str],
        now: Now,
    ) -> Candidate:
        damper = one.damper
        word = None
        if overrides:
            said = [overrides[p] for p in one.positions]
            word = word_on(said)
            pairs = zip(said, one.indexes, strict=True)
            state = combined([_vouched(o, tally.states[i]) for o, i in pairs])
        elif len(one.indexes) == 1:
            state = VOTE_WORDS[tally.states[one.indexes[0]]]
        else:
            state = combined([VOTE_WORDS[tally.states[i]] for i in one.indexes])
        if state != damper.state:
            damper.turn(state, now)
        published = one.address in standing
        due = damper.settle(self.lb.policy, published, now)
        if due is not None and (self.due_mono is None or due < self.due_mono):
            self.due_mono = due
        settled = damper.standing
        return Candidate(
            one.address,
            one.priority,
            settled == "living" if word is None else word == "force-up",
            word is None and settled == "unknown",
            word == "drain",
            word == "force-down",
            published,
            damper.lived_mono,
        )

    def _note_orders(self, overrides: Sequence[Override | None], standing: frozenset[str]) -> None:
        """Whose word is on which address; one that ended is known until what it did is undone,
        or until the agents say the same. For sentences only: nothing is decided by it."""
        before, self._orders = self._orders, {}
        ended = self._ended | before
        self._ended = {}
        for one in self._addresses:
            said = [overrides[p] for p in one.positions] if overrides else []
            word = word_on(said)
            if word is not None:
                self._orders[one.address] = next(o for o in said if o and o.kind == word)
            elif order := ended.get(one.address):
                forced_up, published = order.kind == "force-up", one.address in standing
                if forced_up == published and (one.damper.state == "up") != forced_up:
                    self._ended[one.address] = order

    def order_on(self, address: str, *, adds: bool) -> str | None:
        """Who brought this address in (``adds``) or took it out, and why, if a person did."""
        if order := self._orders.get(address):
            redundant = adds and self.dampers[address].standing == "living"
            told = (order.kind == "force-up") == adds and not redundant
            return reason.ordered(order) if told else None
        order = self._ended.get(address)
        told = order is not None and (order.kind == "force-up") != adds
        return reason.ordered(order, ended=True) if order is not None and told else None

    def _note_turns(self, tally: Tally, witnesses: Witnesses, now: Now) -> None:
        """Which endpoints' verdicts turned, for the event log."""
        self.turned = []
        if not self._since_wall:
            self._since_wall = [now.wall] * len(self.indexes)
        all_states = tally.states
        states = bytes([all_states[i] for i in self.indexes])
        if states == self._states:
            return
        since = self._since_wall.copy()
        for position, (state, before) in enumerate(zip(states, self._states, strict=True)):
            if state != before:
                since[position] = now.wall
                index = self.indexes[position]
                sentence = reason.verdict(tally.verdict(index), index, witnesses)
                self.turned.append((self.lb.endpoints[position], sentence))
        self._states, self._since_wall = states, since

    def _remember(self, desired: Desired, now: Now) -> None:
        same = desired.addresses == self.desired.addresses and desired.rule == self.desired.rule
        if not (self.decided and same):
            self._history.append(
                Decision(now.wall, desired.addresses, desired.rule, desired.sentence)
            )
        self.desired, self.decided = desired, True

    def freeze(self, sentence: str, published: tuple[str, ...] | None) -> None:
        """Something in here raised: whatever is published stays until a reload."""
        self.frozen = sentence
        self.due_mono = None
        self.desired = Desired(published or (), "frozen", sentence)
        self.view = LoadBalancerView(
            name=self.lb.name,
            zone=self.zone,
            state="unknown",
            living=0,
            total=len(self.lb.endpoints),
            disputed=(),
            desired=self.desired.addresses,
            published=published,
            rule="frozen",
            sentence=sentence,
            frozen=sentence,
            history=tuple(self._history),
            ttl=self.lb.policy.ttl,
            min_published=self.lb.policy.min_published,
            draw=tuple,
        )

    def _to_view(
        self,
        candidates: list[Candidate],
        tally: Tally,
        witnesses: Witnesses,
        overrides: Sequence[Override | None],
        published: tuple[str, ...] | None,
        now: Now,
    ) -> LoadBalancerView:
        pairs = zip(self._addresses, candidates, strict=True)
        living = sum([len(a.positions) for a, c in pairs if c.lives])
        return LoadBalancerView(
            name=self.lb.name,
            zone=self.zone,
            state=_overall(candidates),
            living=living,
            total=len(self.lb.endpoints),
            disputed=self._disputed(tally),
            desired=self.desired.addresses,
            published=published,
            rule=self.desired.rule,
            sentence=self.desired.sentence,
            frozen=None,
            history=tuple(self._history),
            ttl=self.lb.policy.ttl,
            min_published=self.lb.policy.min_published,
            draw=self._drawing(candidates, tally, witnesses, overrides, now),
        )

    def _disputed(self, tally: Tally) -> tuple[str, ...]:
        if UNKNOWN not in self._states:
            return ()
        return tuple(
            self.lb.endpoints[position].label
            for position, index in enumerate(self.indexes)
            if tally.states[index] == UNKNOWN and tally.ups[index] and tally.downs[index]
        )

    def _drawing(
        self,
        candidates: list[Candidate],
        tally: Tally,
        witnesses: Witnesses,
        overrides: Sequence[Override | None],
        now: Now,
    ) -> Callable[[], tuple[EndpointView, ...]]:
        """A function of values as they are now, to be called whenever somebody looks."""
        policy, endpoints, indexes = self.lb.policy, self.lb.endpoints, self.indexes
        since = self._since_wall
        shown = {
            c.address: _Shown(
                _counts_as(c),
                c.published,
                a.damper.flap_count(now.mono) if a.damper.flaps else 0,
                a.damper.waiting_s(policy, now.mono),
            )
            for a, c in zip(self._addresses, candidates, strict=True)
        }

        def draw() -> tuple[EndpointView, ...]:
            views = []
            for position, endpoint in enumerate(endpoints):
                index, one = indexes[position], shown[endpoint.address]
                override = overrides[position] if overrides else None
                verdict = tally.verdict(index)
                text = reason.endpoint(
                    verdict, index, witnesses, override, one.waiting_s, one.flaps
                )
                views.append(
                    EndpointView(
                        endpoint,
                        verdict,
                        one.counts_as,
                        since[position],
                        override,
                        one.published,
                        one.flaps,
                        text,
                        index,
                    )
                )
            return tuple(views)

        return draw


def _vouched(override: Override | None, state: int) -> VerdictState:
    """The endpoint's verdict, or what an operator vouched for."""
    if override is not None and override.kind == "force-up":
        return "up"
    return VOTE_WORDS[state]


def _counts_as(candidate: Candidate) -> CountsAs:
    if candidate.drained:
        return "drained"
    if candidate.lives:
        return "living"
    return "unknown" if candidate.unsure else "dead"


def _overall(candidates: list[Candidate]) -> LoadBalancerState:
    wanted = [c for c in candidates if not c.drained]
    living = sum([c.lives for c in candidates])
    if living and living == len(wanted):
        return "healthy"
    if living:
        return "degraded"
    return "unknown" if any(c.unsure for c in wanted) else "down"
