"""Processes that crash, hang, babble and are cut off: what is left of them, and what is said."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from dnslb.errors import (
    ConfigError,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderTemporary,
)
from dnslb.net.clock import FakeClock
from dnslb.providers import octodns as bridge, octodns_process
from dnslb.providers.octodns import OctodnsProvider, PreparedOctodnsWrite
from dnslb.providers.octodns_passes import PROCESSES_MAX, Passes
from dnslb.providers.octodns_process import Worker
from dnslb.providers.octodns_scrub import Scrub
from dnslb.providers.octodns_wire import ListZones, Planned, ProviderClass, Zones
from tests.providers.octodns_stage import (
    AFTER,
    BEFORE,
    SECRET,
    TOKEN,
    WWW,
    ZONE,
    Stage,
    change,
    content,
    plan,
)

NAMES = frozenset({WWW.name})
PLAN = plan(change(BEFORE, AFTER))
WAIT_S_MAX = 20.0


async def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(int(WAIT_S_MAX / 0.01)):
        if condition():
            return
        await trio.sleep(0.01)
    pytest.fail("it did not happen")


@contextlib.asynccontextmanager
async def prepared(stage: Stage) -> AsyncIterator[PreparedOctodnsWrite]:
    write = await stage.provider(secrets=[SECRET]).prepare(PLAN, TOKEN)
    try:
        yield write
    finally:
        await write.aclose()


async def failure_of_reading(stage: Stage) -> str:
    with pytest.raises(ProviderTemporary) as raised:
        await stage.provider(secrets=[SECRET]).read(ZONE, NAMES)
    return str(raised.value)


def has_ended(process: trio.Process) -> bool:
    return process.returncode is not None and not Path(f"/proc/{process.pid}").exists()


# ----------------------------------------------------------------------------- how classes fail


async def test_a_crash_is_temporary_and_says_its_last_words_without_secrets(
    tmp_path: Path,
) -> None:
    said = await failure_of_reading(Stage(tmp_path, fault="crashes at populate", token=SECRET))
    assert said == (
        "Reading example.org: the octoDNS worker ended with code 7 and without an answer: dying "
        "with ***."
    )


async def test_an_exception_is_told_without_secrets(tmp_path: Path) -> None:
    said = await failure_of_reading(Stage(tmp_path, fault="raises at populate", token=SECRET))
    assert said == (
        "tests.doubles.octodns_shelf.Shelf could not read example.org: RuntimeError: no luck with "
        "*** today."
    )


async def test_endless_talk_is_bounded_and_shows_no_piece_of_a_secret(tmp_path: Path) -> None:
    said = await failure_of_reading(Stage(tmp_path, fault="shouts at populate", token=SECRET))
    assert "code 8" in said
    assert re.fullmatch(r".* without an answer: [*]{200,300}[.]*", said)


async def test_what_is_no_answer_is_not_taken_for_one(tmp_path: Path) -> None:
    said = await failure_of_reading(Stage(tmp_path, fault="babbles at populate"))
    assert "gave an answer that is none" in said


async def test_an_answer_without_end_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(octodns_process, "LINE_BYTES_MAX", 1_000_000)
    said = await failure_of_reading(Stage(tmp_path, fault="never ends at populate"))
    assert "gave an answer without end" in said


async def test_what_a_class_prints_is_no_answer(tmp_path: Path) -> None:
    reading = await Stage(tmp_path, fault="prints at populate").provider().read(ZONE, NAMES)
    assert reading.rrsets == {WWW: BEFORE}


async def test_a_reading_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "READ_S_MAX", 0.5)
    said = await failure_of_reading(Stage(tmp_path, fault="hangs at populate"))
    assert "took longer than 0.5 s and was ended" in said


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("crashes at apply", "ended with code 7"),
        ("is killed at apply", "was ended by signal 9"),
        ("babbles at apply", "gave an answer that is none"),
        ("raises at apply", "failed while it changed example.org: RuntimeError"),
    ],
)
async def test_what_goes_wrong_while_it_writes_is_left_open(
    tmp_path: Path, fault: str, words: str
) -> None:
    async with prepared(Stage(tmp_path, fault=fault, token=SECRET)) as write:
        with pytest.raises(OutcomeUnknown) as raised:
            await write.send()
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


async def test_a_zone_that_becomes_empty_is_not_believed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    provider = stage.provider()
    await provider.read(ZONE, NAMES)
    stage.path.write_text("{}")
    with pytest.raises(ProviderTemporary, match="not believed"):
        await provider.read(ZONE, NAMES)


# ------------------------------------------------------------------------------ being cut off


async def test_a_write_that_hangs_is_killed_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(octodns_process, "CANCEL_GRACE_S", 0.05)
    stage = Stage(tmp_path, fault="hangs at apply")
    async with prepared(stage) as write, trio.open_nursery() as nursery:
        nursery.start_soon(write.send)
        await wait_until(lambda: "apply www.example.org." in stage.calls)
        nursery.cancel_scope.cancel()
    assert has_ended(write._worker._process)
    assert stage.zone == content()


async def test_a_write_that_has_begun_may_end_when_it_is_cancelled(tmp_path: Path) -> None:
    stage = Stage(tmp_path, fault="waits at apply")
    async with prepared(stage) as write, trio.open_nursery() as nursery:
        nursery.start_soon(write.send)
        await wait_until(lambda: "apply www.example.org." in stage.calls)
        nursery.cancel_scope.cancel()
        stage.path.with_suffix(".go").touch()
    assert has_ended(write._worker._process)
    assert stage.zone["www"]["A"] == [60, ["192.0.2.1"]]


async def test_nothing_is_written_when_the_lease_ends_before_the_last_word(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with prepared(stage) as write:
        worker = write._worker
        with trio.CancelScope() as scope:
            await worker.ask("look", Planned, WAIT_S_MAX)
            scope.cancel()
            await worker.ask("write", Planned, WAIT_S_MAX, writes=True)
        assert scope.cancelled_caught
    assert has_ended(worker._process)
    assert not [call for call in stage.calls if call.startswith("apply")]


async def test_nothing_is_written_when_the_machine_slept_before_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, clock = Stage(tmp_path), FakeClock()
    ask = Worker.ask

    async def sleep_in_between(self: Worker, message: object, *more: Any, **words: Any) -> Any:
        answer = await ask(self, message, *more, **words)
        if message == "look":
            clock.suspend(30)
        return answer

    monkeypatch.setattr(Worker, "ask", sleep_in_between)
    write = await stage.provider(clock=clock).prepare(PLAN, TOKEN)
    with pytest.raises(ProviderTemporary, match="slept"):
        await write.send()
    await write.aclose()
    assert stage.zone == content()


async def test_a_prepared_write_that_is_dropped_ends_its_process(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with prepared(stage) as write:
        await write.aclose()
        assert has_ended(write._worker._process)
    assert stage.calls == ["populate"]


async def test_a_conflict_in_preparing_ends_the_process_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.change("www", "A", [60, ["192.0.2.2"]])
    provider = stage.provider()
    with pytest.raises(ProviderConflict):
        await provider.prepare(PLAN, TOKEN)
    assert provider._passes._places.borrowed_tokens == 0


async def test_a_worker_ends_when_the_daemon_is_gone(tmp_path: Path) -> None:
    async with prepared(Stage(tmp_path)) as write:
        process = write._worker._process
        assert process.stdin is not None
        await process.stdin.aclose()
        with trio.fail_after(WAIT_S_MAX):
            assert await process.wait() == 1


async def test_signals_that_are_meant_for_the_daemon_cut_nothing_in_half(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with prepared(stage) as write:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(write._worker._process.pid, number)
        assert (await write.send()).rrsets == (AFTER,)


async def test_secrets_go_in_by_standard_input_alone(tmp_path: Path) -> None:
    async with prepared(Stage(tmp_path, token=SECRET)) as write:
        process = Path(f"/proc/{write._worker._process.pid}")
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in (process / name).read_bytes()


# --------------------------------------------------------------------- processes of other kinds


async def ask_instead(
    monkeypatch: pytest.MonkeyPatch, code: str, deadline_s: float = WAIT_S_MAX
) -> str:
    """What is said of a worker that is this program."""
    monkeypatch.setattr(octodns_process, "COMMAND", (sys.executable, "-c", code))
    worker = await Worker.start(Scrub((), {}), "Trying")
    try:
        with pytest.raises(ProviderError) as raised:
            await worker.ask(ListZones(), Zones, deadline_s)
    finally:
        await worker.aclose()
    assert has_ended(worker._process)
    return str(raised.value)


async def test_a_timer_of_the_kernel_ends_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import signal\n"
        "from dnslb.providers.octodns_channel import Channel, settle\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "settle(); channel = Channel(); channel.end_after(1)\n"
        "while True: pass"
    )
    assert "took longer than it may and was ended" in await ask_instead(monkeypatch, code)


async def test_an_answer_to_another_question_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'print(\'{"type": "Ready"}\')'
    assert "an answer to another question" in await ask_instead(monkeypatch, code)


async def test_output_without_an_end_of_line_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ended with code 0 and without an answer" in await ask_instead(
        monkeypatch, "import sys; sys.stdin.readline(); sys.stdout.write('{}')"
    )


async def test_one_that_closes_its_output_and_stays_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(octodns_process, "CLOSE_S_MAX", 0.1)
    code = "import os, time; os.close(1); time.sleep(3600)"
    assert "gave no answer" in await ask_instead(monkeypatch, code)


async def test_a_python_that_cannot_be_started_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(octodns_process, "COMMAND", ("/nonexistent/python",))
    with pytest.raises(ProviderTemporary, match="could be started"):
        await Worker.start(Scrub((), {}), "Trying")


async def test_only_so_many_processes_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(octodns_process, "COMMAND", ("cat",))
    passes = Passes(ProviderClass("a.B", {}), Scrub((), {}))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(PROCESSES_MAX):
            await stack.enter_async_context(passes.worker("Trying"))
        with trio.move_on_after(0.05) as limit:
            await stack.enter_async_context(passes.worker("Trying"))
        assert limit.cancelled_caught
        assert passes._places.borrowed_tokens == PROCESSES_MAX
    async with passes.worker("Trying"):
        assert passes._places.borrowed_tokens == 1
    assert passes._places.borrowed_tokens == 0


def test_settings_that_cannot_be_handed_on_are_a_mistake() -> None:
    # As an environment variable has it whose bytes are no text.
    with pytest.raises(ConfigError, match="no UTF-8") as raised:
        OctodnsProvider("a.B", {"a": [f"{SECRET}\udc80"]}, "o")
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown


def test_octodns_is_not_loaded_into_the_daemon() -> None:
    code = "import sys, dnslb.providers.octodns; print('octodns' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
