"""A value that changes and can be waited for; only its newest state counts."""

from __future__ import annotations

from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Watched(Protocol[T_co]):
    @property
    def value(self) -> T_co:
        """The newest value."""

    @property
    def revision(self) -> int:
        """Grows by at least one with each change."""

    async def wait_changed(self, revision: int) -> T_co:
        """Returns the newest value once the revision differs from ``revision``."""
