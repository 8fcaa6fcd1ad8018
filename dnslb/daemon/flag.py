"""What a flag is: its names in the three places where it can be given, its kind and meaning.

Not the table of them (`flags.py`), and not their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dnslb.daemon.kinds import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flag(Generic[T]):
    """One flag. ``shown_default``: how the default is described where it is worked out.

    ``live``: a reload puts a change into force; else it takes a restart. ``belongs_to``: the
    flag and value without which this one has no effect. ``toml_key``: "" when not in a file.
    """

    name: str
    kind: Kind[Any]
    default: T
    meaning: str
    shown_default: str = ""
    live: bool = False
    belongs_to: tuple[str, str] | None = None
    toml_key: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable that means this flag."""
        return self.name.upper().replace("-", "_")

    @property
    def key(self) -> str:
        """The key that means this flag in a TOML file; "" for none."""
        return self.name if self.toml_key is None else self.toml_key
