"""What etcd's v2 API answers; bytes in, values out, pure.

Not the transport (`etcd_v2`). Documented in etcd's Documentation/v2/api.md and errorcode.md.

Law: as in `etcd_codec`: only etcd itself can say that a key is missing.
"""

from __future__ import annotations

import msgspec

from dnslb.errors import SourceError
from dnslb.model.report import bounded_message
from dnslb.sources.etcd_codec import (
    Answer,
    ChangedMeanwhile,
    EtcdRefused,
    Header,
    Held,
    HistoryGone,
    Reading,
    decoded,
)


class _Node(msgspec.Struct, frozen=True):
    modified: int = msgspec.field(name="modifiedIndex")
    value: str | None = None
    dir: bool = False


class _V2(msgspec.Struct, frozen=True):
    """A success has a node, a failure an error code."""

    node: _Node | None = None
    action: str = ""
    code: int = msgspec.field(name="errorCode", default=0)
    message: str = ""
    cause: str = ""


V2_MISSING, V2_UNAUTHORIZED, V2_CLEARED = 100, 110, 401
V2_COMPARES = frozenset({101, 105})  # compare failed; the key is there already
_V2_GONE = frozenset({"delete", "expire", "compareAndDelete"})
_decode_v2 = msgspec.json.Decoder(_V2).decode


def v2_index(headers: Header) -> int:
    """How far the store is; raises `SourceError` when whoever answers is no etcd."""
    text = headers.get("x-etcd-index", "")
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise SourceError("the answer has no X-Etcd-Index, so it is none of etcd's v2 API")
    return int(text)


def v2_speaks(answer: Answer) -> bool:
    """Whether an answer to a read of a key shows that v2 is served there. Raises `SourceError`
    when it does not show the opposite either."""
    if "x-etcd-index" in answer.headers:
        return True
    if answer.status == 404 and not answer.headers.get("content-type", "").startswith(
        "application/json"
    ):
        return False
    raise SourceError(f"whether it serves v2 cannot be told from an answer {answer.status}")


def v2_reading(answer: Answer, key: str) -> Reading:
    """What a GET, PUT or wait says of ``key``; raises whatever it says otherwise."""
    store_index = v2_index(answer.headers)
    cluster = answer.headers.get("x-etcd-cluster-id", "")
    found: _V2 = decoded(_decode_v2, answer.body, "an answer of etcd")
    if found.code == V2_MISSING and answer.status == 404:
        return Reading(Held(key, None, 0), store_index, cluster)
    if found.code or answer.status not in (200, 201):
        raise _v2_error(answer.status, found)
    node = found.node
    if node is None:
        raise SourceError("an answer of etcd has no node")
    if found.action in _V2_GONE:
        return Reading(Held(key, None, node.modified), store_index, cluster)
    # A directory in the place of a value is something that stands there, and is not understood.
    value = b"" if node.value is None else node.value.encode()
    return Reading(Held(key, value, node.modified), store_index, cluster)


def _v2_error(status: int, found: _V2) -> SourceError:
    said = bounded_message(f"{found.message} ({found.cause})" if found.cause else found.message)
    if found.code == V2_CLEARED:
        return HistoryGone(said)
    if found.code in V2_COMPARES:
        return ChangedMeanwhile(f"something else stands there by now: {said}")
    unauthorized = found.code == V2_UNAUTHORIZED or status in (401, 403)
    return EtcdRefused(f"etcd refuses: {status} {said}", unauthorized=unauthorized)
