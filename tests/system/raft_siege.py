"""Anybody's connections to a raft port with TLS: a thousand that say nothing, or too little.

Not what they could say (`test_raft_hostile`): what they take from those who belong there.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from dnslb.election.raft.frames import MAGIC

CONNECTIONS = 1000
SPARE_FILES = 200
# Of one host's many addresses; members come from the first one, too.
SOURCES = ("127.0.0.1", "127.0.0.2")
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)
Guest = Callable[[socket.socket, int], socket.socket]


def silent(one: socket.socket, number: int) -> socket.socket:
    """Slow in the handshake: none, or a part of the first message."""
    one.sendall(HELLO[: number % len(HELLO)])
    return one


def half_greeted(pair: Path) -> Guest:
    """Through the handshake with a certificate that is no member's, and then a part of MAGIC."""
    context = ssl.create_default_context(cafile=str(pair.parent / "ca.crt"))
    context.load_cert_chain(f"{pair}.crt", f"{pair}.key")

    def guest(one: socket.socket, number: int) -> socket.socket:
        secured = context.wrap_socket(one, server_hostname="localhost")
        try:
            secured.sendall(MAGIC[: 1 + number % (len(MAGIC) - 1)])
        except OSError:
            secured.close()
            raise
        return secured

    return guest


class Siege:
    """One kind of guest from one address: as many as may be stay, and come again when sent away."""

    def __init__(self, port: int, source: str, guest: Guest, many: int) -> None:
        self.came = 0
        self._port, self._source, self._guest = port, source, guest
        self._many = many
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        held: list[socket.socket] = []
        while not self._over.wait(0.001):
            if len(held) >= self._many:
                held.pop(0).close()
            with contextlib.suppress(OSError):
                held.append(self._come())
        for one in held:
            one.close()

    def _come(self) -> socket.socket:
        plain = socket.create_connection(
            ("127.0.0.1", self._port), timeout=2, source_address=(self._source, 0)
        )
        try:
            guest = self._guest(plain, self.came)
        except OSError:
            plain.close()
            raise
        self.came += 1
        return guest


@contextlib.contextmanager
def besieged(pair: Path, *ports: int) -> Iterator[list[Siege]]:
    """As long as it lasts. ``pair``: of somebody who is no member."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))
    guests = (silent, half_greeted(pair), half_greeted(pair))
    ways = list(itertools.product(ports, SOURCES, guests))
    sieges = [Siege(*way, CONNECTIONS // len(ways)) for way in ways]
    try:
        yield sieges
    finally:
        for one in sieges:
            one.end()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
