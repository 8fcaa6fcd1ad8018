"""A TCP proxy before a DNS server that can hold one update back, as a slow network would.

Not a double of the server: every byte goes through to the real one, and comes back, sooner or
later. Runs in threads, since the daemon before it and the server behind it are processes.
"""

from __future__ import annotations

import socket
import threading

HOST = "127.0.0.1"
_UPDATE = 5


class HoldingProxy:
    """Close it. ``port``: where it listens; ``held``: set while an update is held back."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._armed = threading.Event()
        self.held = threading.Event()
        self._released = threading.Event()
        self._released.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold_next(self) -> None:
        """The next update that changes something is held until `release`."""
        self.held.clear()
        self._released.clear()
        self._armed.set()

    def release(self) -> None:
        self._armed.clear()
        self._released.set()

    def close(self) -> None:
        self.release()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            for target, ends in ((self._upward, (client, server)), (_pipe, (server, client))):
                threading.Thread(target=target, args=ends, daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        """Message by message (RFC 1035 4.2.2)."""
        with client, server:
            try:
                while size := _exactly(client, 2):
                    message = _exactly(client, int.from_bytes(size, "big"))
                    changes = message[2] >> 3 & 15 == _UPDATE and message[8:10] != b"\0\0"
                    if changes and self._armed.is_set():
                        self._armed.clear()
                        self.held.set()
                        self._released.wait()
                    server.sendall(size + message)
            except OSError:
                return


def _pipe(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes; fewer when the other side ended."""
    data = b""
    while len(data) < size and (more := source.recv(size - len(data))):
        data += more
    return data
