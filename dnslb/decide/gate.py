"""May anything be written yet? The cold-start gate, and the wait after a stall of our own loop.

No write before a full round from a quorum of agents since the process could listen; after a stall
no withdrawal before a new full round (`safety.md` 3.2).
"""

from __future__ import annotations

from dnslb.decide.agents import AgentLedger
from dnslb.decide.settings import Settings
from dnslb.model.instant import Now


class Gate:
    """``closed``: why nothing is written; ``no_withdrawals``: why nothing is withdrawn."""

    def __init__(self) -> None:
        self._started_mono: float | None = None
        self._stalled_mono: float | None = None
        self._opened = False
        self.closed: str | None = "the configuration is not loaded yet"
        self.no_withdrawals: str | None = None

    def start(self, now: Now) -> None:
        """The process can listen; a reload does not start it anew."""
        if self._started_mono is None:
            self._started_mono = now.mono

    def stalled(self, now: Now) -> None:
        self._stalled_mono = now.mono

    def refresh(self, agents: AgentLedger, settings: Settings, now: Now) -> None:
        if self._started_mono is None:
            return
        if not self._opened:
            heard = agents.rounds_since(self._started_mono)
            self._opened = heard >= settings.quorum
            self.closed = None if self._opened else _waiting("nothing is written", heard, settings)
        if self._stalled_mono is not None:
            heard = agents.rounds_since(self._stalled_mono)
            if heard >= settings.quorum:
                self._stalled_mono = None
                self.no_withdrawals = None
            else:
                self.no_withdrawals = _waiting(
                    "after a stall of our own loop nothing is withdrawn", heard, settings
                )


def _waiting(what: str, heard: int, settings: Settings) -> str:
    return (
        f"{what} before a full round from {settings.quorum} of {len(settings.agents)} agents; "
        f"{heard} so far"
    )
