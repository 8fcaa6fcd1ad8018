"""A whole cluster in one thread: real members on simulated disks, clocks and streams.

Not a test: `chaos` makes trouble, `oracle` judges, `test_cluster` runs seeds. Everything is drawn
from one seed, so a run repeats exactly. Messages cross as bytes, through the codec of the wire.

Law of the network: within a stream what arrives is in order (TCP), but it may be late, or end in
the middle; what a partition swallows is gone. `Links.rude` breaks that law on purpose: it drops
and doubles single messages.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.frames import Identity, why_refused
from dnslb.election.raft.ground import Effects, Settings
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import bootstrap
from dnslb.election.raft.membership import Configuration, Member
from dnslb.election.raft.messages import from_bytes, to_bytes
from dnslb.election.raft.timings import DRIFT, LAN, Timings
from dnslb.errors import StoreError
from dnslb.model.instant import Now
from tests.election.raft.memory_store import MemoryStore, PowerLost
from tests.sim.oracle import Oracle

CLUSTER_ID = "c1"
TICK_LATE_S = 0.002


class Numbers:
    """The replicated state: all numbers ever proposed, in order."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def apply(self, index: int, data: bytes) -> object:
        self.numbers.append(int(data))
        return len(self.numbers)

    def save(self) -> bytes:
        return b",".join(b"%d" % number for number in self.numbers)

    def load(self, state: bytes) -> None:
        self.numbers = [int(number) for number in state.split(b",") if number]


@dataclass(eq=False)
class Node:
    """A machine: what stays (disk, clock) and what a start makes new (member, machine)."""

    id: str
    rate: float
    offset: float
    store: MemoryStore
    luck: random.Random
    timings: Timings
    slept: float = 0.0
    member: RaftMember | None = None
    machine: Numbers = field(default_factory=Numbers)
    paused_until: float = 0.0
    held: list[Callable[[RaftMember, Now], Effects]] = field(default_factory=list)
    starts: int = 0

    def now(self, true_s: float) -> Now:
        own = self.offset + self.rate * true_s
        return Now(mono=own - self.slept, boot=own + 1000, wall=true_s)

    def true_s(self, boot: float) -> float:
        return (boot - 1000 - self.offset) / self.rate


@dataclass
class Links:
    """``cut``: pairs (from, to) of which nothing arrives; their streams end of it, but for
    those of the cut that is in ``stays``."""

    cut: set[tuple[str, str]] = field(default_factory=set)
    stays: set[tuple[str, str]] = field(default_factory=set)
    slow_until: dict[tuple[str, str], float] = field(default_factory=dict)
    rude: float = 0.0


