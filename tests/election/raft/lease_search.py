"""Every history of three voters with little time, breadth first, around real lease books.

Not drift and not changes of members (`lease_model` draws those): clocks run alike, time comes in
ticks, any voter may win at any time, and a message stays deliverable for ever, which covers
delay, reordering, duplication and loss.

Law: a state is a value; what cannot matter any more is cut off, so that equal futures are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from dnslb.election.raft.lease import LeaseBook, Release

LEASE_S = 2.0
VOTERS = ("a", "b", "c")


class Node(NamedTuple):
    term: int
    voted: str
    votes: frozenset[str]
    book: LeaseBook


class Note(NamedTuple):
    """A message; ``value_s`` is what a vote or a release carries."""

    kind: str
    source: str
    target: str
    term: int
    number: int = 0
    value_s: float = 0.0
    sent_at: int = 0


class World(NamedTuple):
    nodes: tuple[Node, ...]
    notes: frozenset[Note]
    at: int
    crashes: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What one step does to a book; an ablation replaces one of them."""

    start: Callable[[str, int], LeaseBook] = lambda one, at: LeaseBook.started(
        one, at=at, lease_s=LEASE_S, largest_s=LEASE_S
    )
    stand: Callable[[LeaseBook, int, int, Release | None], LeaseBook] = (
        lambda book, term, at, release: book.stand(term, at=at, release=release)
    )
    vote: Callable[[LeaseBook, Note, int], LeaseBook] = lambda book, note, at: book.vote(
        note.term, left_s=note.value_s, at=at
    )
    answer: Callable[[LeaseBook, Note, int], LeaseBook] = lambda book, note, at: book.acknowledge(
        note.source, term=note.term, number=note.number
    )
    promise: Callable[[LeaseBook, int], LeaseBook] = lambda book, at: book.promise(
        at=at, lease_s=LEASE_S
    )
    release: Callable[[LeaseBook, int], tuple[LeaseBook, Release]] = lambda book, at: book.release(
        at=at
    )
    releases: bool = True
    late_release: bool = False
    closing: Callable[[LeaseBook], LeaseBook] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    states: int
    depth: int
    exhausted: bool
    violation: tuple[str, ...] | None


def beginning(crashes: int) -> World:
    """``a`` was elected by ``b``, which heard its first round; ``a`` does not know that yet. All
    have been running for long: no promise is owed from a start."""
    a, b, c = (LeaseBook(one, LEASE_S, promised_until=-math.inf) for one in VOTERS)
    leader = a.stand(1, at=0).vote(1, left_s=0.0, at=0).lead().begin_round(at=0)
    nodes = (
        Node(1, "a", frozenset("ab"), leader),
        Node(1, "a", frozenset(), b.promise(at=0, lease_s=LEASE_S)),
        Node(0, "", frozenset(), c),
    )
    return World(nodes, frozenset({Note("answer", "b", "a", 1, 1)}), 0, crashes)


def search(
    rules: Rules, *, states_max: int, ticks: int = 3, terms: int = 3, crashes: int = 0
) -> Found:
    """Stops at the first violation, with the way to it."""
    first = beginning(crashes)
    ways: dict[World, tuple[World, str] | None] = {first: None}
    edge, depth = [first], 0
    while edge:
        depth += 1
        beyond = []
        for world in edge:
            for label, made in _steps(rules, world, ticks, terms):
                reached = _cut(made)
                if reached in ways:
                    continue
                ways[reached] = (world, label)
                if _two_writers(reached):
                    return Found(len(ways), depth, False, _way(ways, reached))
                if len(ways) >= states_max:
                    return Found(len(ways), depth, False, None)
                beyond.append(reached)
        edge = beyond
    return Found(len(ways), depth, True, None)


