"""The state directory of one instance, and the lock that only one daemon can hold on it.

Not the files in it. The lock is the kernel's (flock(2)): it ends with the process, however that
ends, so no stale lock ever has to be removed by hand.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from dnslb.errors import LocalError

LOCK_NAME = "lock"


class StateDirectory:
    """Makes the directory (mode 0700) when it is missing and locks it, or raises `LocalError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path / LOCK_NAME, flags, 0o600)
        except OSError as e:
            raise LocalError(
                f"The state directory {path} cannot be used: {e.strerror}; choose another with "
                "-state-dir, or give this one to the user that runs dnslb."
            ) from e
        try:
            self._lock()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise LocalError(
                f"The state directory {self.path} is in use by {who}; stop that dnslb, or give "
                "this instance a state directory of its own with -state-dir."
            ) from e
        except OSError as e:
            raise LocalError(
                f"The state directory {self.path} cannot be locked: {e.strerror}."
            ) from e
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as e:
            raise LocalError(
                f"The state directory {self.path} cannot be written: {e.strerror}."
            ) from e

    def close(self) -> None:
        """Gives the lock back; doing it twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
