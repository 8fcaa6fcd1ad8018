"""Opens listening sockets, TCP and unix, and says in one sentence why one could not be opened.

Law: nothing is reachable from outside unless asked for (loopback is the default), and a unix
socket that somebody serves is never taken away from them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import socket
import stat
from pathlib import Path

import trio

from dnslb.errors import LocalError

LOOPBACK = "127.0.0.1"
PATH_BYTES_MAX = 107  # sun_path less its final zero byte (unix(7))
LOCK_WAIT_S = 5.0


class ListenError(LocalError):
    """A socket could not be opened; names it. ``in_use``: because somebody else serves it."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


def split_address(text: str, *, host: str = LOOPBACK) -> tuple[str, int]:
    """Host and port of ``host:port``, ``[v6]:port``, ``:port`` or ``port``; raises ValueError.

    ``host`` stands in where the text names none.
    """
    name, colon, port_text = text.rpartition(":")
    if colon and name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    elif ":" in name or "[" in name or "]" in name:
        raise ValueError(f"{text!r}: write an IPv6 address with a port as [address]:port")
    if not (port_text.isascii() and port_text.isdecimal()) or int(port_text) > 65535:
        raise ValueError(f"{text!r} is not host:port with a port from 0 to 65535")
    return name or host, int(port_text)


def join_address(host: str, port: int) -> str:
    """``host:port``, IPv6 addresses in brackets: the inverse of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def open_tcp(
    port: int, host: str = LOOPBACK, *, backlog: int = 128
) -> list[trio.SocketListener]:
    """Listens at every address of ``host`` (``localhost`` may have two), all at the same port.

    ``port`` 0 takes a free one: see `bound_port`. Raises `ListenError`.
    """
    where = join_address(host, port)
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ListenError(f"cannot listen on {where}: the host name is unknown") from error
    # A name may stand for addresses that this machine lacks (::1 without IPv6): they are left
    # out as long as one works. A taken port always counts: half a service would be worse.
    listeners: list[trio.SocketListener] = []
    lacking: OSError | None = None
    try:
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            common_port = bound_port(listeners[0]) if listeners else port
            try:
                listeners.append(
                    _open_one(family, (address[0], common_port, *address[2:]), backlog)
                )
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
                lacking = error
    except BaseException as error:
        for listener in listeners:
            listener.socket.close()
        if isinstance(error, OSError):
            raise _tcp_error(where, error) from error
        raise
    if not listeners:
        raise _tcp_error(where, lacking) from lacking
    return listeners


def bound_port(listener: trio.SocketListener) -> int:
    """The port that a TCP listener really has."""
    port = listener.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


def _open_one(family: int, address: tuple[object, ...], backlog: int) -> trio.SocketListener:
    """At a numeric address, so nothing here waits."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _tcp_error(where: str, error: OSError | None) -> ListenError:
    code = error.errno if error else errno.EADDRNOTAVAIL
    why = {
        errno.EADDRINUSE: "the port is already in use by another process",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EAFNOSUPPORT: "this machine does not speak that kind of address",
        errno.EACCES: "not permitted (a port below 1024 needs CAP_NET_BIND_SERVICE)",
    }.get(code or 0, error.strerror if error else None)
    return ListenError(f"cannot listen on {where}: {why}", in_use=code == errno.EADDRINUSE)


class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """A listening unix socket that takes its name out of the file system when it is closed."""

    def __init__(self, sock: trio.socket.SocketType, path: Path, inode: tuple[int, int]) -> None:
        self.path = path
        self._listener = trio.SocketListener(sock)
        self._inode = inode
        self._closed = False

    async def accept(self) -> trio.SocketStream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            # While we still listen nobody takes the name, so it cannot be another's here,
            # unless somebody moved it by hand: that one is left alone.
            with contextlib.suppress(OSError):
                if _inode(self.path) == self._inode:
                    self.path.unlink()
        await self._listener.aclose()


async def open_unix(
    path: Path | str, *, group: str | int | None = None, backlog: int = 64
) -> UnixListener:
    """Listens on a unix socket of mode 0600, or 0660 with ``group`` (name or number).

    A missing directory is made: 0700, or 0750 with the group. The name of a dead socket is
    taken over, that of a living one never. Raises `ListenError`.
    """
    path = Path(path)
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ListenError(
            f"cannot listen on {path}: the path is longer than {PATH_BYTES_MAX} bytes"
        )
    try:
        gid = _gid(group)
        _make_directory(path.parent, gid)
        # Held from the look at the old socket until the new one listens: of two daemons that
        # start at once, the second finds the first alive. The directory itself is locked, so
        # that no lock file stays behind.
        directory_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            await _lock(directory_fd, path)
            _clear_dead(path)
            return _bind_unix(path, gid, backlog)
        finally:
            os.close(directory_fd)
    except OSError as error:
        why = error.strerror or str(error)
        raise ListenError(f"cannot listen on {path}: {why}") from error


def _gid(group: str | int | None) -> int | None:
    if group is None or isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdecimal():
            return int(group)
        raise ListenError(f"there is no group {group!r} for the control socket") from None


def _make_directory(directory: Path, gid: int | None) -> None:
    """Makes the directory, or refuses one where others could put a socket in our place."""
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            if gid is not None:
                os.chown(directory, -1, gid)
                directory.chmod(0o750)
    found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise ListenError(f"{directory} is not a directory")
    if found.st_uid not in {os.geteuid(), 0}:
        raise ListenError(
            f"{directory} belongs to user {found.st_uid}, not to this daemon's user or root"
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise ListenError(f"{directory} can be written by everybody: take that right away")


async def _lock(directory_fd: int, path: Path) -> None:
    with trio.move_on_after(LOCK_WAIT_S):
        while True:
            try:
                return fcntl.flock(directory_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await trio.sleep(0.05)
    raise ListenError(
        f"cannot listen on {path}: another process holds a lock on its directory", in_use=True
    )


def _clear_dead(path: Path) -> None:
    """Unlinks the socket that a daemon left behind; raises when it is alive, or no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {path}: a file that is no socket has this name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody owns it
    raise ListenError(f"cannot listen on {path}: another process serves it", in_use=True)


def _bind_unix(path: Path, gid: int | None, backlog: int) -> UnixListener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux creates the name with the mode of the socket itself, so there is no moment in
        # which the name has more rights; changing the umask would touch other threads.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(os.fspath(path))
        inode = _inode(path)
        try:
            if gid is not None:
                os.chown(path, -1, gid)
            path.chmod(0o600 if gid is None else 0o660)
            sock.listen(backlog)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except BaseException:
        sock.close()
        raise
    return UnixListener(trio.socket.from_stdlib_socket(sock), path, inode)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
