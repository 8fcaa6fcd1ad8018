"""Pods that run: sealed roots with what a manifest mounts, each with an address of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.deploy.manifests import Object, Pod, one
from tests.deploy.sealed import ROOT_ACCOUNT, Account, Entry, Place, Sealed, wait_until
from tests.deploy.switch import Switch

ENTRYPOINT = ("/opt/dnslb/bin/dnslb",)
"""The image's, which stands there on its PATH."""
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
Files = Mapping[str, bytes]


class Running:
    """One pod, from its volumes on. ``secrets``: name → its files. ``more``: what a kubelet mounts
    without being asked. ``names``: what the cluster's DNS would say."""

    def __init__(
        self,
        seal: Callable[..., Sealed],
        pod: Pod,
        objects: Sequence[Object],
        address: str,
        log: Path,
        *,
        secrets: Mapping[str, Files],
        more: Files | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.pod, self.address, self.log_file = pod, address, log
        ids = pod.spec["securityContext"]
        self.account = Account("dnslb", ids["runAsUser"], ids["runAsGroup"], (ids["fsGroup"],))
        # As a kubelet leaves them: root's, and open to the group by fsGroup.
        mounted = Account("root", 0, ids["fsGroup"])
        entries = [Entry(path, data, mounted, 0o440) for path, data in (more or {}).items()]
        places = []
        for path, (mount, volume) in pod.mounts.items():
            if "secret" in volume:
                mode = volume["secret"]["defaultMode"]
                files = secrets[volume["secret"]["secretName"]]
                entries += [Entry(f"{path}/{n}", data, mounted, mode) for n, data in files.items()]
            elif "configMap" in volume:
                text = one(objects, "ConfigMap")["data"][mount["subPath"]]
                entries.append(Entry(path, text.encode(), ROOT_ACCOUNT, 0o444))
            else:
                places.append(Place(path, mounted, 0o2777))
        self.sealed = seal(
            accounts=(self.account,), entries=entries, places=places, hosts=names or {}
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def start(
        self,
        switch: Switch,
        *,
        config_maps: Mapping[str, Mapping[str, str]] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """``more``: variables that a kubelet sets without being asked."""
        switch.connect(self.sealed, self.address)
        environ = {**(more or {}), **self.pod.environ(config_maps or {})}
        command = self.pod.command(environ, ENTRYPOINT)
        self._process = self.sealed.start(command, self.account, environ, self.log_file)

    def wait(self, what: Callable[[], bool]) -> None:
        assert self._process is not None
        wait_until(what, self._process, self.log_file)

    def wait_probes(self, switch: Switch) -> None:
        """Until each of them is answered, as from the node."""
        for probe in PROBES:
            self.wait(partial(switch.succeeds, self.address, *self.pod.probe(probe)))

    def exec(self, *words: str) -> str:
        """``kubectl exec``: in the pod, as its user, without its variables of the start."""
        done = self.sealed.run(words, self.account)
        assert done.returncode == 0, done.stderr + self.log
        return done.stdout

    def status(self) -> Any:
        return json.loads(self.exec("dnslbctl", "--json", "status"))

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait_end(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=10)
