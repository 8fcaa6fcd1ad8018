"""The manifests as written: against the schemas of the API, and what pods may do."""

from __future__ import annotations

import copy

import kubernetes_validate
import pytest
import yaml

from dnslb.daemon.process import EXIT_S_MAX
from tests.deploy.manifests import (
    KUBERNETES,
    MODES,
    Object,
    Pod,
    documents,
    kustomized,
    one,
    workload,
)

VERSIONS = ("1.31", "1.37")
FOUNDER = {"dnslb-founder": {"pod": "dnslb-0"}}


@pytest.fixture(params=MODES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return kustomized(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_them(objects: list[Object], version: str) -> None:
    for one_object in objects:
        kubernetes_validate.validate(one_object, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_the_secrets_which_hold_none(version: str) -> None:
    for secret in documents((KUBERNETES / "secrets.example.yaml").read_text()):
        kubernetes_validate.validate(secret, version, strict=True)
        assert all("PUT" in value for value in secret["stringData"].values())


@pytest.mark.parametrize("mode", MODES)
def test_each_file_alone_is_right_too(mode: str) -> None:
    """But for what is only laid over others."""
    folder = KUBERNETES / mode
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    resources = {name for name in listed["resources"] if name.endswith(".yaml")}
    patches = {patch["path"] for patch in listed.get("patches", [])}
    assert {path.name for path in folder.glob("*.yaml")} == {
        "kustomization.yaml",
        *resources,
        *patches,
    }
    for name in resources:
        for found in documents((folder / name).read_text()):
            kubernetes_validate.validate(found, VERSIONS[-1], strict=True)


def test_the_api_refuses_what_is_wrong() -> None:
    wrong = copy.deepcopy(workload(kustomized("raft")))
    wrong["spec"]["replicass"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="replicass"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_all_is_in_one_namespace_and_every_selector_meets_the_pods(objects: list[Object]) -> None:
    labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
    selectors = [workload(objects)["spec"]["selector"]["matchLabels"]]
    for found in objects:
        assert found["metadata"]["namespace"] == "dns"
        spec = found.get("spec", {})
        if found["kind"] == "Service":
            selectors.append(spec["selector"])
        if found["kind"] == "PodDisruptionBudget":
            selectors.append(spec["selector"]["matchLabels"])
        if found["kind"] == "NetworkPolicy":
            selectors.append(spec["podSelector"]["matchLabels"])
    assert len(selectors) >= 4
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_every_port_that_is_named_is_one_of_the_container(objects: list[Object]) -> None:
    pod = Pod(workload(objects), "dnslb-0")
    names = {port["name"] for port in pod.container["ports"]}
    policies = [found["spec"] for found in objects if found["kind"] == "NetworkPolicy"]
    rules = [rule for policy in policies for rule in policy["ingress"]]
    used = {port["port"] for rule in rules for port in rule["ports"]}
    for service in (o for o in objects if o["kind"] == "Service"):
        used |= {port["targetPort"] for port in service["spec"]["ports"]}
    assert used == names


def test_pods_meet_the_restricted_standard(objects: list[Object]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and a root that is
    read-only."""
    pod = Pod(workload(objects), "dnslb-0")
    assert pod.spec["securityContext"]["runAsNonRoot"] is True
    assert pod.spec["securityContext"]["runAsUser"] > 0
    assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"configMap", "emptyDir", "secret"}
    for volume in pod.spec["volumes"]:
        assert set(volume) - {"name"} <= allowed
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
    assert pod.spec["terminationGracePeriodSeconds"] > EXIT_S_MAX
    assert pod.spec["enableServiceLinks"] is False


def test_a_role_of_just_what_is_needed() -> None:
    """What `dnslb.election.kubernetes` says that it asks for, and nothing else."""
    role = one(kustomized("lease"), "Role")
    allowed = {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }
    kinds = (("coordination.k8s.io", "leases"), ("", "configmaps"))
    verbs = ("get", "list", "watch", "update")
    needed = {(*kind, "dnslb", verb) for kind in kinds for verb in verbs}
    assert allowed == needed | {(*kind, "*", "create") for kind in kinds}
    raft = kustomized("raft")
    assert not [found for found in raft if found["kind"].startswith("Role")]
    assert Pod(workload(raft), "dnslb-0").spec["automountServiceAccountToken"] is False


def test_only_the_founder_founds_and_only_while_it_is_named() -> None:
    """Else a member that lost its volume would found a cluster of its own, for ever."""
    statefulset = workload(kustomized("raft"))
    for name, maps, founds in (
        ("dnslb-0", FOUNDER, True),
        ("dnslb-1", FOUNDER, False),
        ("dnslb-0", {}, False),
    ):
        flags = Pod(statefulset, name).spoken(maps)
        assert ("-raft-bootstrap" in flags) is founds
        assert f"{name}.dnslb-raft:3648" in flags
