"""What the JSON gateway of etcd's v3 API is asked and answers; bytes and values, pure.

Not the transport (`etcd_v3`). The messages are those of etcd's api/etcdserverpb/rpc.proto, as
proto3's JSON mapping writes them: bytes in base64, 64-bit numbers as strings, zeros left out.

Law: as in `etcd_codec`: only etcd itself can say that a key is missing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence

import msgspec

from dnslb.errors import SourceError
from dnslb.model.report import bounded_message
from dnslb.sources.etcd_codec import (
    Answer,
    ChangedMeanwhile,
    EtcdRefused,
    Held,
    HistoryGone,
    Reading,
    decoded,
)


class _Head(msgspec.Struct, frozen=True):
    cluster: str = msgspec.field(name="cluster_id", default="")
    revision: int = 0


class _Kv(msgspec.Struct, frozen=True):
    key: bytes
    revision: int = msgspec.field(name="mod_revision")
    value: bytes = b""


class _Range(msgspec.Struct, frozen=True):
    header: _Head = _Head()
    kvs: list[_Kv] = []
    count: int = 0


class _Response(msgspec.Struct, frozen=True):
    range: _Range | None = msgspec.field(name="response_range", default=None)


class _Txn(msgspec.Struct, frozen=True):
    header: _Head = _Head()
    succeeded: bool = False
    responses: list[_Response] = []


class _Token(msgspec.Struct, frozen=True):
    token: str


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    code: int = 0


class _WatchEvent(msgspec.Struct, frozen=True):
    kv: _Kv
    type: str = "PUT"


class WatchNews(msgspec.Struct, frozen=True):
    """One message of a watch. ``compact_revision``: that far, the history is gone."""

    header: _Head = _Head()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: list[_WatchEvent] = []

    def held(self) -> list[Held]:
        """What the events say, oldest first."""
        return [
            Held(
                event.kv.key.decode(errors="replace"),
                None if event.type == "DELETE" else event.kv.value,
                event.kv.revision,
            )
            for event in self.events
        ]


class _Line(msgspec.Struct, frozen=True):
    result: WatchNews | None = None
    error: _Error | None = None


V3_UNAUTHENTICATED, V3_DENIED = 16, 7
_decode_range = msgspec.json.Decoder(_Range, strict=False).decode
_decode_txn = msgspec.json.Decoder(_Txn, strict=False).decode
_decode_line = msgspec.json.Decoder(_Line, strict=False).decode
_decode_error = msgspec.json.Decoder(_Error, strict=False).decode
_decode_token = msgspec.json.Decoder(_Token).decode
_encode = msgspec.json.encode


def _b64(data: bytes | str) -> str:
    return b64encode(data.encode() if isinstance(data, str) else data).decode("ascii")


def v3_range(key: str, *, keys_only: bool = False) -> bytes:
    """``keys_only``: its value is left out."""
    return _encode({"key": _b64(key), "keys_only": keys_only})


def v3_revisions(keys: Sequence[str]) -> bytes:
    """Asks when each key was last changed, without the values."""
    ranges = [{"request_range": {"key": _b64(key), "keys_only": True}} for key in keys]
    return _encode({"success": ranges})


def v3_put_over(held: Held, value: bytes) -> bytes:
    """A write that is done only where ``held`` still stands."""
    compare = {"key": _b64(held.key), "target": "MOD", "result": "EQUAL"}
    return _encode(
        {
            "compare": [
                {**compare, "mod_revision": str(held.index if held.value is not None else 0)}
            ],
            "success": [{"request_put": {"key": _b64(held.key), "value": _b64(value)}}],
        }
    )


def v3_watch(positions: Mapping[str, int]) -> bytes:
    """One watch for each key from its revision on, all in one stream; large news in pieces."""
    return b"\n".join(
        _encode({"create_request": {"key": _b64(key), "start_revision": str(at), "fragment": True}})
        for key, at in positions.items()
    )


def v3_credentials(user: str, password: str) -> bytes:
    return _encode({"name": user, "password": password})


def v3_token(answer: Answer) -> str:
    _check_v3(answer)
    token: str = decoded(_decode_token, answer.body, "an answer of etcd").token
    if not token.isascii() or not token.isprintable() or len(token) > 4096:
        raise SourceError("etcd gave a token that fits into no header")
    return token


def v3_reading(answer: Answer, key: str) -> Reading:
    _check_v3(answer)
    found: _Range = decoded(_decode_range, answer.body, "an answer of etcd")
    _check_head(found.header)
    if not found.kvs:
        if found.count:
            raise SourceError("an answer of etcd counts a key that it does not show")
        return Reading(Held(key, None, 0), found.header.revision, found.header.cluster)
    (kv, *more) = found.kvs
    if more or kv.key != key.encode():
        raise SourceError(f"etcd answers for another key than {key}")
    held = Held(key, kv.value, kv.revision)
    return Reading(held, found.header.revision, found.header.cluster)


def v3_read_revisions(answer: Answer, keys: Sequence[str]) -> dict[str, int]:
    """When each of ``keys`` was last changed, for those that are there."""
    _check_v3(answer)
    found: _Txn = decoded(_decode_txn, answer.body, "an answer of etcd")
    _check_head(found.header)
    if len(found.responses) != len(keys):
        raise SourceError("etcd answers another number of questions than it was asked")
    ranges = [response.range for response in found.responses]
    return {
        key: one.kvs[0].revision
        for key, one in zip(keys, ranges, strict=True)
        if one is not None and one.kvs
    }


def v3_written(answer: Answer) -> int:
    """The revision of a write; raises `ChangedMeanwhile` when it was not done."""
    _check_v3(answer)
    found: _Txn = decoded(_decode_txn, answer.body, "an answer of etcd")
    _check_head(found.header)
    if not found.succeeded:
        raise ChangedMeanwhile("something else stands there by now")
    return found.header.revision


def v3_news(line: bytes) -> WatchNews:
    """One line of a watch's stream; raises what it says otherwise."""
    found: _Line = decoded(_decode_line, line, "a message of etcd's watch")
    if found.error is not None:
        raise EtcdRefused(f"etcd ends the watch: {bounded_message(found.error.message)}")
    news = found.result
    if news is None:
        raise SourceError("a message of etcd's watch has neither result nor error")
    if news.compact_revision:
        raise HistoryGone(f"compacted up to revision {news.compact_revision}")
    if news.canceled:
        reason = bounded_message(news.cancel_reason) or "without a reason"
        unauthorized = "PermissionDenied" in reason or "auth token" in reason
        raise EtcdRefused(f"etcd cancels the watch: {reason}", unauthorized=unauthorized)
    _check_head(news.header)
    return news


def _check_head(head: _Head) -> None:
    if head.revision < 1 or not head.cluster:
        raise SourceError("the answer names no cluster and revision, so it is none of etcd's")


def _check_v3(answer: Answer) -> None:
    if answer.status != 200:
        raise v3_refusal(answer)


def v3_refusal(answer: Answer) -> EtcdRefused:
    """What an answer that is no success means."""
    try:
        found = decoded(_decode_error, answer.body, "it")
    except SourceError:
        found = _Error()
    said = bounded_message(found.message)
    if not said:
        what = "there is no JSON gateway of v3" if answer.status == 404 else "in no words of etcd's"
        return EtcdRefused(f"etcd refuses: {answer.status}, {what}")
    unauthorized = found.code in (V3_UNAUTHENTICATED, V3_DENIED) or answer.status in (401, 403)
    return EtcdRefused(f"etcd refuses: {answer.status} {said}", unauthorized=unauthorized)
