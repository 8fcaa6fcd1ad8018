"""Why a name is published as it is, now or at an earlier moment, as one `messages.Why`.

Pure. It tells what was decided, from the decisions and changes that are kept; it never decides
anew what should have been.

Law: of the past it says only what is still known, and says where knowledge ends.
"""

from __future__ import annotations

from dnslb.api import messages
from dnslb.api.codec import Malformed, from_time, to_second_of_day, to_time
from dnslb.control.views import (
    change_message,
    decision_message,
    endpoint_message,
    is_shown,
    pause_message,
)
from dnslb.control.votes import OwnAgent, Votes
from dnslb.model.instant import Now
from dnslb.model.status import ChangeView, LoadBalancerView, Status

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
CHANGES_MAX = 20


class NotKept(LookupError):
    """The moment lies before everything that is still in memory."""


def why_message(
    status: Status, view: LoadBalancerView, now: Now, timed: OwnAgent | None = None
) -> messages.Why:
    """Why ``view`` is as it is now, with every vote."""
    votes = Votes(status, now, timed)
    own = [change for change in status.changes if change.key.name == view.name]
    return {
        "name": view.name,
        "published": None if view.published is None else list(view.published),
        "desired": list(view.desired),
        "rule": view.rule,
        "endpoints": [endpoint_message(view.name, e, votes.of(e)) for e in view.endpoints],
        "term": None if status.lease is None else status.lease.term,
        "plan_id": _newest_plan(own),
        "sentence": view.sentence,
        "at": to_time(now.wall),
        "zone": view.zone,
        "state": view.state,
        "frozen": view.frozen,
        "gate": status.gate,
        "pauses": [
            pause_message(pause)
            for pause in status.operator.pauses.values()
            if pause.scope in ("", view.name) or pause.scope == view.zone
        ],
        "changes": [change_message(c) for c in own if is_shown(c, now)][:CHANGES_MAX],
        "history": [decision_message(decision) for decision in view.history],
    }


def why_message_at(
    status: Status, view: LoadBalancerView, at_wall: float, now: Now, timed: OwnAgent | None = None
) -> messages.Why:
    """Why it was as it was at ``at_wall``; raises `NotKept`."""
    if at_wall >= now.wall:
        return why_message(status, view, now, timed)
    past = [decision for decision in view.history if decision.at_wall <= at_wall]
    if not past:
        oldest = view.history[0].at_wall if view.history else None
        known = f"the oldest is of {to_time(oldest)}" if oldest is not None else "none is"
        raise NotKept(
            f"no decision about {view.name} is kept from before {to_time(at_wall)}; {known}"
        )
    decision = past[-1]
    own = [change for change in status.changes if change.key.name == view.name]
    before = [change for change in own if (_written(change) or now.wall) <= at_wall]
    return {
        **why_message(status, view, now),
        "published": _published_at(view, own, at_wall),
        "desired": list(decision.desired),
        "rule": decision.rule,
        "endpoints": [],
        "term": None,
        "plan_id": _newest_plan(before),
        "sentence": decision.sentence,
        "at": to_time(at_wall),
        "state": "unknown",
        "frozen": None,
        "gate": None,
        "pauses": [],
        "changes": [change_message(c) for c in before][:CHANGES_MAX],
        "history": [decision_message(one) for one in past[:-1]],
    }


def parse_at(text: str, now: Now) -> float:
    """The wall instant of an RFC 3339 time, of ``03:12`` (UTC, the last time it was that late)
    or of ``15m`` ago; raises `Malformed`."""
    try:
        if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdecimal():
            return now.wall - int(text[:-1][:9]) * _UNITS[text[-1]]
        if len(text) <= 12 and text[2:3] == ":":
            at = now.wall - now.wall % 86400 + to_second_of_day(text.removesuffix("Z"))
            return at if at <= now.wall else at - 86400
        return from_time(text)
    except ValueError:
        raise Malformed(
            f"{text[:40]!r} is no time such as 2026-01-31T03:12:00Z, 03:12 (UTC) or 15m (ago)"
        ) from None


def _written(change: ChangeView) -> float | None:
    return change.applied_wall or change.published_wall


def _newest_plan(changes: list[ChangeView]) -> str | None:
    planned = [change for change in changes if change.plan_id is not None]
    return max(planned, key=lambda change: change.created_wall).plan_id if planned else None


def _published_at(
    view: LoadBalancerView, changes: list[ChangeView], at_wall: float
) -> list[str] | None:
    """What stood in DNS then: what is there now, with every later write undone."""
    if view.published is None:
        return None
    published = list(view.published)
    later = [change for change in changes if (_written(change) or 0.0) > at_wall]
    for change in sorted(later, key=lambda change: _written(change) or 0.0, reverse=True):
        other_type = [a for a in published if (":" in a) != (change.key.rtype == "AAAA")]
        published = sorted([*other_type, *change.before])
    return published
