"""Kubernetes objects as the files of docs/deploy make them: by kustomize, and by helm.

Also what a kubelet makes of a pod: its command line, its variables, its mounts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from tests.tidy import ROOT

KUBERNETES = ROOT / "docs/deploy/kubernetes"
CHART = ROOT / "docs/deploy/helm/dnslb"
MODES = ("raft", "raft-with-agents", "lease")
Object = dict[str, Any]
_REFERENCE = re.compile(r"\$\((\w+)\)")


def kustomized(mode: str) -> list[Object]:
    """Skips where there is no kubectl."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("there is no kubectl here")
    return documents(_said(kubectl, "kustomize", str(KUBERNETES / mode)))


def rendered(*words: str) -> list[Object]:
    """The chart, in the namespace and under the name that the plain manifests have."""
    return documents(helm("template", "dnslb", str(CHART), "--namespace", "dns", *words).stdout)


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    if (program := shutil.which("helm")) is None:
        pytest.skip("there is no helm here")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def documents(text: str) -> list[Object]:
    found = [one for one in yaml.safe_load_all(text) if one]
    assert found, text
    return found


def one(objects: Sequence[Object], kind: str, name: str = "") -> Object:
    (found,) = (o for o in objects if o["kind"] == kind and name in o["metadata"]["name"])
    return found


def workload(objects: Sequence[Object]) -> Object:
    (found,) = (o for o in objects if o["kind"] in {"StatefulSet", "Deployment"})
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Pod:
    """One pod of a workload, as a kubelet would start it."""

    def __init__(self, workload: Object, name: str, namespace: str = "dns") -> None:
        self.name = name
        self.spec = workload["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self._fields = {"metadata.name": name, "metadata.namespace": namespace}

    def environ(self, config_maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """``config_maps``: those that there are; a reference to another one must be optional."""
        environ: dict[str, str] = {}
        for variable in self.container["env"]:
            source = variable.get("valueFrom", {})
            if "value" in variable:
                environ[variable["name"]] = _expanded(variable["value"], environ)
            elif "fieldRef" in source:
                environ[variable["name"]] = self._fields[source["fieldRef"]["fieldPath"]]
            else:
                reference = source["configMapKeyRef"]
                value = config_maps.get(reference["name"], {}).get(reference["key"])
                assert value is not None or reference["optional"]
                if value is not None:
                    environ[variable["name"]] = value
        return environ

    def command(self, environ: Mapping[str, str], entrypoint: Sequence[str]) -> list[str]:
        """``entrypoint``: the image's, where the pod has no command of its own."""
        words = [*self.container.get("command", entrypoint), *self.container["args"]]
        return [_expanded(word, environ) for word in words]

    def spoken(self, config_maps: Mapping[str, Mapping[str, str]]) -> list[str]:
        """The flags that reach the daemon through the pod's shell script."""
        environ = self.environ(config_maps)
        command = self.command(environ, ())
        command[2] = command[2].replace("exec dnslb", r"printf '%s\n'")
        environ["PATH"] = "/usr/bin:/bin"
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    @property
    def mounts(self) -> dict[str, tuple[Object, Object]]:
        """Path → (mount, volume); of a claim the volume has just its name."""
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        return {
            mount["mountPath"]: (mount, volumes.get(mount["name"], {"name": mount["name"]}))
            for mount in self.container["volumeMounts"]
        }

    def probe(self, name: str) -> tuple[int, str]:
        """Port and path."""
        get = self.container[name]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        return ports[get["port"]], get["path"]


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    """``$(NAME)`` as Kubernetes replaces it: what is not known stays."""
    return _REFERENCE.sub(lambda found: environ.get(found[1], found[0]), text)
