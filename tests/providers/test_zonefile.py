"""Zone files on a real disk: what is kept, who is heard, and what every failure leaves behind."""

# ruff: noqa: ASYNC240 -- a test may block its own loop for a small file

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from dnslb.errors import (
    ConfigError,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.model.lease import FencingToken
from dnslb.model.plan import Change, Plan
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.net.clock import FakeClock
from dnslb.providers.zonefile import FULL_CHECK_BYTES_MAX, ZoneFileProvider

ZONE = "example.org"
KEY = RRsetKey("www.example.org", "A")
NAMES = frozenset({KEY.name})
TOKEN = FencingToken("tests", 1, 0, "nonce")
TEXT = """\
$TTL 300
@ SOA ns1 hostmaster 7 3600 900 1w 300
@ NS ns1
www 60 A 192.0.2.1
mail A 192.0.2.99
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "zones" / f"{ZONE}.zone"
    file.parent.mkdir()
    file.write_text(TEXT)
    return file


def provider_of(file: Path, reload: str | None = None, wall_at: float = 0.0) -> ZoneFileProvider:
    return ZoneFileProvider(file.parent, reload, clock=FakeClock(wall_at=wall_at))


def rrset(*values: str) -> RRset:
    return RRset(KEY, 60, tuple(sorted(values)))


def plan_of(before: RRset, after: RRset) -> Plan:
    return Plan(ZONE, (Change(KEY, before, after, "a test", "health"),), 0)


TO_2 = plan_of(rrset("192.0.2.1"), rrset("192.0.2.2"))


async def write(provider: ZoneFileProvider, plan: Plan = TO_2) -> tuple[str, ...]:
    prepared = await provider.prepare(plan, TOKEN)
    try:
        return (await prepared.send()).notices
    finally:
        await prepared.aclose()


def only_the_zone_is_left(file: Path) -> bool:
    return [entry.name for entry in file.parent.iterdir()] == [file.name]


async def test_mode_and_attributes_are_kept_and_nothing_is_left(file: Path) -> None:
    file.chmod(0o640)
    if os.getuid() == 0:
        os.chown(file, 12345, 54321)
    before = file.stat()
    await write(provider_of(file))
    after = file.stat()
    assert file.read_text() == TEXT.replace("192.0.2.1\n", "192.0.2.2\n").replace(" 7 ", " 8 ")
    assert after.st_ino != before.st_ino
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert only_the_zone_is_left(file)


async def test_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    file.rename(target)
    file.symlink_to(target)
    await write(provider_of(file))
    assert file.is_symlink()
    assert "192.0.2.2" in target.read_text()


async def test_large_file_is_written_as_intended_without_reading_it_whole_again(
    file: Path,
) -> None:
    filler = "".join(f"host{i} A 198.51.100.{i % 256}\n" for i in range(400))
    file.write_text(TEXT + filler)
    assert file.stat().st_size > FULL_CHECK_BYTES_MAX
    await write(provider_of(file))
    changed = TEXT.replace("192.0.2.1\n", "192.0.2.2\n").replace(" 7 ", " 8 ")
    assert file.read_text() == changed + filler


@pytest.mark.parametrize("made", ["missing", "directory", "link to nothing", "pipe", "loop"])
async def test_what_is_no_zone_file_is_an_error(file: Path, made: str) -> None:
    file.unlink()
    if made == "directory":
        file.mkdir()
    elif made == "link to nothing":
        file.symlink_to("nowhere")
    elif made == "pipe":
        os.mkfifo(file)
    elif made == "loop":
        file.symlink_to(file.name)
    provider = provider_of(file)
    with pytest.raises(ProviderRefusal, match=r"example\.org\.zone"):
        await provider.read(ZONE, NAMES)
    with pytest.raises(ProviderRefusal):
        await provider.prepare(TO_2, TOKEN)
    if made != "missing":  # a broken link must not send us to the zone above
        with pytest.raises(ProviderRefusal):
            await provider.find_zone(KEY.name)


async def test_missing_directory_is_an_error_and_not_no_zone(tmp_path: Path) -> None:
    provider = ZoneFileProvider(tmp_path / "missing")
    with pytest.raises(ProviderRefusal, match=r"directory .*missing does not exist"):
        await provider.find_zone(KEY.name)


async def test_name_that_is_delegated_away_has_no_zone_here(file: Path) -> None:
    file.write_text(TEXT + "sub NS ns.example.net.\n")
    provider = provider_of(file)
    with pytest.raises(ProviderRefusal, match=r"below the NS record of sub\.example\.org"):
        await provider.find_zone("www.sub.example.org")
    assert await provider.find_zone(KEY.name) == ZONE


async def test_journal_means_that_named_owns_the_file(file: Path) -> None:
    provider = provider_of(file)
    prepared = await provider.prepare(TO_2, TOKEN)
    Path(f"{file}.jnl").touch()
    with pytest.raises(ProviderRefusal, match=r"has a journal beside it .* 'rndc sync -clean'"):
        await provider.read(ZONE, NAMES)
    with pytest.raises(ProviderRefusal, match="has a journal"):
        await prepared.send()
    await prepared.aclose()
    assert file.read_text() == TEXT


async def test_read_only_file_and_hard_links_are_respected(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(file, tmp_path / "twin")
    with pytest.raises(ProviderRefusal, match="2 hard links"):
        await write(provider_of(file))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ProviderRefusal, match="read-only for this user"):
        await write(provider_of(file))
    assert file.read_text() == TEXT


async def test_edit_of_other_records_between_reading_and_writing_is_kept(file: Path) -> None:
    provider = provider_of(file)
    await provider.read(ZONE, NAMES)
    edited = TEXT.replace("192.0.2.99", "192.0.2.98")
    file.write_text(edited)
    await write(provider)
    assert file.read_text() == edited.replace("192.0.2.1\n", "192.0.2.2\n").replace(" 7 ", " 8 ")


async def test_any_edit_after_the_preparation_is_a_conflict(file: Path) -> None:
    provider = provider_of(file)
    prepared = await provider.prepare(TO_2, TOKEN)
    status = file.stat()
    file.write_text(TEXT.replace("192.0.2.99", "192.0.2.98"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same time
    with pytest.raises(ProviderConflict, match="changed by somebody else"):
        await prepared.send()
    await prepared.aclose()
    assert "192.0.2.98" in file.read_text()
    assert only_the_zone_is_left(file)


async def test_file_that_somebody_is_writing_is_left_alone_until_it_is_quiet(file: Path) -> None:
    clock = FakeClock(wall_at=1_000_000.0 - trio.current_time())
    provider = ZoneFileProvider(file.parent, clock=clock)
    await provider.read(ZONE, NAMES)
    file.write_text("\n".join(TEXT.splitlines()[:3]) + "\n")  # half a file, yet a valid zone
    os.utime(file, (1_000_000.0, 1_000_000.0))
    with pytest.raises(ProviderTemporary, match="changed less than 1 s ago") as caught:
        await provider.read(ZONE, NAMES)
    assert caught.value.retry_after_s == 1.0
    with pytest.raises(ProviderTemporary):
        await provider.prepare(TO_2, TOKEN)
    clock.jump_wall(5.0)
    assert (await provider.read(ZONE, NAMES)).rrsets == {}


def failing(error: int, calls: list[str], name: str) -> Callable[..., object]:
    def fail(*arguments: object, **keywords: object) -> object:
        calls.append(name)
        raise OSError(error, os.strerror(error))

    return fail


@pytest.mark.parametrize("step", ["open", "fsync", "fchmod", "rename"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_failure_at_any_step_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: int
) -> None:
    provider = provider_of(file)
    await provider.read(ZONE, NAMES)
    calls: list[str] = []
    genuine, fail = os.open, failing(error, calls, step)

    def open_or_fail(path: Path, flags: int, mode: int = 0o777) -> object:
        return fail() if flags & os.O_CREAT else genuine(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, open_or_fail if step == "open" else fail)
        kind = ProviderRefusal if error == errno.EROFS else ProviderTemporary
        with pytest.raises(kind, match=os.strerror(error)):
            await write(provider)
    assert calls == [step]
    assert file.read_text() == TEXT
    assert only_the_zone_is_left(file)
    await write(provider)
    assert "192.0.2.2" in file.read_text()


async def test_directory_that_cannot_be_synced_is_an_unknown_outcome(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = provider_of(file)
    prepared = await provider.prepare(TO_2, TOKEN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO, [], "fsync"))
        with pytest.raises(OutcomeUnknown, match="directory could not be synced"):
            await prepared.send()
    await prepared.aclose()
    assert (await provider.read(ZONE, NAMES)).rrsets == {KEY: rrset("192.0.2.2")}


async def test_every_error_of_reading_is_a_provider_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE):
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", failing(error, [], "read"))
            with pytest.raises(ProviderError, match=os.strerror(error)):
                await provider_of(file).read(ZONE, NAMES)


async def test_what_a_killed_process_left_is_removed(file: Path) -> None:
    old, young = (file.with_name(f".{file.name}.dnslb-{name}") for name in ("old", "young"))
    for left in (old, young):
        left.touch()
    os.utime(old, (1, 1))
    await write(provider_of(file))
    assert not old.exists()
    assert young.exists()


def command(code: str) -> str:
    return f"{sys.executable} -c '{code}' {{zone}} {{file}}"


async def test_reload_command_runs_after_the_write(file: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = f'import sys; open("{said}", "w").write(sys.argv[1] + open(sys.argv[2]).read())'
    assert await write(provider_of(file, command(code))) == ()
    assert said.read_text() == ZONE + file.read_text()
    assert "192.0.2.2" in file.read_text()


async def test_reload_that_fails_is_a_notice_and_is_tried_again(file: Path, tmp_path: Path) -> None:
    door, runs = tmp_path / "door", tmp_path / "runs"
    code = (
        f'import os, sys; open("{runs}", "a").write("x"); '
        f'sys.exit(0 if os.path.exists("{door}") else "the door is shut")'
    )
    provider = provider_of(file, command(code))
    (notice,) = await write(provider)
    assert "failed (1) for example.org; the new file stands: the door is shut" in notice
    assert "192.0.2.2" in file.read_text()
    await provider.read(ZONE, NAMES)
    door.touch()
    await provider.read(ZONE, NAMES)
    await provider.read(ZONE, NAMES)
    assert runs.read_text() == "xxx"  # once for the write, twice until it went well


async def test_reload_command_that_is_missing_is_a_notice(file: Path) -> None:
    (notice,) = await write(provider_of(file, "/nonexistent/rndc reload"))
    assert "could not be started for example.org" in notice


async def test_reload_command_has_a_time_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnslb.providers.zonefile_reload.TIMEOUT_S", 0.05)
    (notice,) = await write(provider_of(file, "sleep 60"))
    assert "was ended after 0.05 s" in notice


@pytest.mark.parametrize("text", ["", "  ", "rndc 'reload"])
def test_reload_command_that_is_none_is_refused_at_once(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="file-reload-command"):
        ZoneFileProvider(tmp_path, text)


async def test_shared_is_what_was_said(tmp_path: Path) -> None:
    assert ZoneFileProvider(tmp_path, shared=True).capabilities.shared
    assert not ZoneFileProvider(tmp_path).capabilities.shared
    assert not ZoneFileProvider(tmp_path).capabilities.fenced
