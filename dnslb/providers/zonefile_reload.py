"""The command that tells a name server to load a zone file again; its failure is never fatal.

Not a shell: the text is split once into arguments, in which ``{zone}`` and ``{file}`` stand for
the zone and its file. The command runs in a process group of its own, within a time limit.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import trio

from dnslb.errors import ConfigError

TIMEOUT_S = 10.0
CANCEL_GRACE_S = 2.0
OUTPUT_SHOWN_MAX = 300


class ReloadCommand:
    """``text`` as configured. Raises `ConfigError` when it is no list of arguments."""

    def __init__(self, text: str, timeout_s: float | None = None) -> None:
        try:
            self._arguments = tuple(shlex.split(text))
        except ValueError as e:
            raise ConfigError(f"file-reload-command {text!r} cannot be split: {e}") from e
        if not self._arguments:
            raise ConfigError("file-reload-command is empty; a command was expected")
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s

    async def run(self, zone: str, file: Path) -> str | None:
        """None when it ended well; else a sentence that says what went wrong.

        When cancelled it still gets two seconds: the file is already in its place.
        """
        arguments = [
            argument.replace("{zone}", zone).replace("{file}", str(file))
            for argument in self._arguments
        ]
        name = arguments[0]
        try:
            with tempfile.TemporaryFile() as output:
                with trio.move_on_after(CANCEL_GRACE_S, shield=True) as starting:
                    process = await trio.lowlevel.open_process(
                        arguments,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                if starting.cancelled_caught:
                    return f"The reload command {name!r} could not be started for {zone} in time."
                code = await self._wait_ended(process)
                said = _last_words(output)
        except (OSError, ValueError) as e:
            return f"The reload command {name!r} could not be started for {zone}: {e}."
        if code == 0:
            return None
        how = f"was ended after {self._timeout_s:g} s" if code is None else f"failed ({code})"
        words = f": {said}" if said else "."
        return f"The reload command {name!r} {how} for {zone}; the new file stands{words}"

    async def _wait_ended(self, process: trio.Process) -> int | None:
        try:
            with trio.move_on_after(self._timeout_s):
                return await process.wait()
        except trio.Cancelled:
            with trio.move_on_after(CANCEL_GRACE_S, shield=True):
                await process.wait()
            raise
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                with trio.move_on_after(1, shield=True):
                    await process.wait()
        return None


def _last_words(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - OUTPUT_SHOWN_MAX))
    text = output.read(OUTPUT_SHOWN_MAX).decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
