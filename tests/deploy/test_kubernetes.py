"""The manifests: against the schemas of the API, as pods, and what they may do."""

from __future__ import annotations

import copy
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from dnslb.daemon.process import EXIT_S_MAX
from tests.deploy.conftest import Seal
from tests.deploy.manifests import KUBERNETES, MODES, Object, Pod, documents, kustomized, one
from tests.deploy.sealed import ROOT_ACCOUNT, Account, Entry, Place, Sealed, wait_until
from tests.deploy.switch import Switch
from tests.system.test_raft_tls import pki

VERSIONS = ("1.31", "1.37")
ENTRYPOINT = ("/opt/dnslb/bin/dnslb",)
SECRET = "c2VjcmV0IG9mIG5vYm9keQ=="
TSIG = f'key "k." {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
FOUNDER = {"dnslb-founder": {"pod": "dnslb-0"}}


@pytest.fixture(params=MODES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return kustomized(request.param)


def workload(objects: list[Object]) -> Object:
    (found,) = (o for o in objects if o["kind"] in {"StatefulSet", "Deployment"})
    return found


# --------------------------------------------------------------------------------- as written


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
    paths = [path for path in (KUBERNETES / mode).glob("*.yaml") if path.stem != "kustomization"]
    for path in paths:
        for found in documents(path.read_text()):
            kubernetes_validate.validate(found, VERSIONS[-1], strict=True)
    listed = yaml.safe_load((KUBERNETES / mode / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in paths} == set(listed)


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
    policy = one(objects, "NetworkPolicy")["spec"]
    used = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
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
    assert (
        workload(kustomized("raft"))["spec"]["template"]["spec"]["automountServiceAccountToken"]
        is False
    )


# ------------------------------------------------------------------------------------ as pods


class Member:
    """A pod of the StatefulSet that runs: a sealed root with what the manifest mounts."""

    def __init__(
        self, seal: Seal, pod: Pod, objects: list[Object], pki_dir: Path, number: int
    ) -> None:
        self.pod = pod
        self.address = f"10.1.0.{number + 1}"
        ids = pod.spec["securityContext"]
        self.account = Account("dnslb", ids["runAsUser"], ids["runAsGroup"], (ids["fsGroup"],))
        secrets = {
            "dnslb-tls": {p.name: p.read_bytes() for p in pki_dir.iterdir() if p.name != "ca.key"},
            "dnslb-provider": {"tsig.key": TSIG.encode()},
        }
        entries, places = [], []
        # As a kubelet leaves them: root's, and writable for the group by fsGroup.
        mounted = Account("root", 0, ids["fsGroup"])
        for path, (mount, volume) in pod.mounts.items():
            if "secret" in volume:
                for name, content in secrets[volume["secret"]["secretName"]].items():
                    mode = volume["secret"]["defaultMode"]
                    entries.append(Entry(f"{path}/{name}", content, mounted, mode))
            elif "configMap" in volume:
                data = one(objects, "ConfigMap")["data"]
                text = data[mount["subPath"]]
                entries.append(Entry(path, text.encode(), ROOT_ACCOUNT, 0o444))
            else:
                places.append(Place(path, mounted, 0o2777))
        names = {f"dnslb-{i}.dnslb-raft": f"10.1.0.{i + 1}" for i in range(3)}
        self.sealed: Sealed = seal(
            accounts=(self.account,), entries=entries, places=places, hosts=names
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, log: Path, config_maps: dict[str, dict[str, str]]) -> None:
        environ = self.pod.environ(config_maps)
        command = self.pod.command(environ, ENTRYPOINT)
        self.log = log
        self.process = self.sealed.start(command, self.account, environ, log)

    def exec(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``kubectl exec``: in the pod, as its user, without its variables of the start."""
        return self.sealed.run(words, self.account)


@pytest.fixture
def switch() -> Iterator[Switch]:
    made = Switch()
    yield made
    made.close()


def test_the_statefulset_as_processes(
    seal: Seal, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As the documentation says: founded by one, joined by two, each by its own name."""
    objects = kustomized("raft")
    pki("init", "-dir", str(tmp_path / "pki"))
    members = []
    for number in range(3):
        name = f"dnslb-{number}"
        host = f"{name}.dnslb-raft"
        pki("issue", name, "-role", "member", "-host", host, "-dir", str(tmp_path / "pki"))
    for number in range(3):
        pod = Pod(workload(objects), f"dnslb-{number}")
        members.append(Member(seal, pod, objects, tmp_path / "pki", number))
    switch: Switch = request.getfixturevalue("switch")
    for member in members:
        switch.connect(member.sealed, member.address)
        member.start(tmp_path / f"{member.pod.name}.log", FOUNDER)
    for member in members:
        assert member.process is not None
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            succeeds = partial(switch.succeeds, member.address, *member.pod.probe(probe))
            wait_until(succeeds, member.process, member.log)
    first = members[0]
    for other in members[1:]:
        name = other.pod.name
        done = first.exec("dnslbctl", "raft", "add_voter", name, f"{name}.dnslb-raft:3648", "0")
        assert done.returncode == 0, done.stderr + other.log.read_text()
    told = first.exec("dnslbctl", "raft", "get_configuration").stdout.splitlines()
    assert [line.split()[1] for line in told] == ["VOTER"] * 3
    for member in members:
        assert member.process is not None
        member.process.send_signal(signal.SIGTERM)
    for member in members:
        assert member.process is not None
        assert member.process.wait(timeout=10) == 0
        assert SECRET not in member.log.read_text()


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
