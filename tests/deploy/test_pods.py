"""The workloads as a kubelet would start them: real processes, each in a root and a network of
its own, with the command lines, variables, mounts and probes of the manifests."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.conftest import Seal
from tests.deploy.manifests import Pod, kustomized, workload
from tests.deploy.pods import Running
from tests.deploy.switch import Switch
from tests.system.test_raft_tls import pki

SECRET = "c2VjcmV0IG9mIG5vYm9keQ=="
TSIG = f'key "k." {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
PROVIDER = {"dnslb-provider": {"tsig.key": TSIG.encode()}}


def test_the_statefulset(seal: Seal, switch: Switch, tmp_path: Path) -> None:
    """As the documentation says: founded by one, joined by two, each by its own name."""
    objects = kustomized("raft")
    names = {f"dnslb-{i}.dnslb-raft": f"10.1.0.{i + 1}" for i in range(3)}
    pki("init", "-dir", str(tmp_path / "pki"))
    for host in names:
        name = host.partition(".")[0]
        pki("issue", name, "-role", "member", "-host", host, "-dir", str(tmp_path / "pki"))
    tls = {p.name: p.read_bytes() for p in (tmp_path / "pki").iterdir() if p.name != "ca.key"}
    pods = [
        Running(
            seal,
            Pod(workload(objects), host.partition(".")[0]),
            objects,
            address,
            tmp_path / host,
            secrets={**PROVIDER, "dnslb-tls": tls},
            names=names,
        )
        for host, address in names.items()
    ]
    for pod in pods:
        pod.start(switch, config_maps={"dnslb-founder": {"pod": "dnslb-0"}})
    for pod in pods:
        pod.wait_probes(switch)
    first, *others = pods
    for other in others:
        name = other.pod.name
        first.exec("dnslbctl", "raft", "add_voter", name, f"{name}.dnslb-raft:3648", "0")
    told = first.exec("dnslbctl", "raft", "get_configuration").splitlines()
    assert [line.split()[1] for line in told] == ["VOTER"] * 3
    for pod in pods:
        pod.terminate()
    for pod in pods:
        assert pod.wait_end() == 0
        assert SECRET not in pod.log
