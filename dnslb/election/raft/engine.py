"""pysyncobj 0.3.17, boxed: elections, counting of commits, order of applying; nothing else of it.

Not a network, a journal, a snapshot or a thread: none of pysyncobj's runs here. This module and
`upstream` are all that imports pysyncobj and knows its private names. What is unsound in it is
replaced by `Hooks`, or never reached (`docs/decisions/pysyncobj-boxed.md`: defects and cures).

Law: it moves only inside a call, at the instant that the caller set. Each private name that is
replaced or read is checked: the methods at import, the attributes when one is made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NoReturn

from pysyncobj.config import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.syncobj import SyncObj
from pysyncobj.version import VERSION

from dnslb.election.raft.journal import BrokenLog, Journal
from dnslb.election.raft.membership import Configuration
from dnslb.election.raft.timings import Timings
from dnslb.election.raft.upstream import ATTRIBUTES, Hooks, Instant, Log, Mouth

FOLLOWER, CANDIDATE, LEADER = range(3)
NEVER = 10**9

_node = lru_cache(64)(Node)
"""pysyncobj's name for a member, by id."""


class Engine(SyncObj):  # type: ignore[misc]  # pysyncobj has no types
    """One member's raft. Call `at` before anything else in an event."""

    def __init__(
        self, member: str, journal: Journal, timings: Timings, hooks: Hooks, *, mono: float
    ) -> None:
        Instant.mono = mono
        self._hooks = hooks
        self._journal = journal
        self._mouth = Mouth(hooks)
        # pysyncobj looks at every attribute of ours before it has set this one.
        self._put("newAppendEntriesTime", 0.0)
        conf = SyncObjConf(
            autoTick=False,
            useFork=False,
            dynamicMembershipChange=True,
            appendEntriesUseBatch=True,
            journalFile=Log(journal),
            commandsWaitLeader=False,
            raftMinTimeout=timings.election_s_min,
            raftMaxTimeout=timings.election_s_max,
            appendEntriesPeriod=timings.heartbeat_s,
            leaderFallbackTimeout=timings.election_s_max,
            connectionTimeout=timings.election_s_max,
            logCompactionMinEntries=NEVER,
            logCompactionMinTime=NEVER,
        )
        super().__init__(_node(member), [], conf=conf, transport=self._mouth)
        missing = [name for name in ATTRIBUTES if f"_SyncObj__{name}" not in self.__dict__]
        if missing:
            raise ImportError(f"pysyncobj {VERSION} lacks {', '.join(missing)}")
        self._put("needLoadDumpFile", False)

    # ----------------------------------------------------------------------------- private names

    def _put(self, name: str, value: object) -> None:
        self.__dict__[f"_SyncObj__{name}"] = value

    # --------------------------------------------------------------------------- what it knows

    @property
    def role(self) -> int:
        return int(self._SyncObj__raftState)

    @property
    def leading(self) -> bool:
        return self.role == LEADER

    @property
    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def leader(self) -> str | None:
        node = self._SyncObj__raftLeader
        return None if node is None else node.id

    @leader.setter
    def leader(self, peer: str | None) -> None:
        self._put("raftLeader", None if peer is None else _node(peer))

    @property
    def commit(self) -> int:
        return int(self._SyncObj__raftCommitIndex)

    @property
    def applied(self) -> int:
        return int(self._SyncObj__raftLastApplied)

    @property
    def first_own_entry(self) -> int:
        """Of the newest leadership of this process; its commit opens changes of members."""
        return int(self._SyncObj__noopIDx or 0)

    @property
    def heartbeat_due_at(self) -> float:
        return float(self._SyncObj__newAppendEntriesTime)

    @heartbeat_due_at.setter
    def heartbeat_due_at(self, mono: float) -> None:
        self._put("newAppendEntriesTime", mono)

    @property
    def election_due_at(self) -> float:
        return float(self._SyncObj__raftElectionDeadline)

    @election_due_at.setter
    def election_due_at(self, mono: float) -> None:
        self._put("raftElectionDeadline", mono)

    def next_of(self, peer: str) -> int:
        return int(self._SyncObj__raftNextIndex[_node(peer)])

    def set_next(self, peer: str, index: int) -> None:
        self._SyncObj__raftNextIndex[_node(peer)] = index

    def match_of(self, peer: str) -> int:
        return int(self._SyncObj__raftMatchIndex.get(_node(peer), 0))

    def set_match(self, peer: str, index: int) -> None:
        self._SyncObj__raftMatchIndex[_node(peer)] = index

    def knows(self, peer: str) -> bool:
        return _node(peer) in self._SyncObj__raftMatchIndex

    def answered(self, peer: str) -> None:
        """A member was heard: the leader stays while a majority is."""
        self._SyncObj__lastResponseTime[_node(peer)] = Instant.mono

    @property
    def connected_peers(self) -> frozenset[str]:
        return frozenset(node.id for node in self._SyncObj__connectedNodes)

    # -------------------------------------------------------------------------------- events

    def at(self, mono: float) -> None:
        Instant.mono = mono

    def turn(self) -> None:
        """Elections, commits, applying: what is due at this instant."""
        if self.leading:
            due = self.heartbeat_due_at < Instant.mono or self.commit < self._journal.last
        else:
            due = self.election_due_at < Instant.mono
        if due or self.applied < self.commit:
            self._onTick(0.0)

    def connect(self, peer: str) -> None:
        self._mouth._onNodeConnected(_node(peer))

    def disconnect(self, peer: str) -> None:
        self._mouth._onNodeDisconnected(_node(peer))

    def hear_leader(self, peer: str, term: int) -> None:
        """A call of the leader of ``term``, which is not older than ours."""
        self._hear(peer, {"type": "append_entries", "term": term, "commit_index": self.commit})

    def hear_ask(self, peer: str, term: int, last: int, last_term: int) -> None:
        asked = {"term": term, "last_log_index": last, "last_log_term": last_term}
        self._hear(peer, {"type": "request_vote", **asked})

    def hear_vote(self, peer: str, term: int) -> None:
        """A vote of a voter who has not been counted in this term."""
        self._hear(peer, {"type": "response_vote", "term": term})

    def _hear(self, peer: str, message: dict[str, Any]) -> None:
        self._mouth._onMessageReceived(_node(peer), message)

    def raise_commit(self, index: int) -> None:
        """Followers: as the leader says, up to what is known to be as the leader has it."""
        if index > self.commit:
            self._put("raftCommitIndex", index)
            self._journal.set_commit(index)

    def restored(self, index: int) -> None:
        """The machine was loaded from a snapshot of the entry ``index``."""
        self._put("raftLastApplied", index)
        self._put("raftCommitIndex", max(index, self.commit))

    def step_down(self, term: int) -> None:
        """To a follower of nobody, in ``term`` or the own one, whichever is newer."""
        if term > self.term:
            self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(FOLLOWER)
        self.leader = None
        if self.election_due_at < Instant.mono:
            self.election_due_at = Instant.mono + self._hooks.election_s()

    def use(self, configuration: Configuration) -> None:
        """The newest configuration in the log is in force, committed or not."""
        me = self.selfNode.id
        others = {_node(one) for one in configuration.voters if one != me}
        silent = {
            _node(one.id)
            for one in configuration.members
            if one.suffrage == "nonvoter" and one.id != me
        }
        following = self._SyncObj__raftNextIndex
        for gone in set(following) - others - silent:
            for table in (
                self._SyncObj__raftNextIndex,
                self._SyncObj__raftMatchIndex,
                self._SyncObj__lastResponseTime,
            ):
                table.pop(gone, None)
        for node in others | silent:
            if node not in following:
                self.set_next(node.id, self._journal.last + 1)
                self.set_match(node.id, 0)
            self._SyncObj__lastResponseTime.setdefault(node, Instant.mono)
        self._put("otherNodes", others)
        self._put("readonlyNodes", silent)

    # ------------------------------------------------------------------- what stands in place

    def _checkCommandsToApply(self) -> None:  # noqa: N802 (its name)
        """Proposals enter the log at once, and only at the leader; none is forwarded."""

    def _SyncObj__connectedToAnyone(self) -> bool:  # noqa: N802 (its name)
        return self._hooks.may_stand()

    def _SyncObj__generateRaftTimeout(self) -> float:  # noqa: N802 (its name)
        return self._hooks.election_s()

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802 (its name)
        self._hooks.replicate()

    def _SyncObj__setCurrentTerm(self, term: int, voted: str | None) -> None:  # noqa: N802
        super()._SyncObj__setCurrentTerm(term, voted)
        if voted == self.selfNode.id:
            self._hooks.stood(term)

    def _SyncObj__setState(self, role: int) -> None:  # noqa: N802 (its name)
        before = self.role
        super()._SyncObj__setState(role)
        if role == LEADER:
            self._hooks.led()
        elif role == FOLLOWER and before != FOLLOWER:
            self._hooks.followed()

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:  # noqa: N802 (its name)
        place = self.applied + 1 - self._journal.first
        self._hooks.apply(self._journal.entries[place])

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802 (its name)
        """Snapshots are the core's."""

    def _SyncObj__loadDumpFile(self, *_: object, **__: object) -> NoReturn:  # noqa: N802
        raise BrokenLog("pysyncobj wants to load a file")

    def _SyncObj__parseChangeClusterRequest(self, _: bytes) -> None:  # noqa: N802 (its name)
        """Members are the core's: to pysyncobj a change is an entry like any other."""

    def _SyncObj__changeCluster(self, *_: object) -> NoReturn:  # noqa: N802 (its name)
        raise BrokenLog("pysyncobj wants to change members")

    _SyncObj__doChangeCluster = _SyncObj__changeCluster
    _SyncObj__updateClusterConfiguration = _SyncObj__changeCluster
