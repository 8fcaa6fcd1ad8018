"""Zone files on a disk: taken in whole, and replaced whole; knows no records.

Not for the event loop: every function here may block.

Law: a file is replaced only by a synced one with the same owner, mode and attributes, in the
same directory, and only while its content is what was read. Every error of the system becomes a
`ProviderError` with its cause; none becomes "no such zone" but a plain absence.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dnslb.errors import (
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.providers.zonefile_text import BYTES_MAX

_NEEDS_A_PERSON = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)
_LEFT_OVER = ".dnslb-"
_LEFT_OVER_AGE_S = 600.0
# What the kernel or an administrator guards: kept where we may, no reason to refuse where not.
_GUARDED_ATTRIBUTES = ("security.", "trusted.")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was taken in. ``target``: where its symbolic links end. ``signature``: device,
    inode, size and times, which tell cheaply that nobody touched it since."""

    path: Path
    target: Path
    signature: tuple[int, ...]
    digest: bytes
    modified_wall: float

    def looks_the_same(self) -> bool:
        """Whether the file has not been touched since; asks for its status alone."""
        try:
            return _signature(os.stat(self.path)) == self.signature
        except OSError:
            return False


def file_of(directory: Path, zone: str) -> Path:
    return directory / f"{zone}.zone"


def zone_of(directory: Path, name: str) -> str | None:
    """The longest zone that ``name`` lies in and that has a file, or a broken link, here."""
    with _translated(f"The directory {directory}"):
        if not stat.S_ISDIR(os.stat(directory).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    labels = name.split(".")
    for zone in (".".join(labels[i:]) for i in range(len(labels))):
        with _translated(f"The directory {directory}"):
            if _exists(file_of(directory, zone)):
                return zone
    return None


def take_in(path: Path) -> tuple[Snapshot, bytes]:
    """The whole content of a zone file. Raises `ProviderError`: a file that is missing, no plain
    file, too large, or that named writes itself."""
    with _translated(f"The zone file {path}"):
        target = Path(os.path.realpath(path, strict=True))
        _refuse_journal(path, target)
        # Without O_NONBLOCK a named pipe would hold us for ever.
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ProviderRefusal(f"The zone file {path} is no plain file.")
            if status.st_size > BYTES_MAX:
                raise ProviderRefusal(f"The zone file {path} is larger than {BYTES_MAX} bytes.")
            data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        finally:
            os.close(descriptor)
    if len(data) != status.st_size:
        raise ProviderTemporary(f"The zone file {path} changed while it was read.", 1.0)
    return _snapshot(path, target, status, data), data


def lay_beside(snapshot: Snapshot, data: bytes) -> Path:
    """Writes ``data`` to a file beside the zone file, with its owner, mode and attributes, and
    syncs it; its path. Nothing is left behind when it fails."""
    target = snapshot.target
    with _translated(f"The new version of {snapshot.path}"):
        status = os.stat(target)
        if not os.access(target, os.W_OK):
            raise ProviderRefusal(
                f"The zone file {snapshot.path} is read-only for this user; make it writable, so "
                "that dnslb may change it."
            )
        if status.st_nlink > 1:
            raise ProviderRefusal(
                f"The zone file {snapshot.path} has {status.st_nlink} hard links, which a new "
                "version would part; use a symbolic link."
            )
        beside = target.with_name(f".{target.name}{_LEFT_OVER}{secrets.token_hex(6)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(beside, flags, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                _keep_attributes(snapshot, status, descriptor)
                os.fsync(descriptor)
        except BaseException:
            discard(beside)
            raise
    return beside


def put_in_place(beside: Path, snapshot: Snapshot, data: bytes) -> Snapshot:
    """Renames ``beside`` over the zone file if that is still what was taken in.

    Raises `ProviderConflict` when it is not, `OutcomeUnknown` when it cannot be said whether the
    new file will be there after a power cut.
    """
    current, _ = take_in(snapshot.path)
    if (current.digest, current.target) != (snapshot.digest, snapshot.target):
        raise ProviderConflict(f"The zone file {snapshot.path} was changed by somebody else.")
    with _translated(f"The zone file {snapshot.path}"):
        os.rename(beside, snapshot.target)
    try:
        directory = os.open(snapshot.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return _snapshot(snapshot.path, snapshot.target, os.stat(snapshot.target), data)
    except OSError as e:
        raise OutcomeUnknown(
            f"The zone file {snapshot.path} was replaced, but its directory could not be synced: "
            f"{e.strerror}."
        ) from e


def sweep(snapshot: Snapshot) -> None:
    """Removes what a killed process left beside the file long ago."""
    prefix = f".{snapshot.target.name}{_LEFT_OVER}"
    with _translated(f"The directory {snapshot.target.parent}"):
        before = os.stat(snapshot.target.parent).st_mtime - _LEFT_OVER_AGE_S
        with os.scandir(snapshot.target.parent) as found:
            left = [f.path for f in found if f.name.startswith(prefix)]
    for path in left:
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime < before:
                os.unlink(path)


def discard(beside: Path) -> None:
    """Removes a file that was laid beside and is not wanted; it may be gone already."""
    with contextlib.suppress(OSError):
        os.unlink(beside)


def _snapshot(path: Path, target: Path, status: os.stat_result, data: bytes) -> Snapshot:
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return Snapshot(path, target, _signature(status), digest, status.st_mtime)


def _exists(path: Path) -> bool:
    """Whether something is there, be it a broken link; other errors are raised."""
    try:
        os.lstat(path)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return False
        raise
    return True


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _refuse_journal(path: Path, target: Path) -> None:
    for file in dict.fromkeys((path, target)):
        journal = file.with_name(file.name + ".jnl")
        if _exists(journal):
            raise ProviderRefusal(
                f"The zone file {path} has a journal beside it ({journal.name}): named keeps "
                "this zone itself and would lose an edit. Use the provider bind for it, or make "
                "it static and let 'rndc sync -clean' remove the journal."
            )


def _keep_attributes(snapshot: Snapshot, status: os.stat_result, descriptor: int) -> None:
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        except OSError as e:
            raise ProviderRefusal(
                f"A new version of {snapshot.path} could not be given to its owner (uid "
                f"{status.st_uid}, gid {status.st_gid}); give the file to the user that runs "
                "dnslb, in a group of that user."
            ) from e
    for name in _attributes(snapshot.target):
        try:
            value = os.getxattr(snapshot.target, name)
            os.setxattr(descriptor, name, value)
        except OSError as e:
            if not name.startswith(_GUARDED_ATTRIBUTES):
                raise ProviderRefusal(
                    f"The attribute {name} of {snapshot.path} cannot be kept: {e.strerror}."
                ) from e
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _attributes(target: Path) -> list[str]:
    try:
        return os.listxattr(target)
    except (OSError, AttributeError):  # a file system or an operating system without them
        return []


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    """Errors of the system as `ProviderError`, by whether trying again can help."""
    try:
        yield
    except ProviderError:
        raise
    except FileNotFoundError as e:
        raise ProviderRefusal(f"{subject} does not exist.") from e
    except OSError as e:
        kind = ProviderRefusal if e.errno in _NEEDS_A_PERSON else ProviderTemporary
        raise kind(f"{subject} cannot be read or written: {e.strerror or e}.") from e
