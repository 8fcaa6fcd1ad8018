"""Tells systemd how the daemon is (sd_notify(3)); silent when nobody asked to be told.

Law: the daemon never fails or waits for this; what could not be told is returned as False.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


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
        """Start-up is complete."""
        return self._tell("READY=1", status)

    def stopping(self, status: str = "") -> bool:
        """Shutdown has begun."""
        return self._tell("STOPPING=1", status)

    def watchdog(self, status: str = "") -> bool:
        """Still alive; call it at least twice per `watchdog_s`."""
        return self._tell("WATCHDOG=1", status)

    def _tell(self, state: str, status: str) -> bool:
        """True when systemd took the message; ``status`` is one line for ``systemctl status``."""
        if self._address is None:
            return False
        if status:
            state = f"{state}\nSTATUS={' '.join(status.split())}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), self._address)
        except OSError:
            return False
        return True