class Cluster:
    """``voters``: who is in the configuration that the first of them was bootstrapped with.
    ``member``, ``journal``, ``lazy_disks``, ``forgets_names`` (a lost directory comes back under
    its old incarnation): what an ablation leaves out."""

    def __init__(
        self,
        seed: int,
        size: int,
        voters: int,
        *,
        timings: Timings = LAN,
        compact_every: int = 40,
        member: type[RaftMember] = RaftMember,
        journal: type[Journal] = Journal,
        lazy_disks: int = 0,
        forgets_names: bool = False,
    ) -> None:
        self.luck = random.Random(seed)
        self.true_s = 0.0
        self.compact_every = compact_every
        self.make = member
        self.read = journal
        self.forgets_names = forgets_names
        self.links = Links()
        self.nodes: dict[str, Node] = {}
        self.streams: dict[tuple[str, str], int] = {}
        self.last_arrival: dict[tuple[str, str], float] = {}
        self.oracle = Oracle()
        self.refusals: set[str] = set()
        self.trail: list[str] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._stream = 0
        ids = [f"n{i}" for i in range(size)]
        for one in ids:
            store = MemoryStore(f"{len(self.nodes):04x}")
            store.lazy = lazy_disks
            luck = random.Random(self.luck.random())
            rate = self.luck.choice([1.0, 1 + DRIFT, 1 + DRIFT * self.luck.random()])
            offset = self.luck.uniform(0, 99)
            self.nodes[one] = Node(one, rate, offset, store, luck, timings)
        entries = tuple(self.entry(one, "voter") for one in ids[:voters])
        self.first = Configuration(CLUSTER_ID, 7, entries)
        for one in ids[:voters]:
            ground = Journal(self.nodes[one].store)
            ground.append(bootstrap(self.first))
            ground.sync()
        for one in ids:
            self.start(one)
        self._connect_missing()

    def entry(self, one: str, suffrage: str) -> Member:
        port = 1000 + int(one[1:])
        incarnation = self.nodes[one].store.durable.incarnation
        return Member(one, f"host:{port}", suffrage, incarnation)  # type: ignore[arg-type]

    # ----------------------------------------------------------------------------------- time

    def at(self, true_s: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (true_s, self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.true_s + seconds, act)

    def run(self, seconds: float) -> None:
        end = self.true_s + seconds
        while self._queue and self._queue[0][0] <= end:
            self.true_s, _, act = heapq.heappop(self._queue)
            act()
        self.true_s = end

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> bool:
        end = self.true_s + within_s
        while not condition():
            if not self._queue or self._queue[0][0] > end:
                return False
            self.true_s, _, act = heapq.heappop(self._queue)
            act()
        return True

    def note(self, what: str) -> None:
        self.trail.append(f"{self.true_s:.3f} {what}")

    # ------------------------------------------------------------------------------- machines

    def start(self, one: str) -> None:
        node = self.nodes[one]
        if node.member is not None:
            return
        node.starts += 1
        node.store = node.store.reopened() if node.starts > 1 else node.store
        node.machine = Numbers()
        node.paused_until = 0.0
        luck = random.Random(node.luck.random())
        settings = Settings(node.timings, compact_every=self.compact_every, keep=8)
        try:
            journal, now = self.read(node.store), node.now(self.true_s)
            node.member = self.make(one, journal, node.machine, settings, luck, now)
        except (PowerLost, StoreError):
            self.after(0.1, lambda: self.start(one))
            return
        self.oracle.started(node, node.member)
        self._watch(node, node.starts)

    def crash(self, one: str, down_s: float) -> None:
        node = self.nodes[one]
        if node.member is None:
            return
        self.note(f"{one} crashes for {down_s:.2f}")
        node.member = None
        node.held.clear()
        self.oracle.stopped(one)
        for a, b in [pair for pair in self.streams if one in pair]:
            if a == one:
                self.break_stream(a, b)
        self.after(down_s, lambda: self.start(one))

    def pause(self, one: str, seconds: float) -> None:
        self.note(f"{one} pauses for {seconds:.2f}")
        node = self.nodes[one]
        node.paused_until = max(node.paused_until, self.true_s + seconds)

    def suspend(self, one: str, seconds: float) -> None:
        """As `pause`, and trio's clock stands still as well; the boot clock goes on."""
        self.note(f"{one} sleeps")
        self.pause(one, seconds)
        node = self.nodes[one]
        node.slept += node.rate * seconds

    def event(self, one: str, act: Callable[[RaftMember, Now], Effects]) -> None:
        """An event at a member, now or when its pause is over; a crash in it is a crash."""
        node = self.nodes[one]
        member = node.member
        if member is None:
            return
        if node.paused_until > self.true_s or node.held:
            if not node.held:
                self.at(node.paused_until, lambda: self._resume(node))
            node.held.append(act)
            return
        self._run(node, member, act)

    def _resume(self, node: Node) -> None:
        """All that came while it stood still comes at once, in order."""
        if node.paused_until > self.true_s:
            self.at(node.paused_until, lambda: self._resume(node))
            return
        held, node.held = node.held, []
        member = node.member
        for act in held:
            if member is not None and node.member is member:
                self._run(node, member, act)

    def _run(
        self, node: Node, member: RaftMember, act: Callable[[RaftMember, Now], Effects]
    ) -> None:
        one = node.id
        try:
            effects = act(member, node.now(self.true_s))
        except (PowerLost, StoreError):
            # A full disk ends a member like a lost machine does: nothing of the event gets out.
            self.crash(one, self.luck.uniform(0.05, 2))
            return
        # By peer: pysyncobj asks for votes in the order of a set, which no seed repeats.
        for peer, message in sorted(effects.frames, key=lambda sent: sent[0]):
            self._send(one, peer, to_bytes(message))
        self.oracle.event(self, node, member, effects)

    def _watch(self, node: Node, starts: int) -> None:
        """Ticks when the member says so."""
        member = node.member
        if member is None or node.starts != starts:
            return
        self.event(node.id, lambda member, now: member.tick(now))
        if node.member is None:
            return
        own = min(max(member.deadline() - node.now(self.true_s).mono, 0.0), 0.2)
        self.after(
            own / node.rate + TICK_LATE_S + self.luck.random() * 0.005,
            lambda: self._watch(node, starts),
        )

    # -------------------------------------------------------------------------------- streams

    def _send(self, a: str, b: str, data: bytes) -> None:
        stream = self.streams.get((a, b))
        if stream is None:
            return
        luck, links = self.luck, self.links
        delay = luck.uniform(0.0002, 0.004)
        if luck.random() < 0.01:
            delay += luck.uniform(0, 0.3)
        arrives = self.true_s + delay
        if luck.random() < links.rude:
            draw = luck.random()
            if draw < 0.4:
                return
            if draw < 0.8:
                self.at(arrives + luck.uniform(0, 0.5), lambda: self._arrive(a, b, data, 0))
        arrives = max(arrives, links.slow_until.get((a, b), 0), self.last_arrival.get((a, b), 0))
        self.last_arrival[a, b] = arrives
        self.at(arrives, lambda: self._arrive(a, b, data, stream))

    def _arrive(self, a: str, b: str, data: bytes, stream: int) -> None:
        """``stream`` 0: a message that a rude network brings on whatever stream there is."""
        if (a, b) in self.links.cut or self.streams.get((a, b)) is None:
            return
        if stream and self.streams[a, b] != stream:
            return
        message = from_bytes(data)

        def receive(member: RaftMember, now: Now) -> Effects:
            if stream and self.streams.get((a, b)) != stream:
                return Effects()
            return member.receive(a, message, now)

        self.event(b, receive)

    def break_stream(self, a: str, b: str) -> None:
        if (a, b) not in self.streams:
            return
        for source, target in ((a, b), (b, a)):
            self.streams.pop((source, target), None)
            self.last_arrival.pop((source, target), None)
        for one, peer in ((a, b), (b, a)):
            self._part(one, peer)

    def _meet(self, one: str, peer: str) -> None:
        self.event(one, lambda member, now: member.connected(peer, now))

    def _part(self, one: str, peer: str) -> None:
        self.event(one, lambda member, now: member.disconnected(peer, now))

    def _connect_missing(self) -> None:
        """What dialling does, as soon as it can; a stream over a cut ends after a while."""
        ids = list(self.nodes)
        for i, a in enumerate(ids):
            for b in ids[i + 1 :]:
                links = self.links
                cut = (a, b) in links.cut or (b, a) in links.cut
                if (a, b) in self.streams:
                    if cut and links.cut is not links.stays and self.luck.random() < 0.15:
                        self.break_stream(a, b)
                elif not cut and self._dial(a, b) and self.luck.random() < 0.5:
                    self._stream += 1
                    self.streams[a, b] = self.streams[b, a] = self._stream
                    self._meet(a, b)
                    self._meet(b, a)
        self.after(0.05, self._connect_missing)

    def _dial(self, a: str, b: str) -> bool:
        """Whether either knows the other, and both live."""
        one, other = self.nodes[a].member, self.nodes[b].member
        if one is None or other is None:
            return False
        if one.configuration.find(b) is None and other.configuration.find(a) is None:
            return False
        mine, theirs = self._identity(one), self._identity(other)
        refusals = why_refused(theirs, mine.hello(b)), why_refused(mine, theirs.hello(a))
        self.refusals.update(filter(None, refusals))
        return refusals == (None, None)

    def _identity(self, member: RaftMember) -> Identity:
        journal = member.journal
        return Identity(
            member.id,
            journal.incarnation,
            journal.facts.cluster_id,
            1,
            member.configuration,
            leads=member.role == "leader",
        )

    def wipe(self, one: str) -> None:
        """Its directory is lost: it starts anew, as somebody else of the same name."""
        self.note(f"{one} loses its directory")
        node = self.nodes[one]
        self.crash(one, 0.5)
        name = node.store.durable.incarnation
        if not self.forgets_names:
            name = f"{self.luck.randrange(2**32):08x}"
        node.store = MemoryStore(name)

    # ------------------------------------------------------------------------------ questions

    def leaders(self) -> list[RaftMember]:
        found = [node.member for node in self.nodes.values() if node.member is not None]
        return [member for member in found if member.role == "leader"]

    def leader(self) -> RaftMember | None:
        return max(self.leaders(), key=lambda member: member.term, default=None)
