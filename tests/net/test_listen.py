"""Sockets that open, and sentences for those that cannot."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dnslb.net import listen
from dnslb.net.listen import (
    ListenError,
    bound_port,
    join_address,
    open_tcp,
    open_unix,
    split_address,
)
from dnslb.net.peer import read_peer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:3648", ("localhost", 3648)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("127.0.0.1", 8080)),
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address
    assert split_address(join_address(*address)) == address


@pytest.mark.parametrize(
    "text", ["", "a", "a:", "a:b", "a:65536", "a:-1", "::1:80", "[::1]", "[::1:80", "a:٣"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        split_address(text)


# ------------------------------------------------------------------------------------------ TCP


async def test_loopback_is_the_default() -> None:
    (listener,) = await open_tcp(0)
    async with listener:
        assert listener.socket.getsockname()[0] == "127.0.0.1"
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        client = await trio.open_tcp_stream("127.0.0.1", bound_port(listener))
        async with client, await listener.accept() as accepted:
            address = client.socket.getsockname()
            assert read_peer(accepted).address == address
            assert str(read_peer(accepted)) == f"127.0.0.1:{address[1]}"
            assert read_peer(accepted).account == "127.0.0.1"


async def test_a_taken_port_is_named() -> None:
    (listener,) = await open_tcp(0)
    async with listener:
        port = bound_port(listener)
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: the port is already") as e:
            await open_tcp(port)
        assert e.value.in_use


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("203.0.113.77", r"203\.0\.113\.77:0: this machine does not have that address"),
        ("2001:db8::77", r"\[2001:db8::77\]:0: this machine does not"),
        ("no.such.host.invalid", "the host name is unknown"),
        ("x" * 300, "the host name is unknown"),
    ],
)
async def test_addresses_that_are_not_ours(host: str, sentence: str) -> None:
    with pytest.raises(ListenError, match=sentence) as caught:
        await open_tcp(0, host)
    assert not caught.value.in_use


class _Resolver(trio.abc.HostnameResolver):
    """Knows one name, and what it stands for."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def getaddrinfo(  # type: ignore[override]
        self, host: bytes | None, port: int, *args: object
    ) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        await trio.lowlevel.checkpoint()
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0))
            if ":" in text
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in self._addresses
        ]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise AssertionError("not asked for")


async def test_a_name_with_two_addresses_has_one_port() -> None:
    trio.socket.set_custom_hostname_resolver(_Resolver("127.0.0.1", "127.0.0.2"))
    listeners = await open_tcp(0, "both.example")
    assert len({bound_port(listener) for listener in listeners}) == 1
    assert len(listeners) == 2
    for listener in listeners:
        await listener.aclose()


async def test_an_address_that_this_machine_lacks_is_left_out() -> None:
    trio.socket.set_custom_hostname_resolver(_Resolver("2001:db8::77", "127.0.0.1"))
    (listener,) = await open_tcp(0, "both.example")
    await listener.aclose()


async def test_of_two_addresses_none_is_left_open_when_the_other_is_taken() -> None:
    (taken,) = await open_tcp(0, "127.0.0.2")
    port = bound_port(taken)
    trio.socket.set_custom_hostname_resolver(_Resolver("127.0.0.1", "127.0.0.2"))
    with pytest.raises(ListenError, match=f"both.example:{port}"):
        await open_tcp(port, "both.example")
    (again,) = await open_tcp(port, "127.0.0.1")
    await again.aclose()
    await taken.aclose()


def test_errors_without_a_sentence_of_ours_keep_the_systems() -> None:
    error = listen._tcp_error("x:1", OSError(errno.ENOBUFS, "No buffer space available"))
    assert str(error) == "cannot listen on x:1: No buffer space available"
    assert "CAP_NET_BIND_SERVICE" in str(listen._tcp_error("x:1", OSError(errno.EACCES, "")))


# ----------------------------------------------------------------------------------------- unix


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    path = tmp_path / "run" / "dnslb" / "a.sock"
    listener = await open_unix(path)
    assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    client = await trio.open_unix_socket(str(path))
    async with client, await listener.accept() as accepted:
        credentials = read_peer(accepted).credentials
        assert credentials is not None
        assert (credentials.pid, credentials.uid) == (os.getpid(), os.getuid())
        assert str(read_peer(accepted)) == f"process {os.getpid()} of user {os.getuid()}"
        assert read_peer(accepted).account == os.getuid()
    await listener.aclose()
    await listener.aclose()
    assert list(path.parent.iterdir()) == []


