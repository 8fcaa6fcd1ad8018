"""Trouble for a simulated cluster: everything that machines, networks and operators do, by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import regular
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.timings import LAN, WAN
from dnslb.errors import CommandRefused
from dnslb.model.instant import Now
from tests.sim.cluster import Cluster
from tests.sim.oracle import Broken

HEAL_S = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: ``trouble_s`` of faults, then healing. ``members``: configurations change too,
    ``burst`` at a time. ``rude``: single messages get lost or come twice. ``mixed``: who starts
    again may do so with another profile. ``fault_s``: between two faults, on average. The rest is
    for ablations."""

    seed: int
    size: int = 5
    trouble_s: float = 20.0
    members: bool = False
    rude: bool = False
    mixed: bool = False
    fault_s: float = 0.6
    burst: int = 1
    lazy_disks: int = 0
    forgets_names: bool = False
    member: type[RaftMember] = RaftMember
    journal: type[Journal] = Journal


class Chaos:
    def __init__(self, plan: Plan) -> None:
        voters = 1 if plan.members else plan.size
        self.plan = plan
        self.cluster = cluster = Cluster(
            plan.seed,
            plan.size,
            voters,
            member=plan.member,
            journal=plan.journal,
            lazy_disks=plan.lazy_disks,
            forgets_names=plan.forgets_names,
        )
        self.luck = cluster.luck
        self.number = 0
        self.quiet_until = 0.0
        self.healing = False
        self.wiped: str | None = None
        self.refused: dict[str, int] = {}
        self.faults: Counter[str] = Counter()
        if plan.rude:
            cluster.links.rude = 0.02

    def run(self) -> Cluster:
        cluster, plan = self.cluster, self.plan
        cluster.after(0.5, self._propose)
        cluster.after(1.5, self._trouble)
        if plan.members:
            cluster.after(1.0, self._change)
        cluster.run(plan.trouble_s)
        self._heal()
        return cluster

    # ------------------------------------------------------------------------------- workload

    def ask(
        self, member: RaftMember, act: Callable[[RaftMember, Now], Effects], what: str = ""
    ) -> None:
        """An operator's or a client's wish, which may be refused."""

        def wish(one: RaftMember, now: Now) -> Effects:
            try:
                effects = act(one, now)
            except CommandRefused as e:
                self.refused[str(e)] = self.refused.get(str(e), 0) + 1
                return Effects()
            if what:
                self.cluster.note(what)
            return effects

        self.cluster.event(member.id, wish)

    def propose_to(self, member: RaftMember, count: int = 1) -> None:
        """So many commands in one event."""
        numbers = range(self.number + 1, self.number + 1 + count)
        self.number += count
        node = self.cluster.nodes[member.id]

        def propose(one: RaftMember, now: Now) -> Effects:
            tickets, effects = one.propose_all([regular(b"%d" % n, 1) for n in numbers], now)
            for ticket, number in zip(tickets, numbers, strict=True):
                self.cluster.oracle.proposed[one.id, node.starts, ticket] = number
            return effects

        self.ask(member, propose)

    def _propose(self) -> None:
        quiet = self.cluster.true_s < self.quiet_until
        for member in self.cluster.leaders() if not quiet else []:
            events, together = self.luck.choice([(1, 1), (1, 1), (5, 1), (1, 4), (3, 12)])
            for _ in range(events):
                if self.cluster.nodes[member.id].member is member:
                    self.propose_to(member, together)
        self.cluster.after(self.luck.expovariate(8), self._propose)

    def _change(self) -> None:
        if self.healing or self.wiped is not None:
            return
        for member in self.cluster.leaders():
            for _ in range(self.luck.choice([1, 1, 2]) * self.plan.burst):
                if self.cluster.nodes[member.id].member is member:
                    self.change(member)
        self.cluster.after(self.luck.expovariate(1 / 0.8), self._change)

    def change(self, member: RaftMember) -> None:
        old = member.configuration
        one = self.luck.choice(list(self.cluster.nodes))
        entry = old.find(one)
        if entry is None:
            suffrage = self.luck.choice(["voter", "voter", "nonvoter"])
            new = old.with_member(self.cluster.entry(one, suffrage))
        elif one == member.id:
            return
        elif self.luck.random() < 0.5:
            turned = "voter" if entry.suffrage == "nonvoter" else "nonvoter"
            new = old.with_member(replace(entry, suffrage=turned))  # type: ignore[arg-type]
        elif len(old.members) > 1:
            new = old.without(one)
        else:
            return
        self.change_to(member, new)

    def change_to(self, member: RaftMember, new: Configuration) -> None:
        def change(leader: RaftMember, now: Now) -> Effects:
            ticket, effects = leader.change(new, now)
            node = self.cluster.nodes[leader.id]
            # Not a number: it only has to be known to the oracle when it ends.
            self.cluster.oracle.proposed[leader.id, node.starts, ticket] = -1
            return effects

        self.ask(member, change, f"{member.id} changes members to {sorted(new.voters)}")

    # -------------------------------------------------------------------------------- trouble

    def _trouble(self) -> None:
        if self.healing:
            return
        luck = self.luck
        faults = (
            self._crash,
            self._crash_in_write,
            self._partition,
            self._deafen,
            self._slow,
            self._break,
            self._pause,
            self._suspend,
            self._transfer,
            self._snapshot,
            self._fill_disk,
            self._wipe,
            self._usurp,
            self._mute,
        )
        fault = luck.choice(faults)
        self.faults[fault.__name__] += 1
        fault()
        self.cluster.after(luck.expovariate(1 / self.plan.fault_s), self._trouble)

    def _victim(self) -> str:
        leader = self.cluster.leader()
        if leader is not None and self.luck.random() < 0.5:
            return leader.id
        return self.luck.choice(list(self.cluster.nodes))

    def _crash(self) -> None:
        victims = [self._victim()]
        if self.luck.random() < 0.1:
            victims = list(self.cluster.nodes)
        for victim in victims:
            self._restart(victim, self.luck.uniform(0.05, 3))

    def _restart(self, one: str, down_s: float) -> None:
        if self.plan.mixed:
            self.cluster.nodes[one].timings = self.luck.choice([LAN, WAN])
        self.cluster.crash(one, down_s)

    def _crash_in_write(self) -> None:
        self.cluster.nodes[self._victim()].store.lose_next = self.luck.choice([-1, 1])

    def _partition(self) -> None:
        sides = {one: self.luck.random() < 0.5 for one in self.cluster.nodes}
        cut = {(a, b) for a in sides for b in sides if sides[a] != sides[b]}
        self._cut(cut, f"partition {sorted(one for one in sides if sides[one])}")

    def _deafen(self) -> None:
        """One way: somebody is heard and hears nothing, or the other way round."""
        victim = self._victim()
        others = [one for one in self.cluster.nodes if one != victim]
        if self.luck.random() < 0.5:
            cut = {(one, victim) for one in others}
        else:
            cut = {(victim, one) for one in others if self.luck.random() < 0.7}
        self._cut(cut, f"one way {sorted(cut)}")

    def _cut(self, cut: set[tuple[str, str]], what: str) -> None:
        self.cluster.note(what)
        self.cluster.links.cut = cut

        def mend() -> None:
            if self.cluster.links.cut is cut:
                self.cluster.links.cut = set()

        self.cluster.after(self.luck.uniform(0.3, 4), mend)

    def _usurp(self) -> None:
        """Somebody who has long not heard the leader asks those who are about to forget it, and
        has missed nothing that they would refuse it for."""
        leader = self.cluster.leader()
        if leader is None:
            return
        old, *others = sorted(self.cluster.nodes, key=lambda one: one != leader.id)
        rival = self.luck.choice(others)
        self._cut({(old, rival), (rival, old)}, f"{old} cut from {rival}")
        self.quiet_until = self.cluster.true_s + 2.5
        forget = self.luck.random() < 0.5

        def lose_the_leader() -> None:
            self._cut({(old, one) for one in others} | {(one, old) for one in others}, "usurps")
            for one in others:
                self.cluster.break_stream(old, one)
                if forget and one != rival:
                    self._restart(one, self.luck.uniform(0.01, 0.1))

        self.cluster.after(self.luck.uniform(0.5, 1.8), lose_the_leader)

    def _mute(self) -> None:
        """Nobody hears the leader, and it hears late what was answered before."""
        leader = self.cluster.leader()
        if leader is None:
            return
        others = [one for one in self.cluster.nodes if one != leader.id]
        self._cut({(leader.id, one) for one in others}, f"{leader.id} is mute")
        self.cluster.links.stays = self.cluster.links.cut
        until = self.cluster.true_s + self.luck.uniform(0.4, 0.9)
        for one in others:
            self.cluster.links.slow_until[one, leader.id] = until

    def _slow(self) -> None:
        pairs = list(self.cluster.streams)
        for pair in self.luck.sample(pairs, min(3, len(pairs))):
            until = self.cluster.true_s + self.luck.uniform(0.2, 2)
            self.cluster.links.slow_until[pair] = until

    def _break(self) -> None:
        pairs = list(self.cluster.streams)
        if pairs:
            self.cluster.break_stream(*self.luck.choice(pairs))

    def _pause(self) -> None:
        self.cluster.pause(self._victim(), self.luck.uniform(0.1, 2.5))

    def _suspend(self) -> None:
        self.cluster.suspend(self._victim(), self.luck.uniform(0.1, 2.5))

    def _transfer(self) -> None:
        for member in self.cluster.leaders():
            if self.cluster.nodes[member.id].member is member:
                others = sorted(member.configuration.voters - {member.id})
                self._hand_over(member, self.luck.choice([None, *others]))

    def _hand_over(self, member: RaftMember, target: str | None) -> None:
        def hand_over(one: RaftMember, now: Now) -> Effects:
            return one.transfer(target, now)[1]

        self.ask(member, hand_over, f"{member.id} hands over")

    def _snapshot(self) -> None:
        one = self._victim()
        self.cluster.event(one, lambda member, now: member.snapshot(now))

    def _fill_disk(self) -> None:
        self.cluster.nodes[self._victim()].store.full = True

    def _wipe(self) -> None:
        """Once, and never of who is needed: whoever lost more than a minority needs a person."""
        leader = self.cluster.leader()
        if self.wiped is not None or leader is None or not self.plan.members:
            return
        others = sorted(leader.configuration.voters - {leader.id})
        if len(others) >= 3:
            self.wiped = self.luck.choice(others)
            self.cluster.wipe(self.wiped)

    def _replace_wiped(self) -> None:
        """What the refusal says: remove_server, then add_voter."""
        for leader in self.cluster.leaders():
            if self.wiped is None or self.cluster.nodes[leader.id].member is not leader:
                continue
            wanted = self.cluster.entry(self.wiped, "voter")
            there = leader.configuration.find(self.wiped)
            if there is None:
                self.change_to(leader, leader.configuration.with_member(wanted))
            elif there.incarnation != wanted.incarnation:
                self.change_to(leader, leader.configuration.without(self.wiped))
        self.cluster.after(0.3, self._replace_wiped)

    # -------------------------------------------------------------------------------- healing

    def _heal(self) -> None:
        cluster = self.cluster
        self.healing = True
        cluster.note("heals")
        cluster.links.cut = set()
        cluster.links.slow_until.clear()
        cluster.links.rude = 0.0
        self._replace_wiped()
        for node in cluster.nodes.values():
            node.store.lose_next = 0
            node.store.full = False
        if not cluster.run_until(self._caught_up, within_s=HEAL_S):
            raise Broken(f"no progress {HEAL_S} s after healing: {self.picture()}")
        cluster.oracle.final()

    def _caught_up(self) -> bool:
        """A leader that may write, and all of its members have nearly all of its log."""
        leader = self.cluster.leader()
        if leader is None or leader.lease() is None:
            return False
        if self.wiped is not None:
            again = leader.configuration.find(self.wiped)
            if again is None or again.suffrage != "voter":
                return False
        for entry in leader.configuration.members:
            member = self.cluster.nodes[entry.id].member
            if member is None or member.applied < leader.applied - 20:
                return False
        return leader.applied > leader.journal.last - 20

    def picture(self) -> str:
        rows = []
        for node in self.cluster.nodes.values():
            if (one := node.member) is None:
                rows.append(f"{node.id} down")
            else:
                rows.append(
                    f"{node.id} {one.role} of {one.leader} in {one.term}: {one.journal.first}.."
                    f"{one.journal.last}, committed {one.commit}, applied {one.applied}, "
                    f"voters {sorted(one.configuration.voters)}"
                )
        return "; ".join(rows)
