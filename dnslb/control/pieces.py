"""Big answers as JSON in pieces, each small enough that the event loop turns in between.

Pure: iterators of bytes over one immutable `Status`. What is small is encoded whole with
`to_json`.

Law: a piece takes a few milliseconds however many load balancers, endpoints and agents there
are; nobody ever holds a whole big answer in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import msgspec

from dnslb.api import messages
from dnslb.api.codec import to_time
from dnslb.control.views import endpoint_message, override_message
from dnslb.control.votes import OwnAgent, Votes
from dnslb.model.instant import Now
from dnslb.model.status import EndpointView, LoadBalancerView, Status

VOTES_PER_PIECE = 600

_encoder = msgspec.json.Encoder(enc_hook=str)
_patient = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":"))


def to_json(value: object) -> bytes:
    """``value`` as compact JSON; what JSON has no word for becomes its text."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, which only the slow encoder stands
        return _patient.encode(value).encode("utf-8", "replace")


def per_piece(status: Status) -> int:
    """How many endpoints."""
    return max(VOTES_PER_PIECE // (len(status.agents) + 1), 1)


def endpoint_pieces(
    status: Status,
    now: Now,
    own: OwnAgent | None = None,
    *,
    lb: str | None = None,
    called: str | None = None,
) -> Iterator[bytes]:
    """The list of `messages.Endpoint`; only those of load balancer ``lb``, and only those that
    an operator who writes ``called`` means."""
    votes = Votes(status, now, own)
    at_once = per_piece(status)
    lead = b"["
    piece: list[bytes] = []
    for view in status.loadbalancers.values():
        if lb is not None and view.name != lb:
            continue
        for endpoint in view.endpoints:
            if called is None or endpoint.endpoint.is_called(called):
                piece.append(to_json(endpoint_message(view.name, endpoint, votes.of(endpoint))))
            if len(piece) >= at_once:
                yield lead + b",\n".join(piece)
                lead = b",\n"
                piece = []
        if not piece and called is not None:
            yield b""  # nothing found so far: a chance for others nevertheless
    yield (lead if piece or lead == b"[" else b"") + b",\n".join(piece) + b"]\n"


def list_pieces(rows: Iterable[object], per_piece: int = 200) -> Iterator[bytes]:
    """A list of anything small, row by row."""
    lead = b"["
    piece: list[bytes] = []
    for row in rows:
        piece.append(to_json(row))
        if len(piece) >= per_piece:
            yield lead + b",\n".join(piece)
            lead, piece = b",\n", []
    yield (lead if piece or lead == b"[" else b"") + b",\n".join(piece) + b"]\n"


# ------------------------------------------------------------------------------ the watch stream


def watch_row(view: EndpointView, votes: Votes) -> messages.WatchRow:
    """The fields of `messages.WATCH_ROW`."""
    return [
        view.endpoint.label,
        view.endpoint.address,
        view.verdict.state,
        view.counts_as,
        view.published,
        to_time(view.since_wall),
        votes.letters(view),
        override_message(view),
        view.endpoint.priority,
        view.flaps,
        view.reason,
    ]


def watch_head(view: LoadBalancerView) -> messages.WatchLoadBalancer:
    """A load balancer without its rows."""
    return {
        "zone": view.zone,
        "state": view.state,
        "published": None if view.published is None else list(view.published),
        "desired": list(view.desired),
        "rule": view.rule,
        "sentence": view.sentence,
        "frozen": view.frozen,
        "ttl": view.ttl,
        "min_published": view.min_published,
    }


def watch_lb_pieces(status: Status, votes: Votes) -> Iterator[bytes]:
    """``{"name":{...,"rows":[...]},...}`` over all load balancers."""
    at_once = per_piece(status)
    piece: list[bytes] = [b"{"]
    rows = 0
    for number, view in enumerate(status.loadbalancers.values()):
        head = to_json(watch_head(view))[:-1] + b',"rows":['
        piece.append((b"," if number else b"") + to_json(view.name) + b":" + head)
        for index, endpoint in enumerate(view.endpoints):
            piece.append((b"," if index else b"") + to_json(watch_row(endpoint, votes)))
            rows += 1
            if rows >= at_once:
                yield b"".join(piece)
                piece, rows = [], 0
        piece.append(b"]}")
    piece.append(b"}")
    yield b"".join(piece)
