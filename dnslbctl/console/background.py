"""Work beside the message loop, which ends with what started it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from textual.dom import DOMNode


def start(node: DOMNode, work: Callable[[], Awaitable[None]], group: str = "") -> None:
    """Begins ``work``; of a named group the one before is cancelled. It is handed over as a
    callable, since a coroutine that is cancelled before it began warns that nobody awaited it."""
    begin: Any = work
    node.run_worker(begin, group=group or "default", exclusive=bool(group))
