"""A walk through everything that can happen to a controller, in any order, with its laws.

The oracle counts votes by itself; it shares no code with what it judges.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from dnslb.decide.events import LeaseChanged, LoopStalled
from dnslb.model.command import CommandKind
from dnslb.model.loadbalancer import LoadBalancer
from dnslb.model.names import longest_zone
from dnslb.model.outcome import Failure, FailureKind
from dnslb.model.plan import Change, Plan
from dnslb.model.report import DOWN, UNKNOWN, UP
from dnslb.model.rrset import RRsetKey
from tests.decide.slow_world import AGENTS, FOREIGN, ZONES, SlowWorld

WORDS = (UP, UP, UP, DOWN, DOWN, UNKNOWN)


class Walk(SlowWorld):
    """Each seed is one walk, the same in every run."""

    def __init__(self, seed: int, compares: bool = True, fenced: bool = False) -> None:
        self.luck = random.Random(seed)
        self.trail: list[str] = []
        super().__init__(compares, fenced)

    # ---------------------------------------------------------------------------- the oracle

    def verdict(self, lb: LoadBalancer, address: str) -> str:
        """More than half of all agents, by reports that are at most 45 seconds old."""
        words = []
        for one in lb.endpoints:
            if one.address != address:
                continue
            said = []
            for report in self.reports.values():
                place = report.monitors.index_of.get(one.monitor)
                if self.now.mono < report.arrived_mono + 45 and place is not None:
                    said.append(report.votes[place])
            up, down = said.count(UP) * 2 > len(AGENTS), said.count(DOWN) * 2 > len(AGENTS)
            words.append("up" if up else "down" if down else "unknown")
        return "down" if "down" in words else "unknown" if "unknown" in words else "up"

    def on_plan(self, plan: Plan) -> None:
        """The laws of a plan at the moment in which it is handed out."""
        assert self.lease is not None, "a plan without the lease"
        assert plan.term == self.lease.term
        assert len(self.rounds) >= 2, "a plan before a full round from a quorum"
        assert not self.is_paused(plan), "a plan in spite of a pause"
        for change in plan.changes:
            assert change.key not in FOREIGN, f"touches {change.key}"
            assert change.key.name in self.ever, f"touches {change.key}"
            assert longest_zone(change.key.name, ZONES) == plan.zone
            lb = self.settings.by_name.get(change.key.name)
            if lb is None:
                assert change.key.name in self.state.operator.deletions
                assert change.after is None
                continue
            self.judge_change(lb, change, plan)

    def judge_change(self, lb: LoadBalancer, change: Change, plan: Plan) -> None:
        overrides = self.state.operator.overrides
        states = {a: self.verdict(lb, a) for a in lb.addresses}
        priority = {e.address: e.priority for e in lb.endpoints}
        words = {e.address: o.kind for e in lb.endpoints if (o := overrides.get((lb.name, e.id)))}
        lives = {a for a in lb.addresses if words.get(a, "") == "force-up"}
        lives |= {a for a in lb.addresses if a not in words and states[a] == "up"}
        for address in change.withdrawn:
            if address not in lb.addresses or words.get(address) in ("drain", "force-down"):
                continue
            stalled = self.since_stall is not None and len(self.since_stall) < 2
            assert not stalled or self.state.operator.approvals, "withdraws after a stall"
            better = {a for a in lives if priority[a] < priority[address]}
            if words.get(address) == "force-up" or states[address] != "down":
                assert better, f"withdraws {address} of {lb.name}, which is {states[address]}"
        if change.after is None:
            other = "A" if change.key.rtype == "AAAA" else "AAAA"
            also = next((c for c in plan.changes if c.key == RRsetKey(lb.name, other)), None)
            # By what was read: nobody sees an edit by hand before the next reading.
            known = self.controller._zones.by_name[plan.zone].rrsets
            stays = also.after is not None if also else RRsetKey(lb.name, other) in known
            assert stays or lb.policy.when_all_down == "none", f"empties {change.key}"
        self.judge_charges(lb, change, words)

    def judge_charges(self, lb: LoadBalancer, change: Change, words: Mapping[str, str]) -> None:
        """What verdicts withdraw is charged, and that is durable, before it is handed out."""
        window = self.state.checkpoint.guard.window
        charged = window.withdrawn if window else frozenset()
        for address in change.withdrawn:
            if words.get(address) in ("drain", "force-down") or self.state.operator.approvals:
                continue
            assert (lb.name, address) in charged, f"{address} leaves uncharged"

    def on_commit(self) -> None:
        """Budgets as they are stored: shares of what was published when the window opened."""
        window = self.state.checkpoint.guard.window
        if window is None:
            return
        total = sum(window.base.values())
        if total >= 6:
            assert len(window.withdrawn) <= -(-total // 2), "more than half of all"
        # Its share is the same in all configurations.
        base = window.base.get("api.example.org", 0)
        spent = sum(lb == "api.example.org" for lb, _ in window.withdrawn)
        assert not base or spent <= -(-base // 2), "more than half of api.example.org"

    def latched(self) -> set[tuple[RRsetKey, str]]:
        episodes = self.controller._store.memory.guard.episodes
        return {(key, a) for key, episode in episodes.items() for a in episode.addresses}

    def check(self) -> None:
        """What holds after every step."""
        for key, held in FOREIGN.items():
            assert self.records.get(key) == held, f"{key} was touched"
        for zone in self.controller._zones.by_name.values():
            assert len(zone.outstanding) <= 2
        ledger = self.controller._writer.ledger
        assert len(ledger._born) <= 100
        assert len(ledger.failures) <= 100
        assert {key.name for key in self.state.checkpoint.owned} <= self.ever

    # ------------------------------------------------------------------------------ the walk

    def go(self, steps: int) -> None:
        """Each step is one thing that can happen; the trail tells them for who must look."""
        ways = [(name, way) for name, weight, way in self._ways() for _ in range(weight)]
        for _ in range(steps):
            name, way = self.luck.choice(ways)
            before = self.latched()
            self.trail.append(name)
            way()
            if name == "wait":
                self.check_latch(before)
            self.check()

    def check_latch(self, before: set[tuple[RRsetKey, str]]) -> None:
        """Time alone opened no latch."""
        for key, address in before - self.latched():
            _, values = self.records.get(key, (0, ()))
            lb = self.settings.by_name.get(key.name)
            returned = lb and address in lb.addresses and self.verdict(lb, address) == "up"
            overridden = any(name == key.name for name, _ in self.state.operator.overrides)
            assert address not in values or returned or overridden or self.state.operator.approvals

    def _ways(self) -> list[tuple[str, int, Callable[[], object]]]:
        luck = self.luck
        return [
            ("flip", 14, self._flip),
            ("agent", 4, lambda: self._say(luck.choice(AGENTS), luck.choice(WORDS))),
            ("agents", 2, self._say_all),
            ("silence", 1, lambda: self.silent.add(luck.choice(AGENTS))),
            ("wait", 12, lambda: self.wait(luck.choice((0.1, 1.0, 4.0, 15.0, 61.0, 400.0)))),
            ("work", 16, lambda: self.work(luck.choice(ZONES))),
            ("fault", 4, self._fault),
            ("commit", 12, self.commit),
            ("full", 1, lambda: self.commit("no space left on device")),
            ("find", 3, self.find),
            ("drain", 6, self.drain),
            ("lease", 2, self._lease),
            ("renewed", 1, lambda: self.step(LeaseChanged(self.lease))),
            ("restart", 1, self.begin),
            ("reload", 2, lambda: self.reload(luck.choice(self.configurations))),
            ("steer", 5, self._steer),
            ("edit", 2, self._edit),
            ("stall", 1, self._stall),
            ("rival", 1, lambda: self.take_away(luck.choice(ZONES))),
        ]

    def _say(self, agent: str, vote: int) -> None:
        self.report(agent, bytes([vote]) * len(self.settings.monitors))

    def _say_all(self) -> None:
        for agent in AGENTS:
            self._say(agent, self.luck.choice((UP, UP, DOWN)))

    def _flip(self) -> None:
        """Most agents see one monitor turn."""
        monitors = self.settings.monitors
        place, vote = self.luck.randrange(len(monitors)), self.luck.choice(WORDS)
        for agent in self.luck.sample(AGENTS, self.luck.choice((1, 2, 3, 3))):
            votes = bytearray(self.said(agent))
            votes[place] = vote
            self.report(agent, bytes(votes))

    def _fault(self) -> None:
        kinds: tuple[FailureKind, ...] = ("temporary", "refused", "conflict", "unknown", "gated")
        kind = self.luck.choice(kinds)
        landed = kind == "unknown" and self.luck.random() < 0.5
        self.work(self.luck.choice(ZONES), Failure(kind, "the provider is ill"), landed)

    def _lease(self) -> None:
        if self.lease is None:
            self.gain_lease()
        else:
            self.lease = None
            self.step(LeaseChanged(None))

    def _steer(self) -> None:
        luck, lb = self.luck, self.luck.choice(self.settings.loadbalancers)
        address, end = luck.choice(lb.addresses), luck.choice((None, self.now.wall + 30))
        kind: CommandKind = luck.choice(("drain", "force-up", "force-down", "clear", "clear"))
        held = [c.id for c in self.status.changes if c.state == "held"]
        match luck.randrange(6):
            case 0:
                self.command("pause", *luck.choice(((), (lb.name,))), expires_wall=end)
            case 1:
                self.command("resume")
            case 2 if held:
                self.command(luck.choice(("approve", "approve", "drop")), luck.choice(held))
            case 3:
                self.command("sync")
            case 4 if self.status.released:
                name = luck.choice(self.status.released)
                self.command("release", name, delete=luck.random() < 0.5)
            case _:
                insist = luck.random() < 0.5
                self.command(kind, address, lb=lb.name, expires_wall=end, insist=insist)

    def _edit(self) -> None:
        """Somebody edits a name of ours by hand."""
        lb = self.luck.choice(self.settings.loadbalancers)
        key = RRsetKey(lb.name, "A")
        four = [a for a in lb.addresses if ":" not in a] + ["203.0.113.99"]
        values = tuple(sorted(self.luck.sample(four, self.luck.randrange(len(four)))))
        if values:
            self.records[key] = (60, values)
        else:
            self.records.pop(key, None)

    def _stall(self) -> None:
        self.since_stall = set()
        self.step(LoopStalled(0.5))

    def heal(self) -> None:
        """Everything works, everybody sees everything up, nobody overrides: then all that can be
        published is, nothing is open and nothing is remembered that is over."""
        self.drain()
        if self.lease is None:
            self.gain_lease()
        self.command("resume")
        self.drain()
        for name, endpoint_id in list(self.state.operator.overrides):
            self.command("clear", endpoint_id, lb=name)
            self.drain()
        self.reload(self.configurations[0])
        for agent in AGENTS:
            self._say(agent, UP)
        for _ in range(60):
            self.drain()
            if self.lease is None:
                self.gain_lease()
            self.wait(60)
            self.drain()
            for change in self.status.changes:
                if change.state == "held":
                    self.command("approve", change.id)
                    self.drain()
        for lb in self.settings.loadbalancers:
            best = min(e.priority for e in lb.endpoints)
            wanted = {e.address for e in lb.endpoints if e.priority == best}
            keys = (RRsetKey(lb.name, "A"), RRsetKey(lb.name, "AAAA"))
            shown = {a for key in keys if key in self.records for a in self.records[key][1]}
            assert shown == wanted, f"{lb.name}: {self.status.loadbalancers[lb.name].sentence}"
        assert not [c for c in self.status.changes if c.state in ("pending", "held", "applying")]
        assert {row.kind for row in self.status.attention} <= {"released"}
        assert not self.state.operator.approvals
        assert not self.state.operator.dropped
        assert not self.open_commands
        writer, store = self.controller._writer, self.controller._store
        assert not writer._approvals
        assert not store._commands
        assert not store._spent_ids
        assert not self.latched()
