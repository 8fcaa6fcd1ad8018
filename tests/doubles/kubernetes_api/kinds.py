"""The two kinds that the double knows, and a refusal as the server words it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


class Refused(Exception):
    """A Status that is no success."""

    def __init__(
        self, code: int, reason: str | None, message: str, details: Document | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            "details": details or {},
            "code": code,
        }


@dataclass(frozen=True)
class Resource:
    name: str
    kind: str
    group: str
    create_on_update: bool
    unconditional_update: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def qualified(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name

    def bookmark(self, version: int) -> Document:
        return {
            "kind": self.kind,
            "apiVersion": self.api_version,
            "metadata": {"resourceVersion": str(version), "creationTimestamp": None},
            **({"spec": {}} if self.kind == "Lease" else {}),
        }

    def details(self, name: str, kind: str = "") -> Document:
        named = {"name": name} if name else {}
        group = {"group": self.group} if self.group else {}
        return {**named, **group, "kind": kind or self.name}


LEASES = Resource("leases", "Lease", "coordination.k8s.io", True, False)
CONFIG_MAPS = Resource("configmaps", "ConfigMap", "", False, True)
RESOURCES = {resource.name: resource for resource in (LEASES, CONFIG_MAPS)}
