"""The worker's end of its pipes, and what bounds its life. Part of the worker.

Law: requests and answers have file descriptors of their own, so that nothing that foreign code
reads or prints gets between them; when the daemon says nothing more, the worker ends.
"""

from __future__ import annotations

import os
import resource
import signal

from dnslb.providers.octodns_wire import LINE_BYTES_MAX, Answer, Request, Word, from_line, to_line


class Channel:
    """Takes standard input and output over; what is printed from now on goes to standard error."""

    def __init__(self) -> None:
        self._input = os.fdopen(os.dup(0), "rb")
        self._output = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def receive_request(self) -> Request:
        request: Request = from_line(self._line(), Request)
        return request

    def wait_word(self, word: Word, limit_s: int) -> None:
        """Waits as long as it takes; from then on ``limit_s`` whole seconds are left."""
        self.end_after(0)
        said: str = from_line(self._line(), Word)
        if said != word:
            raise SystemExit(f"the word {word!r} was expected, not {said!r}")
        self.end_after(limit_s)

    def say(self, answer: Answer) -> None:
        self._output.write(to_line(answer))
        self._output.flush()

    def end_after(self, seconds: int) -> None:
        """The kernel ends this process in ``seconds``, whatever it is doing; 0: never. Unlike a
        timer of Python's it needs nothing of the interpreter, which foreign code may keep."""
        signal.alarm(seconds)

    def _line(self) -> bytes:
        line = self._input.readline(LINE_BYTES_MAX + 1)
        if not line.endswith(b"\n"):
            raise SystemExit("the daemon says nothing more")
        return line


def settle() -> None:
    """Signals that are meant for the daemon do not cut a write in half: it ends the worker. A
    crash leaves no image of the memory, which holds secrets."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
