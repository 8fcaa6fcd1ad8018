"""One blocking call, as the thread that makes it and the task that waits for it both see it.

Law: what nobody waits for any more is not begun, and what it holds is let go of, however the two
run into each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dnslb.net.clock import boot_s


class Errand:
    """``ends_at``: on the boot clock."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._let_go: Callable[[], None] | None = None

    @property
    def remaining_s(self) -> float:
        """0 when nobody waits any more."""
        with self._lock:
            return 0.0 if self._is_abandoned else max(0.0, self.ends_at - boot_s())

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._is_abandoned = True
            let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()

    def hold(self, let_go: Callable[[], None]) -> None:
        """``let_go`` is called once, from either thread, when nobody waits any more."""
        with self._lock:
            if not self._is_abandoned:
                self._let_go = let_go
                return
        let_go()
