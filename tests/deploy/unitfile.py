"""A unit file of systemd with its drop-ins, as far as a test must read it to run its commands.

Not a judge of the file: that is `systemd-analyze verify`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.tidy import ROOT

DIRECTORY = ROOT / "docs/deploy/systemd"
_SPECIFIER = re.compile(r"%(.)")


@dataclass(frozen=True)
class Unit:
    """``settings``: (section, key) → its values in their order."""

    name: str
    settings: Mapping[tuple[str, str], list[str]]

    @classmethod
    def read(cls, name: str, *drop_ins: str) -> Unit:
        settings: dict[tuple[str, str], list[str]] = {}
        for path in (name, *(f"{name}.d/{one}" for one in drop_ins)):
            for section, key, value in _lines(DIRECTORY / path):
                settings.setdefault((section, key), []).append(value)
        return cls(name, settings)

    def service(self, key: str) -> list[str]:
        return [self.expanded(value) for value in self.settings.get(("Service", key), [])]

    def one(self, key: str) -> str:
        (value,) = self.service(key)
        return value

    @property
    def credentials(self) -> str:
        return f"/run/credentials/{self.name}"

    def expanded(self, value: str) -> str:
        """With the specifiers of systemd.unit(5) that the files use; KeyError for others."""
        meaning = {"d": self.credentials, "S": "/var/lib", "t": "/run", "%": "%"}
        return _SPECIFIER.sub(lambda found: meaning[found[1]], value)

    @property
    def loaded(self) -> dict[str, str]:
        """Credentials: name → the file of the host."""
        pairs = (value.partition(":") for value in self.service("LoadCredential"))
        return {name: source for name, _, source in pairs}

    @property
    def environ(self) -> dict[str, str]:
        """Of Environment=; what systemd adds is the caller's."""
        pairs = (value.partition("=") for value in self.service("Environment"))
        return {name: value for name, _, value in pairs}

    def commands(self, key: str, environ: Mapping[str, str]) -> list[list[str]]:
        """The command lines of ExecStart= and the like: ``$NAME`` alone becomes several words."""
        return [
            [word for part in shlex.split(line) for word in _words(part, environ)]
            for line in self.service(key)
        ]


def _words(part: str, environ: Mapping[str, str]) -> Iterable[str]:
    if part.startswith("$"):
        return environ[part[1:]].split()
    return (part,)


def _lines(path: Path) -> Iterable[tuple[str, str, str]]:
    section = ""
    for line in path.read_text().splitlines():
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert section, line
        yield section, key, value
