"""The replicated state: commands there and back, all or nothing, and snapshots."""

from __future__ import annotations

import msgspec
import pytest

from dnslb.election.raft.machine import (
    DecisionMachine,
    TakeMarkers,
    from_bytes,
    language_of,
    to_bytes,
)
from dnslb.errors import InvalidValue, StoreError
from dnslb.model.checkpoint import (
    Flaps,
    GuardMemory,
    Held,
    Owned,
    Precedent,
    PutInForce,
    RecordDecisions,
    StateChange,
    StoredState,
    Window,
)
from dnslb.model.operator import (
    Approval,
    Approve,
    ClearOverrides,
    ClearPauses,
    Drop,
    Override,
    Pause,
    RequestDeletion,
    SetOverrides,
    SetPause,
    Settle,
)
from dnslb.model.rrset import RRsetKey

KEY = RRsetKey("www.example.org", "A")
APPROVAL = Approval("h1", "eve", 5.0)
RECORD = RecordDecisions(
    {KEY: Owned("example.org", 60, ("192.0.2.1",), ()), RRsetKey("old.example.org", "AAAA"): None},
    GuardMemory(
        Window(1.5, {"www.example.org": 2}, frozenset({("www.example.org", "192.0.2.2")})),
        {KEY: Held(3, 2.0, frozenset({"192.0.2.3"}))},
        {("www.example.org", "192.0.2.1"): Flaps(2, None, 9.0)},
        7,
    ),
)
CHANGES: tuple[StateChange, ...] = (
    RECORD,
    SetOverrides((Override("www.example.org", "tcp://192.0.2.1:80", "drain", "r", "eve", 1.0),)),
    ClearOverrides((("www.example.org", "tcp://192.0.2.2:80"),)),
    SetPause(Pause("", "r", "eve", 2.0, 9.0)),
    ClearPauses(("example.net",)),
    Approve((APPROVAL,)),
    Drop((Approval("h2", "eve", 5.0),)),
    Settle(("h3",), ("x.example.org",)),
    RequestDeletion("y.example.org", APPROVAL),
)


def test_every_change_is_applied_as_it_was_said() -> None:
    data = to_bytes((*CHANGES, TakeMarkers(("example.org",))), by="n1", wall=77.0)
    assert from_bytes(data) == ("n1", 77.0, (*CHANGES, TakeMarkers(("example.org",))))
    machine = DecisionMachine()
    state = StoredState()
    for change in CHANGES:
        state = state.apply(change)
    assert machine.apply(3, data) == state == machine.state
    assert machine.marked == {"example.org"}
    assert (machine.by, machine.version) == ("n1", 1)
    assert (machine.composed, machine.composed_wall) == (1, 77.0)


def test_the_guards_memory_is_as_old_as_its_newest_record() -> None:
    machine = DecisionMachine()
    machine.apply(3, to_bytes((RECORD,), by="n1", wall=77.0))
    machine.apply(4, to_bytes((SetPause(Pause("", "r", "eve", 2.0)),), by="n2", wall=99.0))
    assert (machine.by, machine.version) == ("n2", 2)
    assert (machine.composed, machine.composed_wall) == (1, 77.0)


def test_a_snapshot_holds_all_of_it() -> None:
    machine, other = DecisionMachine(), DecisionMachine()
    machine.apply(3, to_bytes((*CHANGES, TakeMarkers(("b", "a"))), by="n1", wall=77.0))
    other.load(machine.save())
    assert (other.state, other.marked) == (machine.state, machine.marked)
    assert (other.composed_wall, other.by) == (77.0, "")
    assert other.save() == machine.save()
    with pytest.raises(StoreError, match="snapshot of the replicated state"):
        other.load(b"nothing of the kind")


def test_what_was_said_once_needs_no_announcement_any_more() -> None:
    """A snapshot remembers it; one of before there were languages knows the first."""
    machine, other = DecisionMachine(), DecisionMachine()
    machine.apply(3, to_bytes(CHANGES, by="n1", wall=1.0))
    assert (language_of(CHANGES), machine.language) == (1, 1)
    newer = (PutInForce(Precedent("d", {})),)
    assert language_of((*CHANGES, *newer)) == 2
    machine.apply(4, to_bytes(newer, by="n1", wall=1.0))
    machine.apply(5, to_bytes(CHANGES, by="n1", wall=1.0))
    other.load(machine.save())
    assert other.language == 2
    saved, marked, _ = msgspec.msgpack.decode(machine.save())
    other.load(msgspec.msgpack.encode([saved, marked]))
    assert other.language == 1


def test_what_cannot_be_read_changes_nothing() -> None:
    machine = DecisionMachine()
    good = to_bytes(CHANGES, by="n1", wall=1.0)
    for bad in (b"", b"\x00", good[:-1], good + b"\x00", good.replace(b"settle", b"sattle")):
        with pytest.raises(InvalidValue, match="no command of version 2"):
            machine.apply(3, bad)
    assert (machine.state, machine.version) == (StoredState(), 0)
