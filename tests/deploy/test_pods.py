"""The workloads as a kubelet would start them: real processes, each in a root and a network of
its own, with the command lines, variables, mounts and probes of the manifests."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from tests.deploy.api_server import PORT
from tests.deploy.conftest import Seal
from tests.deploy.manifests import Pod, kustomized, one, workload
from tests.deploy.pods import Running
from tests.deploy.sealed import Account, Entry
from tests.deploy.switch import GATEWAY, Switch
from tests.system.test_raft_tls import pki

SECRET = "c2VjcmV0IG9mIG5vYm9keQ=="
TSIG = f'key "k." {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
AGENTS_HOST = "dnslb-agents.example.org"
AGENT_FILES = ("ca.crt", "fra-1.crt", "fra-1.key")
PROVIDER = {"dnslb-provider": {"tsig.key": TSIG.encode()}}


def start_agent(seal: Seal, switch: Switch, tmp_path: Path, *, at: str) -> None:
    """Outside of the cluster, where AGENTS_HOST is the address ``at``."""
    account = Account("agent", 1000, 1000)
    files = {name: (tmp_path / "pki" / name).read_bytes() for name in AGENT_FILES}
    entries = [Entry(f"/agent/{name}", data, account) for name, data in files.items()]
    sealed = seal(accounts=(account,), entries=entries, hosts={AGENTS_HOST: at})
    switch.connect(sealed, "10.1.0.100")
    ca, crt, key = (f"/agent/{name}" for name in AGENT_FILES)
    upstream = f"https://{AGENTS_HOST}:8443"
    # What is out of its reach here is no news to it, so it is told to report all the same.
    words = ("dnslb", "agent", "-name", "fra-1", "-keep-alive", "1", "-upstream", upstream)
    command = [*words, "-ca", ca, "-crt", crt, "-key", key]
    sealed.start(command, account, {}, tmp_path / "agent.log")


def hears_agent(pod: Running) -> bool:
    return any(agent["fresh"] for agent in pod.status()["agents"] if agent["name"] == "fra-1")


def test_the_statefulset(seal: Seal, switch: Switch, tmp_path: Path) -> None:
    """As the documentation says: founded by one, joined by two, each by its own name; what an
    agent elsewhere tells one of them the others know."""
    objects = kustomized("raft-with-agents")
    names = {f"dnslb-{i}.dnslb-raft": f"10.1.0.{i + 1}" for i in range(3)}
    where = ("-dir", str(tmp_path / "pki"))
    pki("init", *where)
    for host in names:
        name = host.partition(".")[0]
        pki("issue", name, "-role", "member", "-host", host, "-host", AGENTS_HOST, *where)
    pki("issue", "fra-1", "-role", "agent", *where)
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
    start_agent(seal, switch, tmp_path, at=others[0].address)
    for pod in pods:
        pod.wait(partial(hears_agent, pod))
    for pod in pods:
        pod.terminate()
    for pod in pods:
        assert pod.wait_end() == 0
        assert SECRET not in pod.log


def test_the_deployment(seal: Seal, switch: Switch, tmp_path: Path) -> None:
    """With an API server that allows what the Role allows, and nothing else."""
    objects = kustomized("lease")
    rules = json.dumps(one(objects, "Role")["rules"])
    switch.start(sys.executable, "-m", "tests.deploy.api_server", str(tmp_path), rules)
    account = tmp_path / "serviceaccount"
    mounted = {f"{SERVICE_ACCOUNT}/{p.name}": p.read_bytes() for p in account.iterdir()}
    kubelet = {"KUBERNETES_SERVICE_HOST": GATEWAY, "KUBERNETES_SERVICE_PORT": str(PORT)}
    pods = [
        Running(
            seal,
            Pod(workload(objects), f"dnslb-{letter}"),
            objects,
            f"10.1.0.{number}",
            tmp_path / letter,
            secrets=PROVIDER,
            more=mounted,
        )
        for number, letter in enumerate("ab", 1)
    ]
    # A Lease that is made anew is nobody's for its duration; 15 s is too long for a test.
    timing = {"K8S_LEASE_DURATION": "2", "K8S_RENEW_DEADLINE": "1.5", "K8S_RETRY_PERIOD": "0.3"}
    for pod in pods:
        pod.start(switch, more={**kubelet, **timing})
    for pod in pods:
        pod.wait_probes(switch)
    pods[0].wait(lambda: "leader" in {pod.status()["role"] for pod in pods})
    (leader,) = (pod for pod in pods if pod.status()["role"] == "leader")
    (standby,) = (pod for pod in pods if pod is not leader)
    assert standby.status()["leader"]["id"] == leader.pod.name
    leader.terminate()
    assert leader.wait_end() == 0
    standby.wait(lambda: standby.status()["role"] == "leader")
    standby.terminate()
    assert standby.wait_end() == 0
    for pod in pods:
        assert SECRET not in pod.log
