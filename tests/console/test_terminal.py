"""The console at real terminals: in tmux on a real daemon, and how it leaves a terminal behind."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dnslbctl.daemon import Daemon
from tests.system.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


class Tmux:
    """A tmux server of its own, with one window in which the console runs."""

    def __init__(self, directory: Path, socket: Path) -> None:
        self._socket = directory / "tmux"
        environ = f"PYTHONPATH={ROOT} DNSLB_SOCKET={socket} COLORTERM=truecolor"
        console = f"{sys.executable} -m dnslbctl; echo left with $?; sleep 600"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
                   f"env -u NO_COLOR {environ} sh -c '{console}'")  # fmt: skip

    def _tmux(self, *words: str) -> str:
        # Its locale decides whether it keeps what is not ASCII.
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        done = subprocess.run(["tmux", "-u", "-S", str(self._socket), *words], env=environ,
                              capture_output=True, text=True, timeout=30, check=True)  # fmt: skip
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def until(self, what: Callable[[str], bool]) -> str:
        """The screen once it is so; patience only bounds a failing test."""
        end = time.monotonic() + PATIENCE_S
        while not what(screen := self.screen):
            assert time.monotonic() < end, screen
            time.sleep(0.05)
        return screen

    def until_shown(self, *texts: str) -> str:
        return self.until(lambda screen: all(text in screen for text in texts))

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, endpoints=3)
    yield made
    made.close()


@pytest.fixture
def tmux(tmp_path: Path, stage: Stage) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux here")
    stage.start()
    made = Tmux(tmp_path, stage.socket)
    yield made
    made.close()


def test_a_night_in_tmux_on_a_real_daemon(tmux: Tmux, stage: Stage) -> None:
    tmux.until_shown("HEALTHY", "t1", "nothing needs you")
    stage.wait_answer("1", "2", "3")
    tmux.keys("2")
    tmux.until_shown("www.example.org", "192.0.2.1", "✓ up", "3/3")

    stage.endpoints[2].down()
    tmux.until_shown("DEGRADED", "✗ down", "2/3")
    stage.wait_answer("1", "2")
    stage.endpoints[2].up()
    tmux.until_shown("HEALTHY", "3/3")

    tmux.keys("g", "Down")
    tmux.until(lambda screen: ">   192.0.2.1 http" in screen)
    tmux.keys("d")
    tmux.until_shown("Drain", "living 3 → 2", "say why")
    tmux.write("disk swap")
    tmux.until_shown("--reason 'disk swap' --for 2h")
    tmux.keys("Down", "Down", "Down", "Enter")
    told = tmux.until_shown("Close")
    assert "left DNS" in told, told
    stage.wait_answer("2", "3")
    tmux.keys("Enter")
    tmux.until_shown("‖ drained", "out")
    (order,) = stage.json("overrides")
    assert (order["kind"], order["reason"]) == ("drain", "disk swap")

    tmux.resize(200, 60)
    tmux.until_shown("1 Now", "2 Endpoints", "3 Members", "4 Changes", "5 Events", "✓ applied")
    tmux.resize(80, 24)
    tmux.until(lambda screen: "5 Events ─" not in screen)

    stage.stop()
    tmux.until_shown("STALE", "NO CONNECTION", "‖ drained")
    tmux.keys("d")
    tmux.until_shown("refused: there is no connection")
    stage.start()
    tmux.until(lambda screen: "NO CONNECTION" not in screen and "STALE" not in screen)
    tmux.keys("d")
    tmux.until_shown("Clear", "the agents decide again")
    tmux.keys("Down", "Enter")
    tmux.until_shown("Close")
    stage.wait_answer("1", "2", "3")
    tmux.keys("Enter")
    tmux.until(lambda screen: "Close" not in screen)
    tmux.keys("q")
    assert "left with 0" in tmux.until_shown("left with")


# ------------------------------------------------------------------------ how it leaves a terminal


class Terminal:
    """A process at a terminal of its own; ``code`` runs before the program begins."""

    def __init__(self, daemon: Daemon, code: str = "", **environ: str) -> None:
        kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        program = f"import sys; {code}\nfrom dnslbctl.__main__ import main\nsys.exit(main([]))"
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**kept, "PYTHONPATH": str(ROOT), "DNSLB_SOCKET": str(daemon.path),
                 "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.output = b""

    def until(self, text: bytes) -> None:
        end = time.monotonic() + PATIENCE_S
        while text not in self.output:
            assert time.monotonic() < end, self.output[-2000:]
            if select.select([self.master], [], [], 0.1)[0]:
                self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            return False
        self.output += data
        return bool(data)

    def finish(self) -> int:
        end = time.monotonic() + PATIENCE_S
        while not select.select([self.master], [], [], 0.1)[0] or self._read():
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"it did not end: {self.output[-500:]!r}")
        os.close(self.master)
        return self.process.wait(10)


ENTERS, LEAVES = b"\x1b[?1049h", b"\x1b[?1049l"
HIDES, SHOWS = b"\x1b[?25l", b"\x1b[?25h"


def is_restored(output: bytes) -> bool:
    """The alternate screen is left and the cursor is back, both as the last word on it."""
    return output.rfind(LEAVES) > output.rfind(ENTERS) and output.rfind(SHOWS) > output.rfind(HIDES)


def test_a_crash_restores_the_terminal_and_shows_no_secret(daemon: Daemon) -> None:
    code = """
