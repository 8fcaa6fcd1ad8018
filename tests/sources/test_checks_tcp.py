"""The tcp check on real sockets."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import struct
from collections.abc import Iterator

import pytest
import trio

from dnslb.model.loadbalancer import Monitor
from dnslb.sources.checks import tcp
from dnslb.sources.checks.result import CheckFailed
from tests.sources import endpoints

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_listener_is_healthy() -> None:
    async with endpoints.serving(endpoints.hang) as port:
        assert await tcp.check(Monitor("tcp", LOOPBACK, port)) == (True, "success", 0.0)


async def test_a_closed_port_is_refused() -> None:
    with endpoints.refusing() as port:
        result = await tcp.check(Monitor("tcp", LOOPBACK, port))
    assert result == (False, "connection refused", 0.0)


async def test_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            # Without IPv6 the check says so, and that it is ours.
            assert (await tcp.check(Monitor("tcp", "::1", 80))).healthy is None
            return
        listener.listen()
        monitor = Monitor("tcp", "::1", listener.getsockname()[1])
        assert (await tcp.check(monitor)).healthy


async def test_a_check_leaves_no_socket_waiting() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        await tcp.check(Monitor("tcp", LOOPBACK, listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted, pytest.raises(ConnectionResetError):
            accepted.recv(1)


async def test_a_cancelled_check_closes_its_socket() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with endpoints.silent() as port:
        held = set(os.listdir("/proc/self/fd"))
        with trio.move_on_after(0.01) as scope:
            await tcp.check(Monitor("tcp", LOOPBACK, port))
        assert scope.cancelled_caught
        assert set(os.listdir("/proc/self/fd")) == held
    assert set(os.listdir("/proc/self/fd")) == before


async def test_no_descriptor_left_is_not_down() -> None:
    with no_descriptor_left():
        result = await tcp.check(Monitor("tcp", LOOPBACK, 80))
    assert result == (None, "not checked: this process has no file descriptor left", 0.0)


async def test_what_our_own_routes_refuse_is_not_down() -> None:
    # No TCP goes to the broadcast address: connect(2) says so before anything is sent.
    result = await tcp.check(Monitor("tcp", "255.255.255.255", 80))
    assert result.healthy is None


def test_a_socket_connected_to_itself_is_nobodys_answer() -> None:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port = sock.getsockname()[1]
        sock.connect((LOOPBACK, port))
        assert tcp.finish(sock, port) == (False, "connection refused", 0.0)


def test_a_connection_that_was_made_then_reset_was_made() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with tcp.begin(LOOPBACK, port) as sock:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            assert tcp.finish(sock, port) == (True, "success", 0.0)


def test_a_refusal_of_connect_itself_is_the_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.ECONNREFUSED)
    with pytest.raises(CheckFailed) as caught:
        tcp.begin(LOOPBACK, 80)
    assert caught.value.result == (False, "connection refused", 0.0)
