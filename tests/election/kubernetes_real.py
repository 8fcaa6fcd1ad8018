"""A real API server over a real etcd, where there is a `kube-apiserver` on the path.

No registry that this project uses has one ready-made. Debian's source package `kubernetes` builds
it: `go build ./cmd/kube-apiserver` in its GOPATH, once `openapi-gen` (vendored) has generated
``zz_generated.openapi.go`` for pkg, kube-aggregator and apiextensions-apiserver.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

BINARY = "kube-apiserver"
TOKENS = {"dnslb": "token-of-dnslb", "admin": "token-of-admin"}
USER = "system:serviceaccount:dns:dnslb"
START_S_MAX = 120.0


def is_here() -> bool:
    return bool(shutil.which(BINARY) and shutil.which("etcd"))


class RealServer:
    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.url = f"https://127.0.0.1:{port}"
        self.admin = httpx.Client(
            base_url=self.url,
            verify=False,
            headers={"Authorization": f"Bearer {TOKENS['admin']}"},
        )

    def kubeconfig(self) -> Path:
        cluster = {
            "server": self.url,
            "certificate-authority": str(self.directory / "apiserver.crt"),
        }
        path = self.directory / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"token": TOKENS["dnslb"]}}],
                }
            )
        )
        return path

    def set_up(self) -> None:
        """The namespace, and the Role as `dnslb.election.kubernetes` lists it."""
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/dns"
        self._post("/api/v1/namespaces", "v1", "Namespace", "dns")
        rules = [
            {"apiGroups": [group], "resources": [resource], **rule}
            for group, resource in (("coordination.k8s.io", "leases"), ("", "configmaps"))
            for rule in (
                {"resourceNames": ["dnslb"], "verbs": ["get", "list", "watch", "update"]},
                {"verbs": ["create"]},
            )
        ]
        version = "rbac.authorization.k8s.io/v1"
        self._post(f"{rbac}/roles", version, "Role", "dnslb", rules=rules)
        group = {"apiGroup": "rbac.authorization.k8s.io"}
        self._post(
            f"{rbac}/rolebindings",
            version,
            "RoleBinding",
            "dnslb",
            roleRef={**group, "kind": "Role", "name": "dnslb"},
            subjects=[{**group, "kind": "User", "name": USER}],
        )

    def _post(self, path: str, version: str, kind: str, name: str, **rest: object) -> None:
        heading = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        self.admin.post(path, json={**heading, **rest}).raise_for_status()

    def wait_ready(self) -> None:
        ends_at = time.monotonic() + START_S_MAX
        while True:
            try:
                if self.admin.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > ends_at:
                raise TimeoutError((self.directory / f"{BINARY}.log").read_text()[-2000:])
            time.sleep(0.2)


@contextmanager
def real_server(directory: Path) -> Iterator[RealServer]:
    etcd_port, peer_port, port = _free_ports(3)
    etcd, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    key = directory / "accounts.key"
    _run("openssl", "genrsa", "-out", str(key), "2048")
    tokens = directory / "tokens.csv"
    tokens.write_text(f'{TOKENS["admin"]},admin,1,"system:masters"\n{TOKENS["dnslb"]},{USER},2\n')
    with ExitStack() as stack:
        etcd_flags = {
            "data-dir": str(directory / "etcd"),
            "listen-client-urls": etcd,
            "advertise-client-urls": etcd,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        }
        api_flags = {
            "etcd-servers": etcd,
            "cert-dir": str(directory),
            "secure-port": str(port),
            "bind-address": "127.0.0.1",
            "service-account-key-file": str(key),
            "service-account-signing-key-file": str(key),
            "service-account-issuer": "https://127.0.0.1",
            "token-auth-file": str(tokens),
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.0.0.0/24",
            "disable-admission-plugins": "ServiceAccount",
        }
        stack.enter_context(_process("etcd", etcd_flags, directory))
        stack.enter_context(_process(BINARY, api_flags, directory))
        server = RealServer(directory, port)
        stack.callback(server.admin.close)
        server.wait_ready()
        server.set_up()
        yield server


@contextmanager
def _process(program: str, flags: dict[str, str], directory: Path) -> Iterator[None]:
    words = [program, *(f"--{name}={value}" for name, value in flags.items())]
    with (directory / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=directory)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            place = stack.enter_context(socket.socket())
            place.bind(("127.0.0.1", 0))
            ports.append(int(place.getsockname()[1]))
        return ports
