"""Leases and ConfigMaps as an API server writes them, and what its answers mean. Pure.

Not the calls (`kubernetes`) and not what stands in a Lease or a state (`kubernetes_objects`).

Law: "there is none" is said of one answer alone: a Status of reason NotFound that names the very
object that was asked for. A write whose answer leaves any doubt is `KubernetesUnknown`. What a
server says is shown bounded, on one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn
from urllib.parse import quote, urlencode

import msgspec

from dnslb.election.kubernetes_objects import JsonValue, Kind, KubernetesObject, Payload
from dnslb.errors import (
    KubernetesConflict,
    KubernetesError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesThrottled,
    KubernetesUnknown,
)

BYTES_MAX = 4 * 1024 * 1024
"""Of an answer: a ConfigMap holds 1 MiB at most, which escapes can double."""
_SAID_MAX = 400
_RETRY_AFTER_S_MAX = 3600.0
_TEMPORARY = frozenset({408, 410, 500, 502, 503, 504})
"""410: of a version from which a watch cannot go on any more."""

Verb = Literal["get", "list", "watch", "create", "update"]
"""As RBAC calls them."""


class _Place(NamedTuple):
    """Where a kind stands in the API, and in which of its keys the payload."""

    api_version: str
    path: str
    resource: str
    payload_key: str


_PLACES: Mapping[Kind, _Place] = {
    Kind.LEASE: _Place("coordination.k8s.io/v1", "/apis/coordination.k8s.io/v1", "leases", "spec"),
    Kind.CONFIG_MAP: _Place("v1", "/api/v1", "configmaps", "data"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as everybody may see it; ``name``: of the object that it is about."""

    verb: Verb
    kind: Kind
    namespace: str
    name: str

    @property
    def writes(self) -> bool:
        return self.verb in ("create", "update")

    @property
    def target(self) -> str:
        """Path and query, but for those of a `watch`, which say from where."""
        place = _PLACES[self.kind]
        collection = f"{place.path}/namespaces/{quote(self.namespace, safe='')}/{place.resource}"
        if self.verb == "create":
            return collection
        if self.verb in ("list", "watch"):
            # RBAC can hold these to one name only where the request does, in just this form.
            return f"{collection}?{urlencode({'fieldSelector': f'metadata.name={self.name}'})}"
        return f"{collection}/{quote(self.name, safe='')}"

    def __str__(self) -> str:
        return f"{self.verb} of {self.kind.value} {self.namespace}/{self.name}"


class Answer(NamedTuple):
    """``retry_after``: the header of that name, or ""."""

    status: int
    body: bytes
    retry_after: str = ""


_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


def to_new(call: Call, payload: Payload) -> bytes:
    """The body of a `create`."""
    place = _PLACES[call.kind]
    return _encoder.encode(
        {
            "apiVersion": place.api_version,
            "kind": call.kind.value,
            "metadata": {"name": call.name, "namespace": call.namespace},
            place.payload_key: dict(payload),
        }
    )


def to_replacement(call: Call, existing: KubernetesObject, payload: Payload) -> bytes:
    """The body of an `update`: what the object was, with another payload. Its uid makes the
    server refuse to write an object that was made anew, or to make one that is gone."""
    place = _PLACES[call.kind]
    document = dict(existing.document)
    held = document.get("metadata")
    metadata = dict(held) if isinstance(held, dict) else {}
    # Left out, the server keeps what it has: they are its own notes on who set which field.
    metadata.pop("managedFields", None)
    metadata |= {
        "name": call.name,
        "namespace": call.namespace,
        "uid": existing.uid,
        "resourceVersion": existing.resource_version,
    }
    document |= {
        "apiVersion": place.api_version,
        "kind": call.kind.value,
        "metadata": metadata,
        place.payload_key: dict(payload),
    }
    return _encoder.encode(document)


def from_answer(call: Call, answer: Answer) -> KubernetesObject | None:
    """The object that a `get`, `create` or `update` answered with; None only of a `get`. Raises
    what `KubernetesObjects` promises."""
    if answer.status in (200, 201):
        try:
            return from_document(call, _document(answer.body))
        except KubernetesNonsense as error:
            if call.writes:
                raise KubernetesUnknown(f"{error} It may be in force.") from error
            raise
    if answer.status != 404 or call.verb != "get" or not _is_not_found(call, answer.body):
        raise_failure(call, answer)
    return None


def from_listing(call: Call, answer: Answer) -> tuple[KubernetesObject | None, str]:
    """The one object of a `list`, or None, and the version from which to watch on."""
    if answer.status != 200:
        raise_failure(call, answer)
    document = _document(answer.body)
    items, version = document.get("items"), _text(document.get("metadata"), "resourceVersion")
    if document.get("kind") != f"{call.kind.value}List" or version is None:
        raise _nonsense(call, "it is no list")
    # The server writes null where Go has no slice; it is not what a missing key would be.
    if "items" not in document or not isinstance(items, list | None):
        raise _nonsense(call, "it lists nothing that can be read")
    # The items of a list carry neither kind nor version: the list says them once for all.
    place = _PLACES[call.kind]
    heading = {"apiVersion": place.api_version, "kind": call.kind.value}
    found = [
        from_document(call, heading | item) if isinstance(item, dict) else None
        for item in items or ()
    ]
    if len(found) > 1 or None in found:
        raise _nonsense(call, "it lists something else than was asked for")
    return (found[0] if found else None), version


class Happened(NamedTuple):
    """One line of a watch. ``shown``: whether ``present`` says something new; ``version``: from
    which to watch on; "" means that it is too old, so that only a `list` tells."""

    shown: bool
    present: KubernetesObject | None
    version: str


