"""One load balancer's moving parts: dampers per address, its decision, its view.

Runs on every member, leader or not: tally to desired. Whatever raises in here concerns this load
balancer alone; the controller freezes it and goes on with the others (`safety.md` 4.8).
"""

from __future__ import annotations

from collections import deque

from dnslb.decide import reason
from dnslb.decide.agents import AgentLedger
from dnslb.decide.damping import Damper, combined
from dnslb.decide.desired import Candidate, Desired, decide
from dnslb.decide.override import Word, override_of, word_on
from dnslb.decide.tally import Tally
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, MonitorList
from dnslb.model.operator import OperatorState, Override
from dnslb.model.status import Decision, EndpointView, LoadBalancerState, LoadBalancerView
from dnslb.model.verdict import Verdict, VerdictState

_HISTORY = 20


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
        self.turned: list[tuple[Endpoint, str]] = []
        self._history: deque[Decision] = deque(maxlen=_HISTORY)
        self._words: dict[str, Word | None] = {}
        self._verdicts: list[Verdict] = []
        self._overrides: list[Override | None] = []
        self._since_wall: list[float] = []
        self._place(monitors)

    def _place(self, monitors: MonitorList) -> None:
        self.indexes = [monitors.index_of[e.monitor] for e in self.lb.endpoints]
        self._speakers: dict[str, list[int]] = {a: [] for a in self.lb.addresses}
        for position, endpoint in enumerate(self.lb.endpoints):
            self._speakers[endpoint.address].append(position)

    def reconfigure(self, lb: LoadBalancer, monitors: MonitorList) -> None:
        """A reload: addresses that stay keep their dampers."""
        if lb.endpoints != self.lb.endpoints:
            self._verdicts, self._since_wall = [], []
        self.lb = lb
        self.dampers = {a: self.dampers.get(a, Damper()) for a in lb.addresses}
        self.frozen = None
        self._place(monitors)

    def evaluate(
        self,
        tally: Tally,
        agents: AgentLedger,
        operator: OperatorState,
        published: tuple[str, ...] | None,
        now: Now,
    ) -> None:
        """Verdicts, damping, overrides, desired; then the view."""
        lb, policy = self.lb, self.lb.policy
        verdicts = [tally.verdict(index) for index in self.indexes]
        self._note_turns(verdicts, agents, now)
        self._verdicts = verdicts
        self._overrides = [override_of(operator, lb.name, e) for e in lb.endpoints]
        standing = set(published or ())
        self.due_mono = None
        candidates: list[Candidate] = []
        for address, positions in self._speakers.items():
            word = word_on([self._overrides[p] for p in positions])
            damper = self.dampers[address]
            damper.turn(combined([self._state_of(p) for p in positions]), now)
            due = damper.settle(policy, address in standing, now)
            if due is not None and (self.due_mono is None or due < self.due_mono):
                self.due_mono = due
            self._words[address] = word
            candidates.append(
                Candidate(
                    address,
                    lb.endpoints[positions[0]].priority,
                    damper.standing,
                    word,
                    address in standing,
                    damper.lived_mono,
                )
            )
        self.operator_out = frozenset(
            c.address for c in candidates if c.word in ("drain", "force-down")
        )
        self.living = frozenset(c.address for c in candidates if c.lives)
        self._remember(decide(policy, candidates, published), now)
        self.view = self._to_view(candidates, published, agents, now)

    def _state_of(self, position: int) -> VerdictState:
        """The endpoint's verdict, or what an operator vouched for."""
        override = self._overrides[position]
        if override is not None and override.kind == "force-up":
            return "up"
        return self._verdicts[position].state

    def _note_turns(self, verdicts: list[Verdict], agents: AgentLedger, now: Now) -> None:
        """Which endpoints' verdicts turned, for the event log."""
        self.turned = []
        first = len(self._verdicts) != len(verdicts)
        if first:
            self._since_wall = [now.wall] * len(verdicts)
        for position, verdict in enumerate(verdicts):
            before = "unknown" if first else self._verdicts[position].state
            if verdict.state != before:
                self._since_wall[position] = now.wall
                sentence = reason.verdict(verdict, self.indexes[position], agents)
                self.turned.append((self.lb.endpoints[position], sentence))

    def _remember(self, desired: Desired, now: Now) -> None:
        if (
            not self.decided
            or desired.addresses != self.desired.addresses
            or (desired.rule != self.desired.rule)
        ):
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
            endpoints=(),
            desired=self.desired.addresses,
            published=published,
            rule="frozen",
            sentence=sentence,
            frozen=sentence,
            history=tuple(self._history),
        )

    def _to_view(
        self,
        candidates: list[Candidate],
        published: tuple[str, ...] | None,
        agents: AgentLedger,
        now: Now,
    ) -> LoadBalancerView:
        by_address = {c.address: c for c in candidates}
        endpoints = tuple(
            self._endpoint_view(position, by_address[endpoint.address], agents, now)
            for position, endpoint in enumerate(self.lb.endpoints)
        )
        return LoadBalancerView(
            name=self.lb.name,
            zone=self.zone,
            state=_overall(candidates),
            endpoints=endpoints,
            desired=self.desired.addresses,
            published=published,
            rule=self.desired.rule,
            sentence=self.desired.sentence,
            frozen=None,
            history=tuple(self._history),
        )

    def _endpoint_view(
        self, position: int, candidate: Candidate, agents: AgentLedger, now: Now
    ) -> EndpointView:
        endpoint, verdict = self.lb.endpoints[position], self._verdicts[position]
        override = self._overrides[position]
        damper = self.dampers[endpoint.address]
        counts_as = "drained" if candidate.word == "drain" else candidate.standing
        if candidate.word == "force-up":
            counts_as = "living"
        elif candidate.word == "force-down":
            counts_as = "dead"
        return EndpointView(
            endpoint=endpoint,
            verdict=verdict,
            counts_as=counts_as,
            since_wall=self._since_wall[position],
            override=override,
            published=candidate.published,
            flaps=damper.flap_count(now.mono) if damper.flaps else 0,
            reason=reason.endpoint(
                verdict, self.indexes[position], agents, override, damper, self.lb.policy, now
            ),
            monitor_index=self.indexes[position],
        )


def _overall(candidates: list[Candidate]) -> LoadBalancerState:
    wanted = [c for c in candidates if c.word != "drain"]
    living = sum(c.lives for c in candidates)
    if living and living == len(wanted):
        return "healthy"
    if living:
        return "degraded"
    return "unknown" if any(c.is_unknown for c in wanted) else "down"
