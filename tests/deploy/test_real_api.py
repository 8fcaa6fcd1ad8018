"""The manifests at a real API server, where there is one: it takes them, and the Role is enough.

No controller and no node stand behind it: nothing is started there.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.deploy.manifests import MODES, Object, kustomized, one
from tests.election.kubernetes_real import TOKENS, RealServer, is_here, real_server

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_here(), reason="there is no kube-apiserver and etcd here"),
]
NAMESPACED = "namespaces/dns"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with real_server(tmp_path_factory.mktemp("api")) as running:
        rbac = f"/apis/rbac.authorization.k8s.io/v1/{NAMESPACED}"
        for kind in ("rolebindings", "roles"):
            running.admin.delete(f"{rbac}/{kind}/dnslb").raise_for_status()
        yield running


def collection(server: RealServer, found: Object) -> str | None:
    """Where such objects are; None when the server is too old to know their version."""
    group = found["apiVersion"]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    answer = server.admin.get(root)
    if answer.status_code == 404:
        return None
    named = {r["kind"]: r["name"] for r in answer.json()["resources"] if "/" not in r["name"]}
    return f"{root}/{NAMESPACED}/{named[found['kind']]}"


@pytest.mark.parametrize("mode", MODES)
def test_it_takes_them(server: RealServer, mode: str) -> None:
    unknown = set()
    for found in kustomized(mode):
        path = collection(server, found)
        if path is None:
            unknown.add(found["apiVersion"])
            continue
        answer = server.admin.post(path, json=found, params={"dryRun": "All"})
        assert answer.status_code == 201, answer.text
        wrong = {**found, "metadata": {**found["metadata"], "labels": {"no": "such label"}}}
        assert server.admin.post(path, json=wrong, params={"dryRun": "All"}).status_code == 422
    assert unknown <= {"policy/v1"}


def test_the_role_is_enough_and_no_more(server: RealServer) -> None:
    objects = kustomized("lease")
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        path = collection(server, one(objects, kind))
        assert path is not None
        server.admin.post(path, json=one(objects, kind)).raise_for_status()
    headers = {"Authorization": f"Bearer {TOKENS['dnslb']}"}
    leases = f"/apis/coordination.k8s.io/v1/{NAMESPACED}/leases"
    maps = f"/api/v1/{NAMESPACED}/configmaps"
    with httpx.Client(base_url=server.url, verify=False, headers=headers) as pod:
        for path, version, kind in (
            (leases, "coordination.k8s.io/v1", "Lease"),
            (maps, "v1", "ConfigMap"),
        ):
            made = pod.post(
                path, json={"apiVersion": version, "kind": kind, "metadata": {"name": "dnslb"}}
            )
            assert made.status_code == 201, made.text
            assert pod.get(f"{path}/dnslb").status_code == 200
            assert pod.put(f"{path}/dnslb", json=made.json()).status_code == 200
            named = {"fieldSelector": "metadata.name=dnslb"}
            assert pod.get(path, params=named).status_code == 200
            for forbidden in (
                pod.get(path),
                pod.get(f"{path}/other"),
                pod.delete(f"{path}/dnslb"),
                pod.patch(f"{path}/dnslb", json={}),
            ):
                assert forbidden.status_code == 403
        assert pod.get(f"/api/v1/{NAMESPACED}/secrets").status_code == 403
        assert pod.get(leases.replace("dns", "default")).status_code == 403
