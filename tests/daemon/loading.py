"""Loading configurations in tests: from a text, arguments and an environment, to what comes out.

Not a test. Nothing of the machine's own environment gets in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dnslb.daemon.config import Config
from dnslb.daemon.load import load_config
from dnslb.daemon.problems import ConfigProblems

MINIMAL = ("-election", "singleton", "-instance-id", "one")


class Loader:
    """Writes a file and loads it; ``problems`` shortens the file's path to its name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "dnslb.toml"

    def load(
        self,
        toml: str | None = None,
        argv: Sequence[str] = MINIMAL,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        if toml is not None:
            self.file.write_text(toml)
            argv = ["-cfg", str(self.file), *argv]
        return load_config(argv, environ or {})

    def problems(
        self,
        toml: str | None = None,
        argv: Sequence[str] = MINIMAL,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Every mistake as it is told; empty when there is none."""
        try:
            self.load(toml, argv, environ)
        except ConfigProblems as problems:
            return [self._short(str(problem)) for problem in problems.problems]
        return []

    def warnings(
        self,
        toml: str | None = None,
        argv: Sequence[str] = MINIMAL,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        return [self._short(text) for text in self.load(toml, argv, environ).warnings]

    def _short(self, text: str) -> str:
        return text.replace(f"{self.directory}/", "")
