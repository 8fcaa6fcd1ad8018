"""Where health comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import Report
from dnslb.ports.watched import Watched

Deliver = Callable[[Report], Awaitable[None]]
"""Hands a report over; waits for nothing but a checkpoint, since the mailbox coalesces."""


class Source(Protocol):
    """One way for reports to reach us."""

    async def run(self, deliver: Deliver, monitors: Watched[MonitorList]) -> None:
        """Runs until cancelled: checks or announces ``monitors`` as they change, and hands over
        each report. Expected failures are reported by the source's own log, never raised."""
