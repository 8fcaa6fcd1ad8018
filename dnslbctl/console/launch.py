"""Runs the console at a terminal, and leaves the terminal as it was, whatever happens.

Law: a crash prints where it was, and nothing of what was in memory.
"""

from __future__ import annotations

import gc
import sys
import traceback

from dnslbctl.aclient import AsyncClient
from dnslbctl.console.app import Console
from dnslbctl.output import Terminal

GARBAGE_CHECK_OBJECTS = 100_000


def run(client: AsyncClient, terminal: Terminal) -> int:
    """Until the operator quits; the exit code."""
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
