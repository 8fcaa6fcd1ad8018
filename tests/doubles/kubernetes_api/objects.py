"""Leases and ConfigMaps as an API server keeps them: what it refuses, and how it counts versions.

Written from the server's own rules (registry `store.go`, the strategies and validations of both
kinds, `micro_time.go`), held against the record of one
by `tests/election/test_kubernetes_double.py`.
No I/O, no time but what is passed.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.doubles.kubernetes_api.kinds import (
    LEASES,
    Document,
    Refused,
    Resource,
)

BODY_BYTES_MAX = 3 * 1024 * 1024
CONFIG_MAP_BYTES_MAX = 1024 * 1024
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_METADATA = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "generation": int,
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "deletionGracePeriodSeconds": int,
    "labels": dict,
    "annotations": dict,
    "ownerReferences": list,
    "finalizers": list,
    "managedFields": list,
    "selfLink": str,
}
_SPEC = {
    "holderIdentity": str,
    "leaseDurationSeconds": int,
    "acquireTime": str,
    "renewTime": str,
    "leaseTransitions": int,
    "strategy": str,
    "preferredHolder": str,
}


@dataclass(frozen=True)
class Event:
    """``document`` is as of after the change; of a deletion, the last state under a new version."""

    version: int
    type: str
    key: tuple[str, str, str]
    document: Document

    def told(self) -> Document:
        """As a watch shows it: a deletion under a version of its own."""
        metadata = {**self.document["metadata"], "resourceVersion": str(self.version)}
        return {**self.document, "metadata": metadata}


@dataclass
class Objects:
    """``changed`` is called after each event. ``warnings``: what a server would have warned of."""

    namespaces: set[str] = field(default_factory=lambda: {"default", "dns"})
    version: int = 1000
    compacted: int = 0
    stored: dict[tuple[str, str, str], Document] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    # A server goes on from where it was; one that was set up anew counts from another number.

    def get(self, resource: Resource, namespace: str, name: str) -> Document:
        found = self.stored.get((resource.name, namespace, name))
        if found is None:
            raise _not_found(resource, name)
        return copy.deepcopy(found)

    def list(self, resource: Resource, namespace: str, name: str | None) -> Document:
        items = []
        for (of, at, called), document in sorted(self.stored.items()):
            if (of, at) == (resource.name, namespace) and name in (None, called):
                bare = {k: v for k, v in document.items() if k not in ("kind", "apiVersion")}
                items.append(copy.deepcopy(bare))
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.version)},
            "items": items,
        }

    def create(
        self, resource: Resource, namespace: str, document: Document, now: float
    ) -> Document:
        new = self._checked(resource, namespace, document)
        metadata = new["metadata"]
        if namespace not in self.namespaces:
            raise Refused(
                404,
                "NotFound",
                f'namespaces "{namespace}" not found',
                {"name": namespace, "kind": "namespaces"},
            )
        if metadata.get("resourceVersion"):
            raise Refused(500, None, "resourceVersion should not be set on objects to be created")
        _raise_invalid(resource, new)
        key = (resource.name, namespace, metadata["name"])
        if key in self.stored:
            raise Refused(
                409,
                "AlreadyExists",
                f'{resource.qualified} "{metadata["name"]}" already exists',
                resource.details(metadata["name"]),
            )
        return self._make(key, new, now)

    def replace(
        self, resource: Resource, namespace: str, name: str, document: Document, now: float
    ) -> Document:
        new = self._checked(resource, namespace, document)
        metadata = new["metadata"]
        if metadata.get("name") != name:
            raise Refused(
                400,
                "BadRequest",
                f"the name of the object ({metadata.get('name')}) does not match the name on the "
                f"URL ({name})",
            )
        key = (resource.name, namespace, name)
        old = self.stored.get(key)
        _raise_unless_uid(resource, name, metadata.get("uid"), old)
        if old is None:
            if not resource.create_on_update:
                raise _not_found(resource, name)
            _raise_invalid(resource, new)
            return self._make(key, new, now)
        version = metadata.get("resourceVersion")
        if not version and not resource.unconditional_update:
            why = "metadata.resourceVersion: must be specified for an update"
            raise Refused(422, "Invalid", why, resource.details(name))
        if version and version != old["metadata"]["resourceVersion"]:
            raise _conflict(
                resource,
                name,
                "the object has been modified; please apply your changes to the latest version "
                "and try again",
            )
        _raise_invalid(resource, new)
        _raise_if_immutable(resource, name, old, new)
        kept = {k: old["metadata"][k] for k in ("uid", "creationTimestamp", "managedFields")}
        new["metadata"] = {
            **metadata,
            **kept,
            "resourceVersion": old["metadata"]["resourceVersion"],
        }
        if new == old:
            return copy.deepcopy(old)  # nothing is written, and the version stays
        return self._record("MODIFIED", key, new)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        key = (resource.name, namespace, name)
        if key not in self.stored:
            raise _not_found(resource, name)
        self._record("DELETED", key, self.stored[key])
        del self.stored[key]

    def compact(self) -> None:
        """No watch can begin before now."""
        self.compacted = self.version
        self.events.clear()

    def since(
        self, resource: Resource, namespace: str, name: str | None, version: int
    ) -> Iterator[Event]:
        for event in self.events:
            *place, called = event.key
            is_here = place == [resource.name, namespace] and name in (None, called)
            if is_here and event.version > version:
                yield event

    def _make(self, key: tuple[str, str, str], new: Document, now: float) -> Document:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        new["metadata"] |= {
            "namespace": key[1],
            "uid": str(uuid.uuid4()),
            "creationTimestamp": stamp,
            "managedFields": [
                {
                    "manager": "test",
                    "operation": "Update",
                    "apiVersion": new["apiVersion"],
                    "time": stamp,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {},
                }
            ],
        }
        return self._record("ADDED", key, new)

    def _record(self, type_: str, key: tuple[str, str, str], document: Document) -> Document:
        self.version += 1
        written = copy.deepcopy(document)
        written["metadata"]["resourceVersion"] = str(self.version)
        self.stored[key] = written
        self.events.append(Event(self.version, type_, key, copy.deepcopy(written)))
        self.changed()
        return copy.deepcopy(written)

    def _checked(self, resource: Resource, namespace: str, document: Document) -> Document:
        """Decoded as Go would: types hold, unknown fields are dropped with a warning."""
        given = (document.get("apiVersion"), document.get("kind"))
        if given != (resource.api_version, resource.kind):
            raise Refused(
                400,
                "BadRequest",
                f"the API version in the data ({given[0]}) and kind ({given[1]}) do not match the "
                f"expected {resource.api_version} {resource.kind}",
            )
        top: dict[str, type] = {"apiVersion": str, "kind": str, "metadata": dict}
        if resource is LEASES:
            top["spec"] = dict
        else:
            top |= {"data": dict, "binaryData": dict, "immutable": bool}
        new = self._fields(document, top, "")
        new["metadata"] = self._fields(new.get("metadata", {}), _METADATA, "metadata.")
        if resource is LEASES:
            new["spec"] = self._fields(new.get("spec", {}), _SPEC, "spec.")
            for key in ("acquireTime", "renewTime"):
                if key in new["spec"]:
                    new["spec"][key] = _micro_time(new["spec"][key])
        for place, mapping in (("labels", new["metadata"]), ("annotations", new["metadata"])):
            _raise_unless_texts(place, mapping.get(place, {}))
        _raise_unless_texts("data", new.get("data", {}))
        if new["metadata"].get("namespace", namespace) != namespace:
            raise Refused(
                400,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the "
                "request",
            )
        new["metadata"]["namespace"] = namespace
        return new

    def _fields(self, given: Document, known: dict[str, type], place: str) -> Document:
        kept = {}
        for key, value in given.items():
            if key not in known:
                self.warnings.append(f'unknown field "{place}{key}"')
            elif value is not None:
                is_huge = isinstance(value, int) and abs(value) >= 2**31
                if type(value) is not known[key] or is_huge:
                    raise Refused(
                        400, "BadRequest", f"json: cannot unmarshal {value!r} into {place}{key}"
                    )
                kept[key] = copy.deepcopy(value)
        return kept


def read_body(body: bytes) -> Document:
    if len(body) > BODY_BYTES_MAX:
        raise Refused(
            413,
            "RequestEntityTooLarge",
            f"Request entity too large: limit is {BODY_BYTES_MAX}",
        )
    try:
        document = json.loads(body)
    except ValueError as e:
        raise Refused(400, "BadRequest", f"the object provided is unrecognized: {e}") from e
    if not isinstance(document, dict):
        raise Refused(400, "BadRequest", "the object provided is unrecognized")
    return document


def _micro_time(text: str) -> str:
    if not _MICRO_TIME.fullmatch(text):
        raise Refused(
            400,
            "BadRequest",
            f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse',
        )
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _raise_unless_texts(place: str, mapping: Document) -> None:
    for key, value in mapping.items():
        if not isinstance(value, str):
            raise Refused(400, "BadRequest", f"json: cannot unmarshal {value!r} into {place}.{key}")


def _raise_invalid(resource: Resource, new: Document) -> None:
    name = new["metadata"].get("name", "")
    if not name:
        raise _invalid(
            resource, "", "metadata.name: Required value: name or generateName is required"
        )
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        raise _invalid(
            resource, name, "metadata.name: a lowercase RFC 1123 subdomain must consist of …"
        )
    spec = new.get("spec", {})
    if spec.get("leaseDurationSeconds", 1) <= 0:
        raise _invalid(resource, name, "spec.leaseDurationSeconds: must be greater than 0")
    if spec.get("leaseTransitions", 0) < 0:
        raise _invalid(resource, name, "spec.leaseTransitions: must be greater than or equal to 0")
    size = 0
    for key, value in {**new.get("data", {}), **new.get("binaryData", {})}.items():
        if not _DATA_KEY.fullmatch(key) or key == "." or key.startswith(".."):
            raise _invalid(resource, name, f"data[{key}]: a valid config key must consist of …")
        size += len(value.encode())
    for key, value in new.get("binaryData", {}).items():
        if key in new.get("data", {}):
            raise _invalid(resource, name, f"data[{key}]: duplicate of key present in binaryData")
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as e:
            raise Refused(400, "BadRequest", f"illegal base64 data in {key}: {e}") from e
    if size > CONFIG_MAP_BYTES_MAX:
        raise _invalid(resource, name, f"Too long: must have at most {CONFIG_MAP_BYTES_MAX} bytes")


def _raise_if_immutable(resource: Resource, name: str, old: Document, new: Document) -> None:
    if old.get("immutable") and any(
        old.get(key) != new.get(key) for key in ("immutable", "data", "binaryData")
    ):
        raise _invalid(resource, name, "field is immutable when `immutable` is set")


def _raise_unless_uid(resource: Resource, name: str, uid: str | None, old: Document | None) -> None:
    actual = "" if old is None else old["metadata"]["uid"]
    # Before the look-up of a kind that cannot be made by an update would say "not found".
    if uid and uid != actual:
        raise _conflict(
            resource,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}",
        )


def _not_found(resource: Resource, name: str) -> Refused:
    return Refused(
        404, "NotFound", f'{resource.qualified} "{name}" not found', resource.details(name)
    )


def _conflict(resource: Resource, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, resource.details(name))


def _invalid(resource: Resource, name: str, why: str) -> Refused:
    message = f'{resource.kind}.{resource.group} "{name}" is invalid: {why}'
    return Refused(422, "Invalid", message, resource.details(name, resource.kind))
