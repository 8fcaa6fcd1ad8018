"""A real terminal in tmux: keys in, the screen out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


class Tmux:
    """A tmux server of its own, with one window in which the console runs."""

    def __init__(self, directory: Path, socket: Path) -> None:
        self._socket = directory / "tmux"
        environ = f"PYTHONPATH={ROOT} DNSLB_SOCKET={socket} COLORTERM=truecolor"
        console = f"{sys.executable} -m dnslbctl; echo left with $?; sleep 600"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
                   f"env -u NO_COLOR {environ} sh -c '{console}'")  # fmt: skip

    def _tmux(self, *words: str) -> str:
        # Its locale decides whether it keeps what is not ASCII.
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        done = subprocess.run(["tmux", "-u", "-S", str(self._socket), *words], env=environ,
                              capture_output=True, text=True, timeout=30, check=True)  # fmt: skip
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def until(self, what: Callable[[str], bool]) -> str:
        """The screen once it is so; patience only bounds a failing test."""
        end = time.monotonic() + PATIENCE_S
        while not what(screen := self.screen):
            assert time.monotonic() < end, screen
            time.sleep(0.05)
        return screen

    def until_shown(self, *texts: str) -> str:
        return self.until(lambda screen: all(text in screen for text in texts))

    def close(self) -> None:
        self._tmux("kill-server")
