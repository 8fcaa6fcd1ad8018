"""The journal: what it hands to the store, and what it refuses to do to a log."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from dnslb.election.raft.journal import BrokenLog, Journal
from dnslb.election.raft.log import (
    FIRST,
    Entry,
    Facts,
    Snapshot,
    bootstrap,
    change_command,
    regular,
)
from dnslb.election.raft.membership import Change, Configuration, Member
from dnslb.election.raft.store import _incoherence
from dnslb.errors import InvalidValue, StoreError
from tests.election.raft.memory_store import MemoryStore

A = Member("a", "localhost:1", "voter", "aa")
B = Member("b", "localhost:2", "voter", "bb")
ONE = Configuration("cc", 7, (A,))
TWO = ONE.with_member(B)


def entry(index: int, term: int = 1) -> Entry:
    return Entry(regular(b"%d" % index, 1), index, term)


def journal(upto: int = 5, commit: int = 3) -> tuple[Journal, MemoryStore]:
    store = MemoryStore()
    made = Journal(store)
    made.set_term(1, "a")
    made.append(bootstrap(ONE), *(entry(index) for index in range(3, upto + 1)))
    made.set_commit(commit)
    made.sync()
    return made, store


def test_a_first_journal_begins_with_the_entry_of_all_logs() -> None:
    store = MemoryStore()
    made = Journal(store)
    assert (made.first, made.last, made.last_term) == (1, 1, 0)
    made.sync()
    assert store.durable.entries == (FIRST,)


def test_only_what_changed_is_written() -> None:
    made, store = journal()
    made.append(entry(6))
    made.sync()
    assert store.batches[-1].entries == (entry(6),)
    assert store.batches[-1].facts is None
    made.sync()
    assert len(store.batches) == 2


def test_a_commit_index_waits_for_the_next_batch() -> None:
    made, store = journal()
    made.set_commit(5)
    made.sync()
    assert len(store.batches) == 1
    made.note_lease(0.4)
    made.sync()
    assert store.durable.facts == Facts(1, "a", 5, 0.4, "cc")


def test_entries_that_are_only_taken_back_are_written_too() -> None:
    made, store = journal()
    made.cut_from(4)
    made.sync()
    assert store.durable.entries[-1].position == 3


def test_any_sequence_is_read_back_as_it_was() -> None:
    luck = random.Random(2)
    for _ in range(60):
        made, store = journal(12, 4)
        for _ in range(30):
            draw = luck.random()
            if draw < 0.5:
                made.append(entry(made.last + 1, made.last_term + luck.randrange(2)))
            elif draw < 0.65 and made.last > made.facts.commit:
                made.cut_from(luck.randrange(made.facts.commit + 1, made.last + 1))
            elif draw < 0.75:
                made.set_commit(luck.randrange(made.facts.commit, made.last + 1))
            elif draw < 0.8:
                at = made.facts.commit
                term = made.term_at(at)
                assert term is not None
                place, configuration = made.configuration_at(at)
                made.compact(Snapshot(at, term, configuration, place, b"s"), keep=luck.randrange(4))
            elif draw < 0.85:
                at = made.facts.commit + luck.randrange(1, 9)
                term = made.term_at(at) or made.last_term + 1
                made.install(Snapshot(at, term, ONE, 2, b"i"))
            made.set_term(max(made.facts.term, made.last_term), made.facts.voted)
            if luck.random() < 0.5:
                made.sync()
                again = Journal(store)
                assert again.entries == made.entries
                assert again.facts.commit <= made.facts.commit
                assert replace(again.facts, commit=made.facts.commit) == made.facts
                assert again.configuration == made.configuration
                assert again.configuration_index == made.configuration_index
                assert _incoherence(store.durable) is None


# ------------------------------------------------------------------------------ the laws of Raft


def test_a_gap_an_older_term_and_a_committed_entry_taken_back_are_refused() -> None:
    made, _ = journal()
    with pytest.raises(BrokenLog, match="cannot follow"):
        made.append(entry(7))
    with pytest.raises(BrokenLog, match="term 0"):
        made.append(entry(6, 0))
    with pytest.raises(BrokenLog, match="3 is committed"):
        made.cut_from(3)
    made.cut_from(4)


def test_a_vote_is_given_once_and_terms_only_rise() -> None:
    made, _ = journal()
    with pytest.raises(BrokenLog, match="voted for a and b"):
        made.set_term(1, "b")
    with pytest.raises(BrokenLog, match="voted for a and "):
        made.set_term(1, "")
    with pytest.raises(BrokenLog, match="term 0 after"):
        made.set_term(0, "")
    made.set_term(2, "")
    made.set_term(2, "b")


def test_a_commit_index_neither_falls_nor_passes_the_log() -> None:
    made, _ = journal()
    for index in (2, 6):
        with pytest.raises(BrokenLog, match="commit index"):
            made.set_commit(index)


def test_a_longer_lease_is_remembered_a_shorter_one_is_not() -> None:
    made, store = journal()
    for lease_s in (0.4, 1.0, 0.4):
        made.note_lease(lease_s)
    made.sync()
    assert store.durable.facts.largest_lease_s == 1.0


# ----------------------------------------------------------------------------------- members


def test_the_newest_configuration_counts_committed_or_not() -> None:
    made, store = journal()
    made.append(Entry(change_command(Change(ONE, TWO)), 6, 1))
    assert (made.configuration, made.configuration_index) == (TWO, 6)
    assert made.configuration_at(5) == (2, ONE)
    made.sync()
    assert Journal(store).configuration == TWO
    made.cut_from(6)
    assert (made.configuration, made.configuration_index) == (ONE, 2)


def test_a_directory_belongs_to_one_cluster_for_good() -> None:
    made, store = journal()
    assert store.durable.facts.cluster_id == "cc"
    other = Configuration("dd", 7, (A,))
    with pytest.raises(BrokenLog, match="belongs to cluster cc"):
        made.append(Entry(change_command(Change(ONE, other)), 6, 1))
    made, _ = journal()
    with pytest.raises(BrokenLog, match="belongs to cluster cc"):
        made.install(Snapshot(9, 2, other, 2, b""))


# ---------------------------------------------------------------------------------- snapshots


def test_a_snapshot_and_the_cut_that_it_stands_for_are_one_batch() -> None:
    made, store = journal(9, 8)
    made.compact(Snapshot(8, 1, ONE, 2, b"state"), keep=2)
    made.sync()
    [batch] = store.batches[1:]
    assert (batch.first, batch.snapshot) == (6, Snapshot(8, 1, ONE, 2, b"state"))
    assert [one.position for one in store.durable.entries] == [6, 7, 8, 9]
    assert made.configuration == ONE


def test_a_snapshot_of_what_is_not_committed_here_is_refused() -> None:
    made, _ = journal(9, 5)
    for index, term in ((6, 1), (5, 2)):
        with pytest.raises(BrokenLog, match="not committed"):
            made.compact(Snapshot(index, term, ONE, 2, b""), keep=0)


def test_an_installed_snapshot_replaces_what_contradicts_it() -> None:
    made, store = journal(9, 5)
    made.set_term(2, "")
    made.install(Snapshot(8, 2, TWO, 7, b"theirs"))
    made.sync()
    assert [(one.position, one.term) for one in store.durable.entries] == [(8, 2)]
    assert (made.configuration, made.configuration_index) == (TWO, 7)
    assert made.facts.commit == 8


def test_an_installed_snapshot_keeps_what_follows_it() -> None:
    made, store = journal(9, 5)
    made.install(Snapshot(8, 1, TWO, 7, b"theirs"))
    made.sync()
    assert [one.position for one in store.durable.entries] == [8, 9]


def test_an_old_snapshot_is_refused() -> None:
    made, _ = journal(9, 5)
    with pytest.raises(BrokenLog, match="old snapshot"):
        made.install(Snapshot(5, 1, ONE, 2, b""))


def test_reading_is_bounded_but_gives_one_entry_at_least() -> None:
    made, _ = journal(9)
    size = len(entry(4).command)
    assert len(made.read_from(4, bytes_max=0, count_max=9)) == 1
    assert len(made.read_from(4, bytes_max=3 * size, count_max=9)) == 3
    assert len(made.read_from(4, bytes_max=10**6, count_max=2)) == 2
    assert made.read_from(10, bytes_max=10**6, count_max=2) == ()


def test_after_a_failed_sync_the_store_takes_nothing() -> None:
    made, store = journal()
    store.full = True
    made.append(entry(6))
    with pytest.raises(StoreError):
        made.sync()
    store.full = False
    with pytest.raises(StoreError):
        made.sync()


def test_a_mangled_change_of_members_is_an_error_not_a_configuration() -> None:
    made, _ = journal()
    with pytest.raises(InvalidValue):
        made.append(Entry(b"\x02garbage", 6, 1))
