"""What is put into pysyncobj's hands in place of its own: log, network, clock; and its hooks.

Not the engine that uses it. Law: nothing of this waits, opens or draws luck; what pysyncobj must
never ask for raises.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from pysyncobj import syncobj
from pysyncobj.syncobj import SyncObj
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from dnslb.election.raft.journal import BrokenLog, Journal
from dnslb.election.raft.log import Entry

PINNED = "0.3.17"

METHODS = (
    "changeCluster",
    "connectedToAnyone",
    "doApplyCommand",
    "doChangeCluster",
    "generateRaftTimeout",
    "loadDumpFile",
    "onBecomeLeader",
    "parseChangeClusterRequest",
    "sendAppendEntries",
    "setCurrentTerm",
    "setState",
    "tryLogCompaction",
    "updateClusterConfiguration",
)
ATTRIBUTES = (
    "connectedNodes",
    "lastResponseTime",
    "needLoadDumpFile",
    "newAppendEntriesTime",
    "noopIDx",
    "otherNodes",
    "raftCommitIndex",
    "raftCurrentTerm",
    "raftElectionDeadline",
    "raftLastApplied",
    "raftLeader",
    "raftMatchIndex",
    "raftNextIndex",
    "raftState",
    "readonlyNodes",
)


def check_upstream() -> None:
    missing = [name for name in METHODS if not hasattr(SyncObj, f"_SyncObj__{name}")]
    names = ("createJournal", "createPoller", "monotonicTime")
    missing += [name for name in names if not hasattr(syncobj, name)]
    if VERSION != PINNED or missing:
        raise ImportError(
            f"dnslb is made for pysyncobj {PINNED}; this one is {VERSION}"
            + (f" and lacks {', '.join(missing)}" if missing else "")
        )


class Hooks(Protocol):
    """What stands in place of the parts of pysyncobj that are replaced."""

    def may_stand(self) -> bool:
        """The election deadline has passed: whether to ask for votes now."""

    def stood(self, term: int) -> None:
        """It is a candidate now, and has voted for itself; both are in the journal."""

    def led(self) -> None:
        """It was elected; its first entry comes next."""

    def followed(self) -> None:
        """It neither leads nor stands any more."""

    def ask(self, peer: str, term: int, last: int, last_term: int) -> None: ...

    def grant(self, peer: str, term: int) -> None: ...

    def replicate(self) -> None:
        """Speak to all members now."""

    def apply(self, entry: Entry) -> None: ...

    def election_s(self) -> float:
        """How long to wait for a leader, drawn anew each time."""


class Instant:
    """What pysyncobj reads as its clock: one for all engines, set before each call of one."""

    mono = 0.0


class Log:
    """The journal under the names that pysyncobj calls. It never takes entries back by itself."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, command: bytes, position: int, term: int) -> None:
        self._journal.append(Entry(bytes(command), position, term))

    def clear(self) -> NoReturn:
        raise BrokenLog("pysyncobj wants to clear the log")

    def deleteEntriesFrom(self, place: int) -> NoReturn:  # noqa: N802 (its name)
        raise BrokenLog(f"pysyncobj wants to cut the log from place {place}")

    def deleteEntriesTo(self, place: int) -> NoReturn:  # noqa: N802 (its name)
        raise BrokenLog(f"pysyncobj wants to cut the log to place {place}")

    def __getitem__(self, place: Any) -> Any:
        return self._journal.entries[place]

    def __len__(self) -> int:
        return len(self._journal.entries)

    def _destroy(self) -> None:
        """The journal is closed by who opened it."""

    def setRaftCommitIndex(self, index: int) -> None:  # noqa: N802 (its name)
        self._journal.set_commit(index)

    def getRaftCommitIndex(self) -> int:  # noqa: N802 (its name)
        return self._journal.facts.commit

    def setCurrentTerm(self, term: int, voted: str | None) -> None:  # noqa: N802 (its name)
        self._journal.set_term(term, voted or "")

    def getCurrentTerm(self) -> int:  # noqa: N802 (its name)
        return self._journal.facts.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 (its name)
        return self._journal.facts.voted or None

    def onOneSecondTimer(self) -> None:  # noqa: N802 (its name)
        """Nothing is put off to a timer."""


class Silence:
    """In place of pysyncobj's poller: there is nothing to poll."""

    def subscribe(self, *_: object) -> None: ...

    def unsubscribe(self, *_: object) -> None: ...

    def poll(self, _: float) -> None: ...


class Mouth(Transport):  # type: ignore[misc]  # pysyncobj has no types
    """What pysyncobj wants to send. Of all its messages only two are left to it."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__(None, None, None)
        self._hooks = hooks

    def send(self, node: Any, message: dict[str, Any]) -> bool:
        match message["type"]:
            case "request_vote":
                self._hooks.ask(
                    node.id, message["term"], message["last_log_index"], message["last_log_term"]
                )
            case "response_vote":
                self._hooks.grant(node.id, message["term"])
            case kind:
                raise BrokenLog(f"pysyncobj wants to send a message of its own: {kind}")
        return True


def _mono() -> float:
    return Instant.mono


check_upstream()
syncobj.createJournal = lambda given: given
syncobj.createPoller = lambda _: Silence()
syncobj.monotonicTime = _mono