def from_watch_line(call: Call, line: bytes) -> Happened:
    """Raises as for any answer what an ERROR says, but for an expired version."""
    event = _document(line)
    what, document = event.get("type"), event.get("object")
    if not isinstance(document, dict):
        raise _nonsense(call, "an event has no object")
    if what == "ERROR":
        code = document.get("code")
        if code == 410 or document.get("reason") in ("Expired", "Gone"):
            return Happened(False, None, "")
        status = code if isinstance(code, int) else 500
        raise_failure(call, Answer(status, _encoder.encode(document)))
    if what == "BOOKMARK":
        version = _text(document.get("metadata"), "resourceVersion")
        if version is None:
            raise _nonsense(call, "a bookmark has no version")
        return Happened(False, None, version)
    present = from_document(call, document)
    if what == "DELETED":
        return Happened(True, None, present.resource_version)
    if what in ("ADDED", "MODIFIED"):
        return Happened(True, present, present.resource_version)
    raise _nonsense(call, "an event is of a type that is not known")


def from_document(call: Call, document: Mapping[str, Any]) -> KubernetesObject:
    """Raises `KubernetesNonsense`."""
    place = _PLACES[call.kind]
    if (document.get("kind"), document.get("apiVersion")) != (call.kind.value, place.api_version):
        raise _nonsense(call, f"it is no {call.kind.value} of {place.api_version}")
    metadata = document.get("metadata")
    uid, version = _text(metadata, "uid"), _text(metadata, "resourceVersion")
    if uid is None or version is None:
        raise _nonsense(call, "it has no uid or no version")
    if (_text(metadata, "namespace"), _text(metadata, "name")) != (call.namespace, call.name):
        raise _nonsense(call, "it is another object than was asked for")
    payload: dict[str, JsonValue] | None = document.get(place.payload_key, {})
    if not isinstance(payload, dict | None):
        raise _nonsense(call, f"its {place.payload_key} is no mapping")
    if call.kind is Kind.CONFIG_MAP and not all(
        isinstance(value, str) for value in (payload or {}).values()
    ):
        raise _nonsense(call, "its data is no text")
    return KubernetesObject(call.kind, call.name, uid, version, payload or {}, document)


def raise_failure(call: Call, answer: Answer) -> NoReturn:
    """Any answer that is not what was asked for, as an error with a sentence."""
    status, said = answer.status, _said(answer.body)
    what = f"The API server answered {status} to the {call}: {said}"
    if status == 409 or (status == 404 and call.verb == "update"):
        raise KubernetesConflict(what)
    if status == 429:
        raise KubernetesThrottled(what, _seconds(answer.retry_after))
    if status in _TEMPORARY or status >= 500:
        # An etcd behind the server that is late to answer has mostly done what it was told.
        raise (KubernetesUnknown if call.writes else KubernetesTemporary)(what)
    if 400 <= status < 500:
        raise KubernetesRefusal(f"{what} {_advice(call, status)}".rstrip(), status)
    if call.writes:
        raise KubernetesUnknown(f"{what} It may be in force.")
    raise KubernetesNonsense(what)


def _advice(call: Call, status: int) -> str:
    place = _PLACES[call.kind]
    if status == 401:
        return "It does not accept our token or certificate; dnslb loads them again each time."
    if status == 403:
        group = place.api_version.rpartition("/")[0]
        return (
            f"The Role of dnslb in namespace {call.namespace} has to allow {call.verb} of "
            f"{place.resource} (API group {group!r}); `kubectl auth can-i {call.verb} "
            f"{place.resource}{'.' + group if group else ''} -n {call.namespace} "
            "--as system:serviceaccount:NAMESPACE:NAME` tells."
        )
    if status == 404 and call.verb == "create":
        return f"There is no namespace {call.namespace} there; -k8s-lock-namespace names it."
    if status == 413:
        return "It is too large."
    return ""


def _is_not_found(call: Call, body: bytes) -> bool:
    """Of this object, positively: a 404 also comes from proxies, and for paths that are none."""
    try:
        document = _document(body)
    except KubernetesNonsense:
        return False
    details = document.get("details")
    return (
        document.get("kind") == "Status"
        and document.get("reason") == "NotFound"
        and _text(details, "name") == call.name
        and _text(details, "kind") == _PLACES[call.kind].resource
    )


def _document(body: bytes) -> dict[str, Any]:
    if len(body) > BYTES_MAX:
        raise KubernetesNonsense(f"The answer of the API server is larger than {BYTES_MAX} bytes.")
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise KubernetesNonsense(f"The answer of the API server is not JSON as it says: {e}") from e


def _text(mapping: object, key: str) -> str | None:
    value = mapping.get(key) if isinstance(mapping, Mapping) else None
    return value if isinstance(value, str) and value else None


def _said(body: bytes) -> str:
    """The message of a Status; of anything else its beginning."""
    text: str | None = None
    try:
        text = _text(_document(body), "message")
    except KubernetesError:
        text = body[: _SAID_MAX * 4].decode("utf-8", "replace")
    return one_line(text or "") or "nothing."


def one_line(text: str) -> str:
    """Printable, bounded, with a full stop."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: _SAID_MAX * 2]).split())
    if len(line) > _SAID_MAX:
        line = line[: _SAID_MAX - 1] + "…"
    return line if not line or line.endswith((".", "…", "!")) else line + "."


def _seconds(text: str) -> float | None:
    """API servers give seconds; a date is not read, since only their clock could judge it."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, _RETRY_AFTER_S_MAX) if math.isfinite(seconds) and seconds >= 0 else None


def _nonsense(call: Call, why: str) -> KubernetesNonsense:
    return KubernetesNonsense(f"The answer of the API server to the {call} is of no use: {why}.")
