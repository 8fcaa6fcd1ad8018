"""One member on a stage: the test plays all others, by hand, and moves the clock."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise
from typing import TypeVar

from dnslb.election.raft.core import RaftMember
from dnslb.election.raft.ground import Effects, Finished, Settings
from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import Entry, bootstrap, regular
from dnslb.election.raft.membership import Configuration, Member
from dnslb.election.raft.messages import Append, Ask, Chunk, Echo, Heard, Message, Vote
from dnslb.election.raft.timings import LAN
from dnslb.model.instant import Now
from tests.election.raft.memory_store import MemoryStore

Kind = TypeVar("Kind", bound=Message)
INCARNATION = "ab"


class Lines:
    """The machine: remembers what was applied; ``raises`` names what it chokes on."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.raises: bytes | None = None

    def apply(self, index: int, data: bytes) -> object:
        if data == self.raises:
            raise ValueError("choked")
        self.lines.append(data)
        return index

    def save(self) -> bytes:
        return b"\n".join(self.lines)

    def load(self, state: bytes) -> None:
        self.lines = state.split(b"\n") if state else []


def member(one: str, suffrage: str = "voter", incarnation: str = INCARNATION) -> Member:
    return Member(one, f"{one}:1", suffrage, incarnation)  # type: ignore[arg-type]


def configuration(voters: str, nonvoters: str = "") -> Configuration:
    entries = [member(one) for one in voters] + [member(one, "nonvoter") for one in nonvoters]
    return Configuration("c1", 7, tuple(sorted(entries)))


def entry(index: int, term: int, data: bytes | None = None) -> Entry:
    return Entry(regular(b"%d" % index if data is None else data, 1), index, term)


class Stage:
    """``voters``: of the configuration that stands in the log as entry 2; "" for a node that
    waits. The member itself is ``a``."""

    def __init__(
        self,
        voters: str = "abc",
        *,
        store: MemoryStore | None = None,
        settings: Settings | None = None,
        nonvoters: str = "",
    ) -> None:
        self.settings = settings or Settings(LAN)
        self.mono = 100.0
        self.sent: list[tuple[str, Message]] = []
        self.finished: list[Finished] = []
        self.store = store or MemoryStore(INCARNATION)
        if store is None and voters:
            journal = Journal(self.store)
            journal.append(bootstrap(configuration(voters, nonvoters)))
            journal.sync()
        self.start()

    def start(self) -> None:
        self.machine = Lines()
        self.member = RaftMember(
            "a", Journal(self.store), self.machine, self.settings, random.Random(1), self.now
        )

    def restart(self) -> None:
        self.store = self.store.reopened()
        self.start()

    @property
    def now(self) -> Now:
        return Now(mono=self.mono, boot=self.mono + 1000, wall=self.mono)

    def took(self, effects: Effects) -> list[tuple[str, Message]]:
        self.sent += effects.frames
        self.finished += effects.finished
        return list(effects.frames)

    def receive(self, peer: str, message: Message) -> list[tuple[str, Message]]:
        return self.took(self.member.receive(peer, message, self.now))

    def wait(self, seconds: float) -> list[tuple[str, Message]]:
        self.mono += seconds
        return self.took(self.member.tick(self.now))

    def propose(self, data: bytes) -> int:
        ticket, effects = self.member.propose(data, self.now)
        self.took(effects)
        return ticket

    def said(self, kind: type[Kind], peer: str | None = None) -> list[Kind]:
        """All that the member ever sent of a kind, to one peer or to all."""
        return [one for to, one in self.sent if isinstance(one, kind) and peer in (None, to)]

    # ---------------------------------------------------------------------- what others would do

    def connect(self, *peers: str) -> None:
        for peer in peers:
            self.took(self.member.connected(peer, self.now))

    def lead(self, *voters: str) -> int:
        """Elected by ``voters``, at once; returns the term."""
        self.connect(*voters)
        self.wait(10)
        term = self.member.term + 1
        for voter in voters:
            self.receive(voter, Echo(term, term - 1, would_vote=True))
        assert self.said(Ask)[-1].term == term
        for voter in voters:
            self.receive(voter, Vote(term, 0.0))
        assert self.member.role == "leader"
        return term

    def call(
        self,
        leader: str,
        term: int,
        prev: int,
        prev_term: int,
        *entries: Entry,
        commit: int = 1,
        number: int = 1,
        lease_s: float = 0.4,
    ) -> Heard | None:
        """A leader's message, and the answer to it."""
        message = Append(term, number, lease_s, 1, commit, prev, prev_term, entries)
        answers = [one for _, one in self.receive(leader, message) if isinstance(one, Heard)]
        return answers[-1] if answers else None

    def answer(self, peer: str, *, upto: int | None = None, term: int | None = None) -> None:
        """A member that has all, or up to an index, as its newest message asks."""
        newest = self.said(Append, peer)[-1]
        end = self.member.journal.last if upto is None else upto
        given = newest.term if term is None else term
        self.receive(peer, Heard(given, newest.round, newest.sequence, end + 1, matches=True))

    def role(self) -> str:
        return self.member.role

    @property
    def log(self) -> list[tuple[int, int]]:
        return [(one.position, one.term) for one in self.member.journal.entries]


def filled(stage: Stage, last: int, *, term: int = 1, leader: str = "b") -> Heard:
    """A follower with entries up to ``last``, all acknowledged."""
    stage.connect(leader)
    heard = stage.call(leader, term, 2, 0, *(entry(i, term) for i in range(3, last + 1)))
    assert heard is not None
    assert heard.next == last + 1
    return heard


def snapshot_pieces(state: bytes, index: int, term: int, *cuts: int) -> list[Chunk]:
    edges = [0, *cuts, len(state)]
    return [
        Chunk(
            term,
            2,
            0.4,
            3,
            index,
            term,
            configuration("abc"),
            2,
            len(state),
            zlib.crc32(state),
            begin,
            state[begin:end],
        )
        for begin, end in pairwise(edges)
    ]
