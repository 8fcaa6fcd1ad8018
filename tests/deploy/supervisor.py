"""Stands where systemd stands: hands out a NOTIFY_SOCKET, and reads what is told there."""

from __future__ import annotations

import socket
from pathlib import Path


class Supervisor:
    """One for each process. ``said``: every message so far, its lines as a mapping."""

    def __init__(self, directory: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = directory / name
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        path.chmod(0o666)
        self.said: list[dict[str, str]] = []

    def close(self) -> None:
        self._socket.close()

    def listen(self) -> None:
        while True:
            try:
                message = self._socket.recv(8192).decode()
            except BlockingIOError:
                return
            pairs = (line.partition("=") for line in message.splitlines())
            self.said.append({key: value for key, _, value in pairs})

    def heard(self, key: str) -> list[str]:
        self.listen()
        return [message[key] for message in self.said if key in message]

    def has_heard(self, key: str, times: int) -> bool:
        return len(self.heard(key)) >= times
