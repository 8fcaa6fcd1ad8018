"""One worker process of the octoDNS bridge, from its start to its end.

Not what is said (`octodns_wire`), not what it does (`octodns_worker`): here a line goes in and a
line comes out, within a deadline, and all that can go wrong with a process becomes a sentence.

Law: secrets go in by standard input alone, and whatever comes out is scrubbed of them before it
becomes a sentence. Every process is ended and waited for. One that was told to write and is
silent leaves the outcome unknown.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TypeVar

import msgspec
import trio

from dnslb.errors import (
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderError,
    ProviderRefusal,
    ProviderTemporary,
)
from dnslb.providers.octodns_scrub import Scrub, to_sentence
from dnslb.providers.octodns_wire import LINE_BYTES_MAX, Answer, Failed, Kind, from_line, to_line

COMMAND = (sys.executable, "-P", "-m", "dnslb.providers.octodns_worker")
"""-P: the daemon's working directory is no place to import from."""
CANCEL_GRACE_S = 2.0
"""For a write that has begun when it is cancelled: cut in half it would leave a zone that is
neither old nor new, and a successor waits longer than this before it reads."""
CLOSE_S_MAX = 1.0
SAID_BYTES_MAX = 16_384
SAID_SHOWN_MAX = 300
DETAIL_SHOWN_MAX = 500

_ERRORS: dict[Kind, type[ProviderError]] = {
    "temporary": ProviderTemporary,
    "refused": ProviderRefusal,
    "conflict": ProviderConflict,
    "unknown": OutcomeUnknown,
    "fenced": FenceLost,
}
A = TypeVar("A")


class Worker:
    """Made by `start`; whoever has one closes it."""

    def __init__(self, process: trio.Process, scrub: Scrub, doing: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._input, self._output, self._errors = process.stdin, process.stdout, process.stderr
        self._scrub = scrub
        self._doing = doing
        self._received = bytearray()
        self._said = bytearray()
        self._is_cut = False
        self._heard_all = trio.Event()

    @classmethod
    async def start(cls, scrub: Scrub, doing: str) -> Worker:
        """``doing``: what it is for, as a subject of sentences. Raises `ProviderTemporary`."""
        try:
            process = await trio.lowlevel.open_process(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A group of its own: an interrupt at the terminal is meant for the daemon.
                start_new_session=True,
            )
        except OSError as error:
            raise ProviderTemporary(f"No octoDNS worker could be started: {error}.") from error
        return cls(process, scrub, doing)

    async def ask(
        self, message: object, expected: type[A], deadline_s: float, *, writes: bool = False
    ) -> A:
        """Says ``message`` and waits for the answer. Raises `ProviderError`, the worker's own or
        one about the worker; with ``writes``, what is left open is `OutcomeUnknown`."""
        line = await self._exchange(to_line(message), deadline_s, writes=writes)
        try:
            answer: object = from_line(line, Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._failure("gave an answer that is none", writes=writes) from error
        if isinstance(answer, Failed):
            raise self._to_error(answer)
        if not isinstance(answer, expected):
            raise self._failure("gave an answer to another question", writes=writes)
        return answer

    async def aclose(self) -> None:
        """Ends the process, whatever it is doing; safe to repeat."""
        with trio.move_on_after(CLOSE_S_MAX, shield=True):
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()
            for stream in (self._input, self._output, self._errors):
                await stream.aclose()

    # ------------------------------------------------------------------------------ the pipes

    async def _exchange(self, message: bytes, deadline_s: float, *, writes: bool) -> bytes:
        line: bytes | None = None
        how = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            with trio.move_on_after(deadline_s) as limit:
                with contextlib.suppress(trio.BrokenResourceError):
                    await self._input.send_all(message)
                try:
                    line = await self._receive_line()
                except trio.Cancelled:
                    if writes and not limit.cancel_called:
                        with trio.move_on_after(CANCEL_GRACE_S, shield=True):
                            await self._process.wait()
                    raise
            if limit.cancelled_caught:
                how = f"took longer than {deadline_s:g} s and was ended"
            elif line is None:
                how = await self._how_it_ended()
            nursery.cancel_scope.cancel()
        if line is None:
            raise self._failure(how, writes=writes)
        return line

    async def _receive_line(self) -> bytes | None:
        """None at the end, and for a line that is longer than any."""
        while (at := self._received.find(b"\n")) < 0:
            more = await self._output.receive_some(65_536)
            if not more or len(self._received) > LINE_BYTES_MAX:
                return None
            self._received += more
        line = bytes(self._received[:at])
        del self._received[: at + 1]
        return line

    async def _listen(self) -> None:
        """What is printed is kept for a sentence: its end, since that is where the cause is."""
        while more := await self._errors.receive_some(65_536):
            self._said += more
            if len(self._said) > SAID_BYTES_MAX:
                del self._said[: len(self._said) - SAID_BYTES_MAX]
                self._is_cut = True
        self._heard_all.set()

    async def _how_it_ended(self) -> str:
        if len(self._received) > LINE_BYTES_MAX:
            return "gave an answer without end"
        with trio.move_on_after(CLOSE_S_MAX):
            code = await self._process.wait()
            await self._heard_all.wait()
            if code == -signal.SIGALRM:
                return "took longer than it may and was ended"
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            return f"{how} and without an answer"
        return "gave no answer"

    # --------------------------------------------------------------------------- the sentences

    def _failure(self, how: str, *, writes: bool) -> ProviderError:
        said = self._last_words()
        words = f": {said}" if said else ""
        sentence = f"{self._doing}: the octoDNS worker {how}{words}."
        if writes:
            return OutcomeUnknown(f"{sentence} Whether the change was made is not known.")
        return ProviderTemporary(sentence)

    def _last_words(self) -> str:
        said = self._said.decode(errors="replace")
        lines = self._scrub(said, is_cut=self._is_cut).strip().splitlines()
        return to_sentence(lines[-1] if lines else "", SAID_SHOWN_MAX).rstrip(".")

    def _to_error(self, failed: Failed) -> ProviderError:
        sentence = to_sentence(self._scrub(failed.sentence), 2 * DETAIL_SHOWN_MAX)
        if failed.detail:
            detail = to_sentence(self._scrub(failed.detail), DETAIL_SHOWN_MAX).rstrip(".")
            sentence = f"{sentence.rstrip('.')}: {detail}."
        return _ERRORS[failed.kind](sentence)
