"""The chart: what it renders is what the plain manifests say, and every value does what it says."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import (
    CHART,
    MODES,
    Object,
    Pod,
    helm,
    kustomized,
    one,
    rendered,
    workload,
)

HELM_LABELS = {"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
ELECTIONS = ("raft", "k8s")
VALUES = {
    "raft": "election=raft",
    "raft-with-agents": "agents.enabled=true",
    "lease": "election=k8s",
}


def plain(objects: list[Object]) -> list[Object]:
    """Without what each tool adds of its own: digests, labels, and the defaults of the API."""
    text = re.sub(r"dnslb-config-[a-z0-9]{10}\b", "dnslb-config", json.dumps(objects))
    found: list[Object] = json.loads(text)
    for entry in found:
        for label in HELM_LABELS:
            entry["metadata"]["labels"].pop(label, None)
        template = entry.get("spec", {}).get("template")
        if template is None:
            continue
        template["metadata"].pop("annotations", None)
        (container,) = template["spec"]["containers"]
        assert container.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
        named = ("volumeMounts", "env", "ports")
        for one_list in (*(container[key] for key in named), template["spec"]["volumes"]):
            one_list.sort(key=lambda item: str(item["name"]))
    return sorted(found, key=lambda entry: (entry["kind"], entry["metadata"]["name"]))


@pytest.mark.parametrize("mode", MODES)
def test_it_renders_the_plain_manifests(mode: str) -> None:
    config = one(kustomized(mode), "ConfigMap")["data"]["dnslb.toml"]
    chart = rendered("--set", VALUES[mode], "--set-literal", f"config={config}")
    ours, theirs = plain(chart), plain(kustomized(mode))
    assert [(o["kind"], o["metadata"]["name"]) for o in ours] == [
        (o["kind"], o["metadata"]["name"]) for o in theirs
    ]
    for left, right in zip(ours, theirs, strict=True):
        assert left == right


def test_its_own_configuration_is_that_of_the_plain_manifests() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    theirs = one(kustomized("raft"), "ConfigMap")["data"]["dnslb.toml"]
    assert tomllib.loads(values["config"]) == tomllib.loads(theirs)


def test_helm_finds_nothing_wrong() -> None:
    for election in ELECTIONS:
        done = helm("lint", "--strict", "--quiet", str(CHART), "--set", f"election={election}")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("election=paxos", "/election"),
        ("replicas=0", "/replicas"),
        ("replica=3", "replica"),
        ("raft.storage.size=lots", "/raft/storage/size"),
        ("k8s.lockName=No", "/k8s/lockName"),
        ("config=", "/config"),
        ("agents.enabled=true,election=k8s", "/election"),
    ],
)
def test_wrong_values_are_refused(given: str, complaint: str) -> None:
    done = helm("template", "dnslb", str(CHART), "--set", given)
    assert done.returncode != 0
    assert complaint in done.stderr


EVERYTHING: dict[str, Any] = {
    "replicas": 5,
    "image": {"repository": "r.example.org/d", "tag": "2", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "providerSecret": "",
    "extraArgs": ["-debug", "-drift", "report"],
    "extraEnv": [{"name": "AUTODNS_USERNAME", "value": "u"}],
    "raft": {"tlsSecret": "t", "founderConfigMap": "f", "storage": {"className": "fast"}},
    "agents": {"serviceType": "LoadBalancer"},
    "k8s": {"lockName": "lock"},
    "networkPolicy": {"enabled": False},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"operator": "Exists"}],
    "podAnnotations": {"a": "b"},
}


@pytest.mark.parametrize("election", ELECTIONS)
def test_every_value_changes_what_it_says(election: str, tmp_path: Path) -> None:
    """Under another name, in which all names must agree."""
    path = tmp_path / "values.yaml"
    given = copy.deepcopy({"election": election, **EVERYTHING})
    given["agents"]["enabled"] = election == "raft"
    path.write_text(yaml.safe_dump(given))
    done = helm("template", "east", str(CHART), "--values", str(path), "--namespace", "n")
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    for found in objects:
        kubernetes_validate.validate(found, "1.37", strict=True)
        assert found["metadata"]["name"].startswith("east-dnslb")
        assert found["metadata"]["namespace"] == "n"
    assert "NetworkPolicy" not in {found["kind"] for found in objects}
    ours = workload(objects)
    pod = Pod(ours, "east-dnslb-0", "n")
    assert ours["spec"]["replicas"] == 5
    assert pod.container["image"] == "r.example.org/d:2"
    assert pod.container["args"][-3:] == ["-debug", "-drift", "report"]
    assert pod.container["env"][-1] == {"name": "AUTODNS_USERNAME", "value": "u"}
    for key in ("imagePullSecrets", "nodeSelector", "tolerations"):
        assert pod.spec[key] == EVERYTHING[key]
    assert ours["spec"]["template"]["metadata"]["annotations"]["a"] == "b"
    assert "/etc/dnslb/provider" not in pod.mounts
    if election == "raft":
        assert pod.mounts["/etc/dnslb/tls"][1]["secret"]["secretName"] == "t"
        assert ours["spec"]["serviceName"] in {o["metadata"]["name"] for o in objects}
        assert f"$POD_NAME.{ours['spec']['serviceName']}:3648" in pod.container["args"][0]
        (claim,) = ours["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "fast"
        assert one(objects, "Service", "agents")["spec"]["type"] == "LoadBalancer"
    else:
        args = pod.container["args"]
        assert args[args.index("-k8s-lock-name") + 1] == "lock"
        names = {
            name for rule in one(objects, "Role")["rules"] for name in rule.get("resourceNames", [])
        }
        assert names == {"lock"}


def test_more_flags_reach_the_daemon() -> None:
    """Through the shell that decides who founds."""
    chart = rendered("--set", "extraArgs={-debug,-owner-id,two words}")
    flags = Pod(one(chart, "StatefulSet"), "dnslb-0").spoken({"dnslb-founder": {"pod": "dnslb-0"}})
    assert flags[-4:] == ["-raft-bootstrap", "-debug", "-owner-id", "two words"]
