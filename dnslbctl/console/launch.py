"""Runs the console at a terminal, and leaves the terminal as it was, whatever happens.

Law: a crash prints where it was, and nothing of what was in memory.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import traceback

from dnslbctl.aclient import AsyncClient
from dnslbctl.console.app import Console
from dnslbctl.output import Terminal

GARBAGE_CHECK_OBJECTS = 100_000
HUNG_UP = 128 + signal.SIGHUP


def run(client: AsyncClient, terminal: Terminal) -> int:
    """Until the operator quits; the exit code."""
    _end_with_the_terminal()
    console = Console(client, terminal)
    # What was imported stays; and a picture of thousands of rows is no garbage each time that it
    # is told anew. Looking through all of it costs more than the picture.
    gc.freeze()
    gc.set_threshold(GARBAGE_CHECK_OBJECTS)
    console.run()
    if console.crash is None:
        return 0
    frames = "".join(traceback.format_tb(console.crash.__traceback__))
    kind = type(console.crash).__name__
    sys.stderr.write(
        f"{frames}dnslbctl: the console failed ({kind}); this is a defect, please report it. "
        "The daemon is not touched by it: dnslbctl status goes on to work\n"
    )
    return 1


def _end_with_the_terminal() -> None:
    """A terminal that is gone (a connection that broke) cannot be restored, and Textual would wait
    for it for ever: its reader at full speed, its writer for a thread that has died. So a thread
    of its own waits for the hang-up, and ends the process."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # a hang-up is told unasked

    def wait() -> None:
        poll.poll()
        os._exit(HUNG_UP)

    threading.Thread(target=wait, name="hang-up", daemon=True).start()