async def test_a_unix_socket_was_never_less_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    really_chmod = Path.chmod

    def chmod(path: Path, new: int) -> None:
        if path.name == "a.sock":
            modes.append(mode(path))
        really_chmod(path, new)

    monkeypatch.setattr(Path, "chmod", chmod)
    listener = await open_unix(tmp_path / "a.sock", group=os.getgid())
    assert modes == [0o600]
    await listener.aclose()


@pytest.mark.parametrize("named", [True, False])
async def test_a_group_may_be_let_in(tmp_path: Path, named: bool) -> None:
    import grp

    gid = os.getgid()
    group: str | int = grp.getgrgid(gid).gr_name if named else gid
    path = tmp_path / "dnslb" / "a.sock"
    listener = await open_unix(path, group=group)
    assert (mode(path.parent), mode(path)) == (0o750, 0o660)
    assert (path.parent.stat().st_gid, path.lstat().st_gid) == (gid, gid)
    await listener.aclose()


async def test_a_group_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="no group 'no-such-group'"):
        await open_unix(tmp_path / "a.sock", group="no-such-group")
    listener = await open_unix(tmp_path / "a.sock", group=str(os.getgid()))
    await listener.aclose()


async def test_a_living_socket_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = await open_unix(path)
    with pytest.raises(ListenError, match="another process serves it") as caught:
        await open_unix(path)
    assert caught.value.in_use
    await (await trio.open_unix_socket(str(path))).aclose()
    await first.aclose()


async def test_nor_is_one_whose_queue_is_full(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = await open_unix(path, backlog=1)
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        waiting.append(client)
        try:
            client.connect(str(path))
        except BlockingIOError:
            break
    with pytest.raises(ListenError, match="another process serves it"):
        await open_unix(path)
    for client in waiting:
        client.close()
    await first.aclose()


async def test_a_dead_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    listener = await open_unix(path)
    await (await trio.open_unix_socket(str(path))).aclose()
    await listener.aclose()
    assert not path.exists()


async def test_of_many_that_start_at_once_over_a_dead_socket_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    winners, losers = [], []

    async def start() -> None:
        try:
            winners.append(await open_unix(path))
        except ListenError as error:
            losers.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(start)
    assert (len(winners), len(losers)) == (1, 7)
    assert all(error.in_use for error in losers)
    await winners[0].aclose()


async def test_waits_while_another_looks_at_the_old_socket(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(ListenError, match="holds a lock"):
            await open_unix(tmp_path / "a.sock")
        assert trio.current_time() == listen.LOCK_WAIT_S
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def finish() -> None:
                listener = await open_unix(tmp_path / "a.sock")
                await listener.aclose()

            await wait_all_tasks_blocked()
            fcntl.flock(other, fcntl.LOCK_UN)
    finally:
        os.close(other)


async def test_a_file_of_that_name_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="a file that is no socket"):
        await open_unix(path)
    assert path.read_text() == "precious"


async def test_a_socket_put_in_our_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listener = await open_unix(path)
    path.rename(tmp_path / "moved.sock")
    path.write_text("another's")
    await listener.aclose()
    assert path.read_text() == "another's"


async def test_closing_while_cancelled_unlinks(tmp_path: Path) -> None:
    listener = await open_unix(tmp_path / "a.sock")
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.aclose()
    assert os.listdir(tmp_path) == []


async def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="longer than 107 bytes"):
        await open_unix(tmp_path / ("x" * 108))


async def test_a_directory_where_everybody_may_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ListenError, match="can be written by everybody"):
        await open_unix(tmp_path / "open" / "a.sock")
    (tmp_path / "open").chmod(0o1777)
    listener = await open_unix(tmp_path / "open" / "a.sock")
    await listener.aclose()


async def test_a_directory_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.stat(tmp_path).st_uid
    if owner == 0:
        os.chown(tmp_path, 12345, -1)
        owner = 12345
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ListenError, match=f"belongs to user {owner}"):
        await open_unix(tmp_path / "a.sock")


async def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ListenError, match="is not a directory"):
        await open_unix(tmp_path / "file" / "a.sock")
    with pytest.raises(ListenError, match="cannot listen on"):
        await open_unix(tmp_path / "file" / "below" / "a.sock")
