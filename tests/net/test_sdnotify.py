"""What systemd is told, and that nothing depends on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslb.net.sdnotify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def test_tells_the_states(supervisor: socket.socket) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": supervisor.getsockname()})
    assert notifier.ready("serving\ntwo zones")
    assert supervisor.recv(100) == b"READY=1\nSTATUS=serving two zones"
    assert notifier.watchdog()
    assert supervisor.recv(100) == b"WATCHDOG=1"
    assert notifier.stopping()
    assert supervisor.recv(100) == b"STOPPING=1"


def test_an_abstract_address() -> None:
    name = f"dnslb-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.setblocking(False)
        assert Notifier(f"@{name}").ready()
        assert sock.recv(100) == b"READY=1"


def test_silent_when_nobody_asked() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.ready()
    assert notifier.watchdog_s is None


def test_a_supervisor_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "nobody")).ready()


@pytest.mark.parametrize(
    ("usec", "pid", "watchdog_s"),
    [
        ("30000000", None, 30.0),
        ("30000000", str(os.getpid()), 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdogs_period(usec: str, pid: str | None, watchdog_s: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec}
    if pid is not None:
        environ["WATCHDOG_PID"] = pid
    assert Notifier.from_environment(environ).watchdog_s == watchdog_s