import dnslbctl.console.rows as rows
def fail(self, key):
    password = "swordfish-" + str(len(key))
    raise ValueError(password)
rows.Rows.now = fail"""
    terminal = Terminal(daemon, code)
    assert terminal.finish() == 1
    assert is_restored(terminal.output)
    after = terminal.output[terminal.output.rfind(LEAVES) :]
    assert b"the console failed (ValueError)" in after
    assert b"dnslbctl status" in after
    assert b", in fail" in after, "it says where"
    assert b"swordfish-" not in terminal.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(daemon: Daemon, number: int) -> None:
    terminal = Terminal(daemon)
    terminal.until(b"NEEDS YOU")
    terminal.process.send_signal(number)
    assert terminal.finish() == 0
    assert is_restored(terminal.output)


def test_q_ends_it(daemon: Daemon) -> None:
    terminal = Terminal(daemon)
    terminal.until(b"NEEDS YOU")
    os.write(terminal.master, b"q")
    assert terminal.finish() == 0
    assert is_restored(terminal.output)
    assert b"Traceback" not in terminal.output


def test_a_terminal_that_is_gone_ends_it(daemon: Daemon) -> None:
    """Nobody sees it any more, and nobody would find it on the host but by its load."""
    terminal = Terminal(daemon)
    terminal.until(b"NEEDS YOU")
    os.close(terminal.master)
    try:
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGHUP
    finally:
        terminal.process.kill()


def test_a_terminal_that_can_nothing_is_refused(daemon: Daemon) -> None:
    terminal = Terminal(daemon, TERM="dumb")
    assert terminal.finish() == 1
    assert b"\x1b" not in terminal.output
    assert b"needs a terminal" in terminal.output
    assert b"dnslbctl status" in terminal.output


def test_without_a_daemon_it_does_not_open(daemon: Daemon) -> None:
    terminal = Terminal(daemon, DNSLB_SOCKET="/nonexistent/s")
    assert terminal.finish() == 3
    assert b"there is no socket /nonexistent/s" in terminal.output
    assert ENTERS not in terminal.output


def test_ascii_by_the_environment(daemon: Daemon) -> None:
    terminal = Terminal(daemon, DNSLB_ASCII="1")
    terminal.until(b"NEEDS YOU")
    terminal.until(b"x CRITICAL")
    os.write(terminal.master, b"q")
    assert terminal.finish() == 0
    assert terminal.output.isascii()
