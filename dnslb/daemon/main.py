"""Where the program begins: the console script ``dnslb``.

Nothing is imported at the top, so that a verb pays for its own imports and no others: the daemon
as a process is `process.py`, its parts are `instance.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnslb.daemon.config import Config


def cli() -> None:
    """The console script: exits with what the verb, or the daemon, returns."""
    from dnslb.daemon.command_line import run  # noqa: PLC0415 - lazy: start-up cost

    sys.exit(run(sys.argv[1:]))


def run_daemon(config: Config, load: Callable[[], Config]) -> int:
    """Runs the daemon until it is told to stop; ``load`` reads the configuration again."""
    from dnslb.daemon.process import run_process  # noqa: PLC0415 - lazy: start-up cost

    return run_process(config, load)
