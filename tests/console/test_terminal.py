"""How the console leaves a terminal behind, whatever ends it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dnslbctl.daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


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
