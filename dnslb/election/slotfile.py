"""One value in one file that is as large as it will be: two slots, overwritten in place in turn.

Not what the value means (`state_codec`), and not a log: the newest is all that counts. Overwriting
changes no name, no size and no block of the file, so one small sync makes it durable, where a file
beside it and a rename need three (`docs/decisions/state-in-two-slots.md`).

    dnslb-slot 1 <capacity> <sequence> <length> <digest>\\n <value> ...   | the same again

Law: what `write` was asked for is there when it returns; when it raises, or the machine stops in
it, at whichever byte, the value before is there, or the new one, and nothing else. Never is a slot
written while the other one does not hold the value that counts. A file that is not ours any more
(another inode, a hard link, another size) is never overwritten, but replaced as a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

VALUE_BYTES_MAX = 64 * 1024 * 1024
_BLOCK = 4096
_SPARE = 1.5
_HEADER = re.compile(rb"dnslb-slot 1 (\d{10}) (\d{19}) (\d{10}) ([0-9a-f]{32})\n")
_HEADER_BYTES = 88


class Slot(NamedTuple):
    """A valid one. ``place``: 0 or 1; the greater ``sequence`` is the newer value."""

    sequence: int
    place: int
    value: bytes


def slot_bytes(capacity: int, sequence: int, value: bytes) -> bytes:
    """A slot, without what was in it before and is not overwritten."""
    numbers = b"%010d %019d %010d" % (capacity, sequence, len(value))
    digest = hashlib.blake2b(numbers + value, digest_size=16).hexdigest()
    return b"dnslb-slot 1 %b %b\n%b" % (numbers, digest.encode(), value)


def newest_slot(data: bytes) -> Slot | None:
    """Of a whole file; None when neither slot is as it was written."""
    capacity, odd = divmod(len(data), 2)
    slots = [_read_slot(data, capacity, place) for place in (0, 1)] if not odd else []
    return max(filter(None, slots), default=None)


def _read_slot(data: bytes, capacity: int, place: int) -> Slot | None:
    header = _HEADER.match(data, place * capacity)
    if header is None:
        return None
    sequence, length = int(header[2]), int(header[3])
    value = data[header.end() : header.end() + length]
    written = slot_bytes(capacity, sequence, value)
    same = data.startswith(written, place * capacity) and len(value) == length
    return Slot(sequence, place, value) if same and len(written) <= capacity else None


class SlotFile:
    """``path``: in a directory that this process alone uses. Every call blocks; one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = Slot(0, 0, b"")
        self._exists = False
        self._mirrored = True
        self._capacity = 0
        self._ours: tuple[int, int] | None = None

    def read(self) -> bytes | None:
        """The value; the whole file where it has no valid slot, for whoever knows what else it
        may be; None without a file. Raises OSError."""
        try:
            with open(self._path, "rb") as file:
                data = file.read(4 * VALUE_BYTES_MAX)
                status = os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        self._exists = True
        slot = newest_slot(data)
        if slot is None:
            self._now = Slot(0, 0, data)
            return data
        self._now, self._mirrored = slot, False
        self._capacity, self._ours = len(data) // 2, (status.st_dev, status.st_ino)
        return slot.value

    def write(self, value: bytes) -> None:
        """Raises OSError; then the value before is in force, and the next call starts afresh."""
        if len(value) > VALUE_BYTES_MAX:
            raise OSError(f"more than {VALUE_BYTES_MAX} bytes are never read back")
        slot = Slot(self._now.sequence + 1, 1 - self._now.place, value)
        fits = _HEADER_BYTES + len(value) <= self._capacity
        descriptor = self._open_ours() if fits else None
        if descriptor is None:
            self._replace(slot)
            return
        try:
            self._overwrite(descriptor, slot)
        except OSError:
            # It may or may not outlive a power cut: so that the value before counts, it goes.
            with contextlib.suppress(OSError):
                self._overwrite(descriptor, self._now._replace(place=slot.place))
            self._ours = None
            raise
        finally:
            os.close(descriptor)
        self._now, self._mirrored = slot, False

    def mirror(self) -> None:
        """Puts the value into the other slot, too, so that neither's decay is a loss. Raises
        OSError, which harms no value."""
        if self._mirrored or (descriptor := self._open_ours()) is None:
            return
        try:
            self._overwrite(descriptor, self._now._replace(place=1 - self._now.place))
            self._mirrored = True
        except OSError:
            self._ours = None
            raise
        finally:
            os.close(descriptor)

    # -------------------------------------------------------------------------------- in place

    def _open_ours(self) -> int | None:
        """The file, if it is still the one that was read or made here."""
        if self._ours is None:
            return None
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        status = os.fstat(descriptor)
        same = (status.st_dev, status.st_ino) == self._ours
        if same and status.st_nlink == 1 and status.st_size == 2 * self._capacity:
            return descriptor
        os.close(descriptor)
        return None

    def _overwrite(self, descriptor: int, slot: Slot) -> None:
        data = slot_bytes(self._capacity, slot.sequence, slot.value)
        _write_at(descriptor, data, slot.place * self._capacity)
        os.fdatasync(descriptor)

    # ------------------------------------------------------------------------------- as a whole

    def _replace(self, slot: Slot) -> None:
        needed = _HEADER_BYTES + len(slot.value)
        capacity = self._capacity
        if needed > capacity:
            capacity = -(-int(needed * _SPARE) // _BLOCK) * _BLOCK
        half = slot_bytes(capacity, slot.sequence, slot.value).ljust(capacity, b"\0")
        status = self._put(half + half)
        self._now, self._mirrored, self._exists = slot, True, True
        self._capacity, self._ours = capacity, (status.st_dev, status.st_ino)

    def _put(self, data: bytes) -> os.stat_result:
        beside = self._path.with_name(self._path.name + ".new")
        try:
            status = _write_synced(beside, data)
            os.rename(beside, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        try:
            _sync_directory(self._path.parent)
        except OSError:
            # As above: what may or may not outlive a power cut goes.
            with contextlib.suppress(OSError):
                self._put_back(beside)
            raise
        return status

    def _put_back(self, beside: Path) -> None:
        if not self._exists:
            os.unlink(self._path)
            return
        _write_synced(beside, self._now.value)
        os.rename(beside, self._path)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _write_synced(path: Path, data: bytes) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        _write_at(descriptor, data, 0)
        os.fsync(descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
