"""Where a double is, as files: its authority, a kubeconfig, a token, a service account."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

from tests.doubles.kubernetes_api.server import KubernetesApi
from tests.doubles.kubernetes_api.terms import Rule, least_rules
from tests.doubles.pki import Authority

NAMESPACE = "dns"
NAME = "dnslb"
USER = "system:serviceaccount:dns:dnslb"


class Place:
    """Files below ``directory`` for clients of ``api``; `write` them once the port is known."""

    def __init__(self, directory: Path, api: KubernetesApi) -> None:
        self.api = api
        self.directory = directory
        self.authority = Authority(directory / "pki")
        self._server = self.authority.issue("127.0.0.1", "localhost", name="server")
        self.port = 0
        self._users: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def tls(self) -> ssl.SSLContext:
        """The server's; client certificates of its own authority are taken, none is demanded."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self._server.cert is not None
        context.load_cert_chain(self._server.cert, self._server.key)
        context.load_verify_locations(self.authority.ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def kubeconfig(
        self,
        name: str,
        user: dict[str, object],
        *,
        ca: Path | None = None,
        server: str | None = None,
    ) -> Path:
        """JSON is YAML; relative paths are relative to the file."""
        cluster = {
            "server": server or self.url,
            "certificate-authority": str(ca or self.authority.ca_file),
        }
        path = self.directory / f"{name}.kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                }
            )
        )
        path.chmod(0o600)
        return path

    def with_token(
        self, name: str, *, user: str = USER, rules: tuple[Rule, ...] | None = None
    ) -> Path:
        """A kubeconfig whose token stands in a file of its own, ``<name>.token``."""
        token = f"token-of-{name}"
        self._users[name] = user
        self.api.allow(token, user, *(least_rules(NAME) if rules is None else rules))
        token_file = self.directory / f"{name}.token"
        token_file.write_text(token)
        return self.kubeconfig(name, {"tokenFile": str(token_file)})

    def reread_tokens(self) -> None:
        """Those that stand in the files are good, and no others."""
        self.api.tokens = {
            (self.directory / f"{name}.token").read_text(): user
            for name, user in self._users.items()
        }

    def rotate(self, name: str, token: str) -> None:
        """As a kubelet does: another token in the same place; the old one is good no more."""
        user = self.api.tokens.pop((self.directory / f"{name}.token").read_text())
        self.api.tokens[token] = user
        (self.directory / f"{name}.token").write_text(token)

    def service_account(self) -> Path:
        """A directory as it is mounted into a pod."""
        directory = self.directory / "serviceaccount"
        directory.mkdir(exist_ok=True)
        token = "token-of-the-pod"
        self.api.allow(token, USER, *least_rules(NAME))
        (directory / "token").write_text(token)
        (directory / "ca.crt").write_bytes(self.authority.ca_file.read_bytes())
        (directory / "namespace").write_text(NAMESPACE)
        return directory
