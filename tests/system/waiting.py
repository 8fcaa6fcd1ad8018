"""Waiting for real processes, none of which may end meanwhile; and which of them leads."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from dnslbctl.client import Failed
from tests.system.stage import PATIENCE_S


class Watched(Protocol):
    name: str
    log_file: Path
    process: subprocess.Popen[bytes] | None

    @property
    def log(self) -> str: ...


def wait_for(
    watched: Callable[[], Iterable[Watched]],
    what: Callable[[], bool],
    patience_s: float = PATIENCE_S,
) -> None:
    """Until it is so; patience only bounds a failing test."""
    end = time.monotonic() + patience_s
    while not what():
        for one in watched():
            gone = one.process is not None and one.process.poll() is not None
            assert not gone, f"{one.name} ended:\n{one.log[-3000:]}"
        assert time.monotonic() < end, "\n".join(
            f"{one.name}:\n{one.log[-2000:]}" for one in watched() if one.log_file.exists()
        )
        time.sleep(0.02)


def leading(watched: Iterable[Watched], status: Callable[[str], Any], but: str) -> str | None:
    """Who leads, as its own status says; the last one that says so."""
    found = None
    for one in watched:
        if one.process is None or one.name == but:
            continue
        with contextlib.suppress(Failed):
            if status(one.name)["role"] == "leader":
                found = one.name
    return found
