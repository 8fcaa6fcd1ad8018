"""Every short history of three voters: none has two writers, and each rule left out has one."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from dnslb.election.raft.lease import LeaseBook, Release
from tests.election.raft.lease_search import LEASE_S, VOTERS, Note, Rules, search


def counts_from_the_answer(book: LeaseBook, note: Note, at: int) -> LeaseBook:
    heard = book.acknowledge(note.source, term=note.term, number=note.number)
    newest = heard.confirmed_round(VOTERS)
    moved = (replace(r, sent_at=at) if r.number == newest else r for r in heard.rounds)
    return replace(heard, rounds=tuple(moved))


def waits_for_others_only(
    book: LeaseBook, term: int, at: int, release: Release | None
) -> LeaseBook:
    stood = book.stand(term, at=at, release=release)
    return stood if stood.inherits else replace(stood, waits_until=-math.inf)


def waits_for_the_last_vote(book: LeaseBook, note: Note, at: int) -> LeaseBook:
    forgetful = book if book.inherits else replace(book, waits_until=-math.inf)
    return forgetful.vote(note.term, left_s=note.value_s, at=at)


def owes_nothing_at_start(member: str, at: int) -> LeaseBook:
    started = LeaseBook.started(member, at=at, lease_s=LEASE_S, largest_s=LEASE_S)
    return replace(started, promised_until=-math.inf)


def clears_its_promise(book: LeaseBook) -> LeaseBook:
    return replace(book, promised_until=-math.inf)


ABLATIONS = {
    "1.2 counts from the answer": Rules(answer=counts_from_the_answer),
    "1.3 promises nothing": Rules(promise=lambda book, at: book, releases=False),
    "1.3 a start owes nothing": Rules(start=owes_nothing_at_start, releases=False),
    "1.4 waits for nobody else": Rules(vote=lambda book, note, at: book),
    "1.4 waits for the others only": Rules(stand=waits_for_others_only),
    "1.4 waits for the last vote": Rules(vote=waits_for_the_last_vote),
    "1.5 writes on after a release": Rules(release=lambda book, at: (book, book.release(at=at)[1])),
    "1.6 a closed stream clears": Rules(closing=clears_its_promise, releases=False),
}


@pytest.mark.parametrize("rule", ABLATIONS)
def test_each_rule_is_needed(rule: str) -> None:
    found = search(ABLATIONS[rule], states_max=30_000, terms=2, crashes=int("start" in rule))
    assert found.violation is not None, f"{found.states} states to depth {found.depth}"


@pytest.mark.parametrize(("releases", "crashes"), [(True, 0), (False, 1)])
def test_no_short_history_has_two_writers(releases: bool, crashes: int) -> None:
    found = search(Rules(releases=releases), states_max=10_000, crashes=crashes)
    assert found.violation is None
    assert found.states == 10_000


@pytest.mark.long
@pytest.mark.parametrize("releases", [True, False])
@pytest.mark.parametrize("crashes", [0, 1])
def test_no_longer_history_has_two_writers(releases: bool, crashes: int) -> None:
    found = search(Rules(releases=releases), states_max=300_000, ticks=4, crashes=crashes)
    assert found.violation is None


@pytest.mark.long
@pytest.mark.parametrize("releases", [True, False])
def test_no_history_at_all_of_two_terms_and_two_ticks(releases: bool) -> None:
    found = search(Rules(releases=releases), states_max=200_000, ticks=2, terms=2)
    assert found.exhausted
    assert found.violation is None
