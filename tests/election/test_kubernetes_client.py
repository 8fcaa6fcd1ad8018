"""The client against the double: every call, and every way in which one fails."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from dnslb.election.kubernetes_objects import Kind, KubernetesObject, Payload
from dnslb.errors import (
    KubernetesConflict,
    KubernetesError,
    KubernetesNonsense,
    KubernetesRefusal,
    KubernetesTemporary,
    KubernetesThrottled,
    KubernetesUnknown,
)
from tests.doubles.kubernetes_api.kinds import CONFIG_MAPS, LEASES
from tests.doubles.kubernetes_api.place import NAME, NAMESPACE
from tests.doubles.kubernetes_api.serving import serving
from tests.doubles.kubernetes_api.terms import Fault
from tests.doubles.pki import Authority

SPEC: Payload = {
    "holderIdentity": "a_1",
    "leaseDurationSeconds": 15,
    "acquireTime": "2026-11-25T19:00:00.000000Z",
    "renewTime": "2026-11-25T19:00:00.120000Z",
    "leaseTransitions": 3,
}

# --------------------------------------------------------------------------------- every call


async def test_a_lease_is_made_read_and_replaced_word_for_word(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        assert await client.read(Kind.LEASE, NAME) is None
        made = await client.create(Kind.LEASE, NAME, SPEC)
        assert made.payload == SPEC
        assert await client.read(Kind.LEASE, NAME) == made
        renewed = {**SPEC, "renewTime": "2026-11-25T19:00:02.000000Z"}
        replaced = await client.replace(made, renewed)
        assert replaced.payload == renewed
        assert replaced.uid == made.uid
        assert replaced.resource_version != made.resource_version
        assert await client.read(Kind.LEASE, NAME) == replaced


async def test_a_config_map_holds_texts(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        text = json.dumps({"ü": "\n\x7f"}) * 1000
        made = await client.create(Kind.CONFIG_MAP, NAME, {"state": text})
        assert made.payload == {"state": text}
        assert (await client.replace(made, {"state": "x"})).payload == {"state": "x"}


async def test_what_others_added_to_an_object_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        await client.create(Kind.CONFIG_MAP, NAME, {"state": "x"})
        document = world.api.objects.get(CONFIG_MAPS, NAMESPACE, NAME)
        document["binaryData"] = {"other": "AAAA"}
        document["metadata"]["labels"] = {"team": "dns"}
        world.api.objects.replace(CONFIG_MAPS, NAMESPACE, NAME, document, 0)
        found = await client.read(Kind.CONFIG_MAP, NAME)
        assert found is not None
        await client.replace(found, {"state": "y"})
        stored = world.api.objects.get(CONFIG_MAPS, NAMESPACE, NAME)
        assert stored["metadata"]["labels"] == {"team": "dns"}
        assert (stored["binaryData"], stored["data"]) == ({"other": "AAAA"}, {"state": "y"})


# ------------------------------------------------------------------------------ compare and set


async def test_only_the_version_that_was_read_is_replaced(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        made = await client.create(Kind.LEASE, NAME, SPEC)
        await client.replace(made, {**SPEC, "leaseTransitions": 4})
        with pytest.raises(KubernetesConflict, match="answered 409 to the update of Lease dns/"):
            await client.replace(made, SPEC)
        with pytest.raises(KubernetesConflict, match="already exists"):
            await client.create(Kind.LEASE, NAME, SPEC)


@pytest.mark.parametrize("kind", list(Kind))
async def test_an_object_that_is_gone_or_made_anew_is_not_replaced(
    tmp_path: Path, kind: Kind
) -> None:
    resource = {Kind.LEASE: LEASES, Kind.CONFIG_MAP: CONFIG_MAPS}[kind]
    async with serving(tmp_path) as world:
        client = world.client()
        made = await client.create(kind, NAME, {})
        world.api.objects.delete(resource, NAMESPACE, NAME)
        with pytest.raises(KubernetesConflict):
            await client.replace(made, {})
        assert (resource.name, NAMESPACE, NAME) not in world.api.objects.stored
        anew = await client.create(kind, NAME, {})
        stale = KubernetesObject(kind, NAME, made.uid, anew.resource_version, {}, {})
        with pytest.raises(KubernetesConflict, match="UID"):
            await client.replace(stale, {})


# -------------------------------------------------------------------------------- what goes wrong


async def test_too_many_requests_name_a_time(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        client = world.client()
        world.api.faults.append(Fault(status=429, headers={"retry-after": "7"}))
        with pytest.raises(KubernetesThrottled, match="answered 429") as caught:
            await client.read(Kind.LEASE, NAME)
        assert caught.value.retry_after_s == 7.0
        assert world.statuses() == [("get", 429)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=504),
        Fault(reset=True),
        Fault(hangs_up=True),
        Fault(reset=True, lands=True),
        Fault(status=500, lands=True),
        Fault(status=200, body=b"<html>", lands=True),
        Fault(status=200, body=b"{}", lands=True),
        Fault(status=302, headers={"location": "https://127.0.0.1:1/"}),
    ],
    ids=str,
)
async def test_a_write_without_a_good_answer_is_unknown_and_a_read_is_an_error(
    tmp_path: Path, fault: Fault
) -> None:
    fault.times = 2
    async with serving(tmp_path) as world:
        client = world.client()
        made = await client.create(Kind.LEASE, NAME, SPEC)
        world.api.faults.append(fault)
        with pytest.raises(KubernetesUnknown):
            await client.replace(made, {**SPEC, "leaseTransitions": 4})
        with pytest.raises(KubernetesError) as caught:
            await client.read(Kind.LEASE, NAME)
        assert isinstance(caught.value, KubernetesTemporary | KubernetesNonsense)
        assert not isinstance(caught.value, KubernetesUnknown)
        found = await client.read(Kind.LEASE, NAME)
        assert found is not None
        assert found.payload["leaseTransitions"] == (4 if fault.lands else 3)
        verbs = [seen.verb for seen in world.api.seen]
        assert verbs == ["create", "update", "get", "get"], "a request was sent twice"


async def test_nothing_listens(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        server = "https://127.0.0.1:1"
        client = world.client(world.place.kubeconfig("x", {"token": "t"}, server=server))
        with pytest.raises(KubernetesTemporary, match="No answer to the get of Lease dns/dnslb"):
            await client.read(Kind.LEASE, NAME)
        with pytest.raises(KubernetesTemporary) as caught:
            await client.create(Kind.LEASE, NAME, SPEC)
        assert not isinstance(caught.value, KubernetesUnknown), "it was never sent"


async def test_another_authority_is_not_believed(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        other = Authority(tmp_path / "other").ca_file
        client = world.client(world.place.kubeconfig("x", {"token": "t"}, ca=other))
        with pytest.raises(KubernetesTemporary, match="certificate that is not good") as caught:
            await client.create(Kind.LEASE, NAME, SPEC)
        assert not isinstance(caught.value, KubernetesUnknown)
        assert world.api.seen == []


@pytest.mark.parametrize(("verb", "kind"), [("get", Kind.LEASE), ("create", Kind.CONFIG_MAP)])
async def test_a_missing_right_is_named(tmp_path: Path, verb: str, kind: Kind) -> None:
    async with serving(tmp_path) as world:
        config = world.place.with_token("b", user="someone", rules=())
        client = world.client(config)
        with pytest.raises(KubernetesRefusal) as caught:
            await (client.read(kind, NAME) if verb == "get" else client.create(kind, NAME, {}))
        said = str(caught.value)
        assert f'User "someone" cannot {verb} resource' in said
        assert f"The Role of dnslb in namespace dns has to allow {verb}" in said
        assert "token-of" not in said


async def test_a_namespace_that_is_not_there_is_no_absent_lease(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.api.objects.namespaces.clear()
        with pytest.raises(KubernetesRefusal, match="There is no namespace dns there"):
            await world.client().create(Kind.LEASE, NAME, SPEC)


@pytest.mark.parametrize("body", [b"404 page not found\n", b'{"kind":"Status","code":404}', b""])
async def test_another_404_is_no_absent_lease(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as world:
        world.api.faults.append(Fault(status=404, body=body))
        with pytest.raises(KubernetesRefusal, match="answered 404"):
            await world.client().read(Kind.LEASE, NAME)


async def test_a_config_map_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        with pytest.raises(KubernetesRefusal, match="at most 1048576 bytes"):
            await world.client().create(Kind.CONFIG_MAP, NAME, {"state": "x" * 1024 * 1025})
        with pytest.raises(KubernetesRefusal, match="answered 413"):
            await world.client().create(Kind.CONFIG_MAP, NAME, {"state": "x" * 4 * 1024 * 1024})


def lease(**said: object) -> bytes:
    """A Lease as it should be, but for what is said."""
    metadata = {"name": NAME, "namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"}
    for key in {*metadata} & {*said}:
        metadata[key] = str(said.pop(key))
    whole = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata}
    return json.dumps({**whole, **said}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        lease(kind="ConfigMap"),
        lease(apiVersion="v1"),
        lease(name="other"),
        lease(namespace="other"),
        lease(spec=[]),
        lease(uid=""),
        lease(resourceVersion=""),
        lease(metadata=None),
        b'{"x":"' + b"x" * 5 * 1024 * 1024 + b'"}',
    ],
    ids=itertools.count(),
)
async def test_an_answer_that_cannot_be_read_is_nonsense(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as world:
        world.api.faults.append(Fault(status=200, body=body))
        with pytest.raises(KubernetesNonsense):
            await world.client().read(Kind.LEASE, NAME)