def _way(ways: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    labels = []
    while (step := ways[world]) is not None:
        world, label = step
        labels.append(label)
    return tuple(reversed(labels))


def _two_writers(world: World) -> bool:
    spans = []
    for node in world.nodes:
        span = node.book.span(VOTERS)
        if span is not None:
            begins = max(span.begins_at, world.at)
            if begins < span.ends_at:
                spans.append((begins, span.ends_at))
    return any(max(a[0], b[0]) < min(a[1], b[1]) for i, a in enumerate(spans) for b in spans[:i])


def _steps(rules: Rules, world: World, ticks: int, terms: int) -> Iterator[tuple[str, World]]:
    if world.at < ticks:
        yield "tick", world._replace(at=world.at + 1)
    for i, node in enumerate(world.nodes):
        yield from _own_steps(rules, world, i, node, terms)
    for note in world.notes:
        yield from _delivery(rules, world, note, terms)


def _put(world: World, i: int, node: Node, *notes: Note) -> World:
    nodes = (*world.nodes[:i], node, *world.nodes[i + 1 :])
    return world._replace(nodes=nodes, notes=world.notes.union(notes))


def _own_steps(
    rules: Rules, world: World, i: int, node: Node, terms: int
) -> Iterator[tuple[str, World]]:
    me, at, book = VOTERS[i], world.at, node.book
    if node.term < terms and not book.leading:
        yield _candidacy(rules, world, i, node, None)
    if book.leading:
        if not any(sent.sent_at == at for sent in book.rounds):
            begun = book.begin_round(at=at)
            note = Note("round", me, "", node.term, begun.newest_round, sent_at=at)
            yield (
                f"{me} round {begun.newest_round}",
                _put(world, i, node._replace(book=begun), note),
            )
        if rules.releases and not book.released and node.term < terms:
            released, release = rules.release(book, at)
            for other in VOTERS:
                if other != me:
                    note = Note("release", me, other, node.term, value_s=release.wait_s)
                    given = _put(world, i, node._replace(book=released), note)
                    yield f"{me} releases to {other}", given
    if world.crashes:
        restarted = node._replace(votes=frozenset(), book=rules.start(me, at))
        made = _put(world, i, restarted)
        yield f"{me} restarts", made._replace(crashes=world.crashes - 1)
    if rules.closing is not None and book.promised_until > at:
        yield f"{me} sees a closed stream", _put(world, i, node._replace(book=rules.closing(book)))


def _candidacy(
    rules: Rules, world: World, i: int, node: Node, release: Release | None
) -> tuple[str, World]:
    me, term = VOTERS[i], node.term + 1
    book = rules.stand(node.book, term, world.at, release)
    made = Node(term, me, frozenset({me}), book)
    return f"{me} stands in {term}", _put(world, i, made, Note("ask", me, "", term))


def _delivery(rules: Rules, world: World, note: Note, terms: int) -> Iterator[tuple[str, World]]:
    at = world.at
    for i, node in enumerate(world.nodes):
        me = VOTERS[i]
        if me == note.source or note.target not in ("", me):
            continue
        book = node.book
        match note.kind:
            case "ask" if (note.term, "") > (node.term, node.voted) and (
                note.term > node.term or not node.voted
            ):
                answer = Note("vote", me, note.source, note.term, value_s=book.promise_left_s(at))
                made = Node(note.term, note.source, frozenset(), book.follow())
                yield f"{me} votes for {note.source} in {note.term}", _put(world, i, made, answer)
            case "vote" if book.standing and node.term == note.term:
                if note.source not in node.votes:
                    read = rules.vote(book, note, at).lead()
                    voted = node._replace(book=read, votes=node.votes | {note.source})
                    yield f"{me} wins {note.term} by {note.source}", _put(world, i, voted)
            case "round" if note.term >= node.term and not book.leading:
                promised = rules.promise(book.follow(), at)
                voted_for = node.voted if note.term == node.term else ""
                made = Node(note.term, voted_for, frozenset(), promised)
                answer = note._replace(kind="answer", source=me, target=note.source)
                yield f"{me} hears {note.source} in {note.term}", _put(world, i, made, answer)
            case "round" if note.term > node.term:
                made = Node(note.term, "", frozenset(), rules.promise(book.follow(), at))
                answer = note._replace(kind="answer", source=me, target=note.source)
                yield f"{me} yields to {note.source}", _put(world, i, made, answer)
            case "answer" if book.leading and node.term == note.term:
                heard = node._replace(book=rules.answer(book, note, at))
                yield f"{me} is heard by {note.source}", _put(world, i, heard)
            case "release" if not book.leading and node.term < terms:
                if note.term >= node.term or rules.late_release:
                    moved = node._replace(term=max(node.term, note.term))
                    term = moved.term if rules.late_release else note.term
                    yield _candidacy(rules, world, i, moved, Release(term, note.value_s))


def _cut(world: World) -> World:
    """Forgets what has no effect any more: past promises, dead rounds, hopeless messages."""
    at = world.at
    nodes = []
    for node in world.nodes:
        book = node.book
        rounds = tuple(sent for sent in book.rounds if sent.sent_at + sent.lease_s > at)
        book = replace(
            book,
            promised_until=book.promised_until if book.promised_until > at else -math.inf,
            waits_until=book.waits_until if book.waits_until > at else -math.inf,
            rounds=rounds,
        )
        nodes.append(node._replace(book=book))
    made = {VOTERS[i]: node for i, node in enumerate(nodes)}
    notes = frozenset(note for note in world.notes if _matters(note, made, at))
    return World(tuple(nodes), notes, at, world.crashes)


def _matters(note: Note, nodes: dict[str, Node], at: int) -> bool:
    match note.kind:
        case "vote":
            node = nodes[note.target]
            return node.term < note.term or (node.term == note.term and node.book.standing)
        case "round":
            leader = nodes[note.source]
            return leader.term == note.term and note.sent_at + LEASE_S > at
        case "answer":
            node = nodes[note.target]
            fresh = note.sent_at + LEASE_S > at and note.source not in _heard(node, note.number)
            return node.term == note.term and node.book.leading and fresh
        case "ask":
            return any(
                n.term < note.term or not n.voted for o, n in nodes.items() if o != note.source
            )
    return True


def _heard(node: Node, number: int) -> frozenset[str]:
    return frozenset(one for one, newest in node.book.acknowledged if newest >= number)
