"""Tells systemd how a process is (sd_notify(3)); silent when nobody asked to be told.

The watchdog is fed by the event loop alone, never by a thread: when the loop hangs, nothing is
sent, and systemd ends the process and starts it anew.

Law: a process never fails or waits for this; what could not be told is returned as False.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import trio

from dnslb.net.clock import monotonic_usec

STATUS_CHARACTERS_MAX = 400
"""systemd drops a whole message above one page (NOTIFY_BUFFER_MAX), in UTF-8."""
LOOK_S = 1.0
"""How often `Notifier.run` looks whether there is another status to tell."""
AGAIN_S = 0.05
READY_TRIES_MAX = 20


class Notifier:
    """The supervisor's socket; ``address`` None means that there is none."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        # A leading @ stands for the zero byte of an abstract address (unix(7)).
        self._address = f"\0{address[1:]}" if address and address[0] == "@" else address
        self.watchdog_s = watchdog_s
        """Within how many seconds `watchdog` must be called again; None: no watchdog."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3))."""
        address = environ.get("NOTIFY_SOCKET") or None
        usec = environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if address is None or not for_us or not usec.isdecimal() or int(usec) == 0:
            return cls(address)
        return cls(address, int(usec) / 1_000_000)

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload, is complete."""
        return self._tell("READY=1", status)

    def reloading(self) -> bool:
        """A reload has begun; `ready` must follow. As Type=notify-reload wants it."""
        return self._tell(f"RELOADING=1\nMONOTONIC_USEC={monotonic_usec()}")

    def stopping(self, status: str = "") -> bool:
        """Shutdown has begun."""
        return self._tell("STOPPING=1", status)

    def watchdog(self) -> bool:
        """Still alive; call it at least twice per `watchdog_s`."""
        return self._tell("WATCHDOG=1")

    def status(self, sentence: str) -> bool:
        """One line for ``systemctl status``."""
        return self._tell("", sentence)

    async def insist_ready(self, status: str = "") -> bool:
        """`ready`, again for a while when systemd is too busy to take it: one that is lost would
        end the process at the time-out of its start."""
        for _ in range(READY_TRIES_MAX):
            if self._address is None or self.ready(status):
                return self._address is not None
            await trio.sleep(AGAIN_S)
        return False

    async def run(self, describe: Callable[[], str]) -> None:
        """Feeds the watchdog and tells ``describe()`` whenever that has changed, until
        cancelled. Returns at once when nobody asked."""
        if self._address is None:
            return
        # Three times per period, so that one message may be lost.
        feed_s = LOOK_S if self.watchdog_s is None else self.watchdog_s / 3
        look_s, fed_s, told = min(LOOK_S, feed_s), feed_s, ""
        while True:
            fed_s += look_s
            if self.watchdog_s is not None and fed_s >= feed_s and self.watchdog():
                fed_s = 0.0
            sentence = describe()
            if sentence != told and self.status(sentence):
                told = sentence
            await trio.sleep(look_s)

    def _tell(self, state: str, status: str = "") -> bool:
        """True when systemd took the message."""
        if self._address is None:
            return False
        lines = [state] if state else []
        if status:
            lines.append(f"STATUS={_one_line(status)}")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= STATUS_CHARACTERS_MAX else line[: STATUS_CHARACTERS_MAX - 3] + "..."
