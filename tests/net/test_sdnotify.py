"""What systemd is told, and that nothing depends on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dnslb.net.sdnotify import STATUS_CHARACTERS_MAX, Notifier

HANGS = """
import time
import trio
from dnslb.net.sdnotify import Notifier

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Notifier.from_environment().run, lambda: "on its way")
        await trio.sleep(0.2)
        Notifier.from_environment().ready()
        time.sleep(60)

trio.run(main)
"""


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


def test_a_reload(supervisor: socket.socket) -> None:
    notifier = Notifier(supervisor.getsockname())
    before = time.monotonic_ns() // 1000
    assert notifier.reloading()
    head, usec = supervisor.recv(100).split(b"\nMONOTONIC_USEC=")
    assert head == b"RELOADING=1"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_a_status_stays_below_what_systemd_takes(supervisor: socket.socket) -> None:
    assert Notifier(supervisor.getsockname()).status("ü" * 5000)
    told = supervisor.recv(10_000).decode()
    assert told == f"STATUS={'ü' * (STATUS_CHARACTERS_MAX - 3)}..."


def everything(supervisor: socket.socket) -> list[str]:
    told: list[str] = []
    while True:
        try:
            told.append(supervisor.recv(10_000).decode())
        except BlockingIOError:
            return told


async def test_the_watchdog_is_fed_and_a_status_told_when_it_changed(
    supervisor: socket.socket, autojump_clock: MockClock
) -> None:
    sentence = "starting"
    async with trio.open_nursery() as nursery:
        notifier = Notifier(supervisor.getsockname(), watchdog_s=30.0)
        nursery.start_soon(notifier.run, lambda: sentence)
        await trio.sleep(0.5)
        assert everything(supervisor) == ["WATCHDOG=1", "STATUS=starting"]
        await trio.sleep(8)
        assert everything(supervisor) == []
        sentence = "serving"
        await trio.sleep(20.1)
        assert everything(supervisor) == ["STATUS=serving", "WATCHDOG=1", "WATCHDOG=1"]
        nursery.cancel_scope.cancel()


async def test_a_short_watchdog_is_fed_in_time(
    supervisor: socket.socket, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1.9):
        await Notifier(supervisor.getsockname(), watchdog_s=0.6).run(str)
    assert everything(supervisor) == ["WATCHDOG=1"] * 10


async def test_nothing_runs_where_nobody_asked() -> None:
    with trio.fail_after(5):
        await Notifier(None).run(str)
        assert not await Notifier(None).insist_ready()


async def test_ready_is_told_again_while_systemd_takes_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = str(tmp_path / "notify")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Notifier(path).insist_ready)
        await trio.sleep(0.12)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
            late.bind(path)
            late.setblocking(False)
            await trio.sleep(0.1)
            assert late.recv(100) == b"READY=1"
    with trio.fail_after(60):
        assert not await Notifier(str(tmp_path / "nobody")).insist_ready()


def test_a_loop_that_hangs_feeds_no_watchdog(supervisor: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "30000"}
    process = subprocess.Popen([sys.executable, "-c", HANGS], env={**os.environ, **environ})
    try:
        supervisor.settimeout(20)
        told = list(iter(partial(supervisor.recv, 100), b"READY=1"))
        assert told.count(b"WATCHDOG=1") > 1
        supervisor.settimeout(0.3)
        with pytest.raises(TimeoutError):
            supervisor.recv(100)
    finally:
        process.kill()
        process.wait()


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
        ("30000000", "our own", 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdogs_period(usec: str, pid: str | None, watchdog_s: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec}
    if pid is not None:
        environ["WATCHDOG_PID"] = str(os.getpid()) if pid == "our own" else pid
    assert Notifier.from_environment(environ).watchdog_s == watchdog_s
