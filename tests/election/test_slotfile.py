"""Two slots in one file: at whichever byte the machine stops, the old value is there or the new."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dnslb.election import slotfile
from dnslb.election.slotfile import SlotFile, newest_slot

OLD, NEW = b"old " * 300, b"the new one " * 150


def made(tmp_path: Path, *values: bytes) -> SlotFile:
    file = SlotFile(tmp_path / "state")
    for value in values:
        file.write(value)
    return file


def value_in(data: bytes) -> bytes | None:
    slot = newest_slot(data)
    return None if slot is None else slot.value


def reopened(tmp_path: Path, data: bytes) -> SlotFile:
    """What a start finds."""
    (tmp_path / "state").write_bytes(data)
    file = SlotFile(tmp_path / "state")
    file.read()
    return file


def written(tmp_path: Path, act: Callable[[], None]) -> tuple[bytes, bytes, range]:
    """The file before and after, and the bytes that were written in between."""
    path = tmp_path / "state"
    before, calls = path.read_bytes(), list[tuple[bytes, int]]()
    real = os.pwrite

    def watched(descriptor: int, data: bytes, offset: int) -> int:
        calls.append((bytes(data), offset))
        return real(descriptor, data, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", watched)
        act()
    [(data, offset)] = calls
    return before, path.read_bytes(), range(offset, offset + len(data))


def torn(before: bytes, after: bytes, span: range) -> list[bytes]:
    """The file with each number of those bytes written, then with any of its sectors in any mix,
    as a disk may write them."""
    files = [after[:end] + before[end:] for end in range(span.start, span.stop + 1)]
    luck = random.Random(1)
    for size in (512, 4096):
        for _ in range(200):
            mixed = bytearray(before)
            for at in range(span.start - span.start % size, span.stop, size):
                if luck.random() < 0.5:
                    mixed[at : at + size] = after[at : at + size]
            files.append(bytes(mixed))
    return files


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_write_that_is_cut_at_any_byte_leaves_the_old_value_or_the_new(
    tmp_path: Path, mirrored: bool
) -> None:
    file = made(tmp_path, b"older" * 100, b"old but one" * 200, OLD)
    if mirrored:
        file.mirror()
    before, after, span = written(tmp_path, lambda: file.write(NEW))
    assert value_in(before) == OLD
    assert value_in(after) == NEW
    found = [value_in(data) for data in torn(before, after, span)]
    assert set(found) == {OLD, NEW}
    # Only a whole write is the new one: all that was promised rests on its last byte.
    assert found[: len(span)] == [OLD] * len(span)


def test_a_second_copy_that_is_cut_at_any_byte_harms_nothing(tmp_path: Path) -> None:
    file = made(tmp_path, OLD, NEW)
    before, after, span = written(tmp_path, file.mirror)
    assert {value_in(data) for data in torn(before, after, span)} == {NEW}


def test_after_a_crash_at_any_byte_the_next_write_may_crash_too(tmp_path: Path) -> None:
    file, third = made(tmp_path, b"-", OLD), b"third" * 99
    before, after, span = written(tmp_path, lambda: file.write(NEW))
    for data in torn(before, after, span)[:: len(span) // 8]:
        found = value_in(data)
        again = partial(reopened(tmp_path, data).write, third)
        assert {value_in(cut) for cut in torn(*written(tmp_path, again))} == {found, third}


def test_one_slot_may_decay_once_there_are_two_copies(tmp_path: Path) -> None:
    file = made(tmp_path, OLD, NEW)
    file.mirror()
    data = bytearray((tmp_path / "state").read_bytes())
    for at in range(0, len(data), 7):
        data[at] ^= 0x10
        assert value_in(bytes(data)) == NEW, at
        data[at] ^= 0x10


def test_both_slots_decayed_are_no_value(tmp_path: Path) -> None:
    made(tmp_path, OLD)
    data = (tmp_path / "state").read_bytes()
    broken = data.replace(b"old", b"odd")
    assert reopened(tmp_path, broken).read() == broken
    assert newest_slot(broken) is None


def test_a_file_of_another_size_is_no_value(tmp_path: Path) -> None:
    made(tmp_path, OLD, NEW)
    data = (tmp_path / "state").read_bytes()
    for other in (data[:-1], data[:-2], data[: len(data) // 2], data + b"x", data + data):
        assert newest_slot(other) is None


def test_what_does_not_fit_any_more_gets_a_larger_file(tmp_path: Path) -> None:
    file, path = made(tmp_path, OLD), tmp_path / "state"
    inode, size = path.stat().st_ino, path.stat().st_size
    file.write(NEW)
    assert (path.stat().st_ino, path.stat().st_size) == (inode, size)
    large = os.urandom(100_000)
    file.write(large)
    assert path.stat().st_ino != inode
    assert SlotFile(path).read() == large


@pytest.mark.parametrize("how", ["link", "copy", "gone"])
def test_a_file_that_is_not_ours_any_more_is_never_overwritten(tmp_path: Path, how: str) -> None:
    file, path, kept = made(tmp_path, OLD), tmp_path / "state", tmp_path / "kept"
    if how == "link":
        os.link(path, kept)
    else:
        path.rename(kept)
        if how == "copy":
            path.write_bytes(kept.read_bytes())
    before = kept.read_bytes()
    file.write(NEW)
    assert kept.read_bytes() == before
    assert SlotFile(path).read() == NEW
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_more_is_written_than_is_read_back(tmp_path: Path) -> None:
    file = made(tmp_path, OLD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slotfile, "VALUE_BYTES_MAX", 1000)
        with pytest.raises(OSError, match="more than 1000 bytes"):
            file.write(NEW)
    assert SlotFile(tmp_path / "state").read() == OLD


@pytest.mark.parametrize("act", ["write", "mirror"])
def test_after_a_failed_sync_no_page_of_the_file_is_trusted_any_more(
    tmp_path: Path, act: str
) -> None:
    """A kernel reports a page that it could not write only once (fsync(2), EIO)."""
    file, path = made(tmp_path, OLD, OLD), tmp_path / "state"
    inode = path.stat().st_ino

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(OSError, match="Input/output error"):
            file.write(NEW) if act == "write" else file.mirror()
    assert SlotFile(path).read() == OLD
    file.write(NEW)
    assert path.stat().st_ino != inode
    assert SlotFile(path).read() == NEW
