"""Which rows each pane has, and in what order: the picture, a filter and a sort → keys.

Pure. A filter is words that must all occur in a row's text, in any order and case.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

from dnslbctl.pages import FORCED
from dnslbctl.viewmodel import OPEN, Balancer, Picture, Row

PANES = ("now", "endpoints", "members", "changes", "events")
SORTS = ("problems first", "by name", "newest first")
_ENDED = ("published", "superseded")


def matches(words: Sequence[str], text: str) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)


def words_of(text: str) -> tuple[str, ...]:
    return tuple(text.casefold().split())


def now_keys(picture: Picture, words: Sequence[str]) -> list[Hashable]:
    """The daemon has put the worst first."""
    return [
        (row["kind"], row["subject"])
        for row in picture.status["attention"]
        if not words
        or matches(words, f"{row['severity']} {row['kind']} {row['subject']} {row['sentence']}")
    ]


def endpoint_keys(
    picture: Picture, words: Sequence[str], sort: str, folded: Collection[str]
) -> list[Hashable]:
    """Load balancers' names, each followed by the keys of its endpoints."""
    keys: list[Hashable] = []
    balancers: Iterable[Balancer] = picture.balancers(by_name=sort == "by name")
    if sort == "newest first":
        balancers = sorted(balancers, key=_newest, reverse=True)
    for balancer in balancers:
        if not words:
            keys.append(balancer.name)
            if balancer.name not in folded:
                keys += balancer.ordered
            continue
        found = [
            key
            for key in balancer.ordered
            if matches(words, _text(balancer, balancer.rows[balancer.places[key]]))
        ]
        if found:
            keys.append(balancer.name)
            keys += found
    return keys


def _newest(balancer: Balancer) -> str:
    return max((row.since for row in balancer.rows), default="")


def _text(balancer: Balancer, row: Row) -> str:
    order = "" if row.override is None else FORCED[row.override["kind"]]
    where = "in-dns" if row.published else "not-in-dns"
    return f"{balancer.name} {row.endpoint} {row.address} {row.state} {order} {where} {row.reason}"


def member_keys(picture: Picture, words: Sequence[str]) -> list[Hashable]:
    return [
        m["id"]
        for m in picture.members
        if not words or matches(words, f"{m['id']} {m['role']} {m['suffrage']} {m['address']}")
    ]


def change_keys(picture: Picture, words: Sequence[str]) -> list[Hashable]:
    """What waits for somebody first, then what is under way, then the newest of what is done."""
    order = {state: place for place, state in enumerate((*OPEN, *_ENDED))}
    newest = sorted(picture.changes, key=lambda c: c["created_at"], reverse=True)
    return [
        c["id"]
        for c in sorted(newest, key=lambda c: min(order[c["state"]], len(OPEN)))
        if not words
        or matches(words, f"{c['name']} {c['type']} {c['state']} {c['before']} {c['after']}"
                          f" {c['reason']} {c['id']}")
    ]  # fmt: skip


def event_keys(picture: Picture, words: Sequence[str]) -> list[Hashable]:
    """The newest first."""
    return [
        event["seq"]
        for event in reversed(picture.events)
        if not words or matches(words, f"{event.get('kind')} {event.get('message')}")
    ]


KEYS: dict[str, Callable[[Picture, Sequence[str]], list[Hashable]]] = {
    "now": now_keys,
    "members": member_keys,
    "changes": change_keys,
    "events": event_keys,
}
