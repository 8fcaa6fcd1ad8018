"""What is said to an API server to learn how it answers, and what of its answers is kept.

`python -m tests.doubles.kubernetes_api.conversation URL TOKENS` holds it with a real server and
prints the record, which stands beside this file; a test holds it with the double and compares.
TOKENS: JSON of user → token, for ``dnslb`` (with a Role as `dnslb.election.kubernetes` lists it
for the name dnslb) and ``admin`` (who may do everything). The namespace dns has to be there, with
neither Lease nor ConfigMap in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

Document = dict[str, Any]

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/dns/leases"
_MAPS = "/api/v1/namespaces/dns/configmaps"
_LEASE, _MAP = f"{_LEASES}/dnslb", f"{_MAPS}/dnslb"
_ONE = "fieldSelector=metadata.name%3Ddnslb"
_EMPTY: Document = {"renewTime": None, "holderIdentity": ""}
_BAG = {"c": "AAAA"}
_TIME = "2026-11-25T19:00:00.000001Z"
_SPEC: Document = {
    "holderIdentity": "a_1",
    "leaseDurationSeconds": 15,
    "acquireTime": _TIME,
    "renewTime": _TIME,
    "leaseTransitions": 0,
}


class Step(NamedTuple):
    """``name``: its answer can be named in later bodies, as ``$name.uid`` and ``$name.version``.
    ``body``: None, a document, or bytes."""

    name: str
    method: str
    path: str
    body: Document | bytes | None = None
    user: str = "dnslb"


def _lease(spec: Document, **metadata: str) -> Document:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "dnslb", **metadata},
        "spec": spec,
    }


def _map(data: Document, of: dict[str, str] | None = None, **top: Any) -> Document:
    heading = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dnslb", **(of or {})}}
    return {**heading, "data": data, **top}


def _of(name: str) -> dict[str, str]:
    return {"uid": f"${name}.uid", "resourceVersion": f"${name}.version"}


STEPS = (
    Step("absent", "GET", _LEASE),
    Step("absent-map", "GET", _MAP),
    Step("list-of-none", "GET", f"{_LEASES}?{_ONE}"),
    Step("put-absent-with-uid", "PUT", _LEASE, _lease(_SPEC, uid="x", resourceVersion="1")),
    Step("put-absent-map-with-uid", "PUT", _MAP, _map({}, {"uid": "x", "resourceVersion": "1"})),
    Step("put-absent-map", "PUT", _MAP, _map({})),
    Step("create-with-version", "POST", _LEASES, _lease(_SPEC, resourceVersion="1")),
    Step("create", "POST", _LEASES, _lease(_SPEC)),
    Step("create-again", "POST", _LEASES, _lease(_SPEC)),
    Step("renew", "PUT", _LEASE, _lease({**_SPEC, "leaseTransitions": 1}, **_of("create"))),
    Step("stale", "PUT", _LEASE, _lease(_SPEC, **_of("create"))),
    Step("unversioned", "PUT", _LEASE, _lease(_SPEC)),
    Step("other-uid", "PUT", _LEASE, _lease(_SPEC, uid="x", resourceVersion="$renew.version")),
    Step("seconds", "PUT", _LEASE, _lease({"renewTime": "2026-11-25T19:00:00Z"}, **_of("renew"))),
    Step("nanoseconds", "PUT", _LEASE, _lease({"renewTime": _TIME[:-1] + "000Z"}, **_of("renew"))),
    Step("zero", "PUT", _LEASE, _lease({"leaseDurationSeconds": 0}, **_of("renew"))),
    Step("negative", "PUT", _LEASE, _lease({"leaseTransitions": -1}, **_of("renew"))),
    Step("fraction", "PUT", _LEASE, _lease({"leaseDurationSeconds": 1.5}, **_of("renew"))),
    Step("text", "PUT", _LEASE, _lease({"leaseDurationSeconds": "15"}, **_of("renew"))),
    Step("huge", "PUT", _LEASE, _lease({"leaseTransitions": 2**31}, **_of("renew"))),
    Step("other-kind", "PUT", _LEASE, _map({}, _of("renew"))),
    Step("not-json", "PUT", _LEASE, b"{"),
    Step("offset", "PUT", _LEASE, _lease({"renewTime": _TIME[:-1] + "+01:00"}, **_of("renew"))),
    Step("unknown-field", "PUT", _LEASE, _lease({"mood": "good"}, **_of("offset"))),
    Step(
        "nulls",
        "PUT",
        _LEASE,
        _lease(_EMPTY, **_of("unknown-field")),
    ),
    Step("list", "GET", f"{_LEASES}?{_ONE}"),
    Step("list-of-another", "GET", f"{_LEASES}?fieldSelector=metadata.name%3Dother", user="admin"),
    Step("list-all", "GET", _LEASES),
    Step("get-another", "GET", f"{_LEASES}/other"),
    Step("delete", "DELETE", _LEASE),
    Step("bad-name", "POST", _LEASES, {**_lease(_SPEC), "metadata": {"name": "Not_A_Name"}}),
    Step("no-name", "POST", _LEASES, {**_lease(_SPEC), "metadata": {}}),
    Step("name-differs", "PUT", _LEASE, {**_lease(_SPEC), "metadata": {"name": "other"}}),
    Step("elsewhere", "POST", _LEASES, _lease(_SPEC, namespace="default")),
    Step("no-namespace", "POST", _LEASES.replace("/dns/", "/nowhere/"), _lease(_SPEC), "admin"),
    Step("no-namespace-get", "GET", _LEASE.replace("/dns/", "/nowhere/"), user="admin"),
    Step("no-path", "GET", "/apis/coordination.k8s.io/v9/x", user="admin"),
    Step("create-map", "POST", _MAPS, _map({"state.json": "ü\n"})),
    Step("put-map", "PUT", _MAP, _map({"a": "b"}, _of("create-map"), binaryData=_BAG)),
    Step("same-map", "PUT", _MAP, _map({"a": "b"}, _of("put-map"), binaryData=_BAG)),
    Step("unversioned-map", "PUT", _MAP, _map({"a": "c"})),
    Step("stale-map", "PUT", _MAP, _map({"a": "d"}, _of("create-map"))),
    Step("numbers-map", "PUT", _MAP, _map({"a": 1})),
    Step("bad-key", "PUT", _MAP, _map({"a b": "c"})),
    Step("both-bags", "PUT", _MAP, _map({"a": "b"}, binaryData={"a": "AAAA"})),
    Step("no-base64", "PUT", _MAP, _map({}, binaryData={"a": "*"})),
    Step("large-map", "PUT", _MAP, _map({"a": "x" * (1024 * 1024)})),
    Step("too-large-map", "PUT", _MAP, _map({"a": "x" * (1024 * 1024 + 1)})),
    Step("too-large-body", "PUT", _MAP, _map({"a": "x" * (3 * 1024 * 1024)})),
    Step("immutable", "PUT", _MAP, _map({"a": "e"}, immutable=True)),
    Step("changed-immutable", "PUT", _MAP, _map({"a": "f"}, immutable=True)),
    Step("bad-token", "GET", _LEASE, user="stranger"),
    Step("no-token", "GET", _LEASE, user=""),
)
REASONS = frozenset({"Conflict", "AlreadyExists", "NotFound", "Invalid", "Forbidden"})


def hold(client: httpx.Client, tokens: dict[str, str]) -> dict[str, Document]:
    """Step → what is kept of the answer."""
    answers: dict[str, Document] = {}
    kept: dict[str, Document] = {}
    for step in STEPS:
        response = _say(client, step, tokens, answers)
        try:
            document = response.json()
        except ValueError:
            document = {}
        answers[step.name] = document
        kept[step.name] = {"status": response.status_code, **_facets(document)}
    first, last = answers["create"]["metadata"], answers["renew"]["metadata"]
    kept["versions"] = {
        "renewed": first["resourceVersion"] != last["resourceVersion"],
        "same uid": first["uid"] == last["uid"],
        "unchanged by the same": answers["put-map"]["metadata"]["resourceVersion"]
        == answers["same-map"]["metadata"]["resourceVersion"],
    }
    return kept


def _say(
    client: httpx.Client, step: Step, tokens: dict[str, str], answers: dict[str, Document]
) -> httpx.Response:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if step.user:
        headers["Authorization"] = f"Bearer {tokens.get(step.user, 'of-a-stranger')}"
    body = step.body
    if isinstance(body, dict):
        text = json.dumps(body)
        for name, metadata in _versions(answers):
            text = text.replace(f"${name}.uid", metadata["uid"])
            text = text.replace(f"${name}.version", metadata["resourceVersion"])
        body = text.encode()
    return client.request(step.method, step.path, content=body, headers=headers)


def _versions(answers: dict[str, Document]) -> list[tuple[str, Document]]:
    found = [(name, answer.get("metadata") or {}) for name, answer in answers.items()]
    # The longest name first: one may begin with another.
    return sorted(((n, m) for n, m in found if "uid" in m), key=lambda pair: -len(pair[0]))


def _facets(document: Document) -> Document:
    """What a client can go by; never what differs from server to server."""
    kind = document.get("kind")
    if kind == "Status":
        details = document.get("details") or {}
        reason = document.get("reason")
        named = {k: details[k] for k in ("name", "kind", "group") if k in details}
        return {"kind": kind, "reason": reason, **({"details": named} if reason in REASONS else {})}
    metadata = document.get("metadata") or {}
    facets: Document = {"kind": kind, "apiVersion": document.get("apiVersion")}
    if str(kind).endswith("List"):
        items = document.get("items")
        facets["items"] = None if items is None else [sorted(item) for item in items]
        return {**facets, "version": "resourceVersion" in metadata}
    told = {k: len(v) if k == "data" and len(str(v)) > 999 else v for k, v in document.items()}
    shown = ("spec", "data", "binaryData", "immutable")
    facets |= {k: told[k] for k in shown if k in told}
    facets["metadata"] = sorted({*metadata} - {"selfLink", "managedFields"})
    return facets


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("tokens", type=json.loads)
    options = parser.parse_args()
    with httpx.Client(base_url=options.url, verify=False) as client:
        write(json.dumps(hold(client, options.tokens), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
