"""Entry points of the command line: ``dnslbctl``, and ``raftadmin`` for its ``raft`` verb.

Turns words into a verb's call, and whatever goes wrong into one sentence and an exit code: 0
done, 1 refused or failed, 2 usage, 3 no daemon reached, 4 no leader within the time-out.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Callable, Sequence

    from dnslbctl.cli import Call

INTERRUPTED = 130
PIPE_CLOSED = 141


def main(words: Sequence[str] | None = None) -> int:
    """Runs ``dnslbctl`` with these words, or those of the process; returns the exit code."""
    return _end_well(_run, [*(sys.argv[1:] if words is None else words)])


def _end_well(run: Callable[[list[str]], int], words: list[str]) -> int:
    try:
        return run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain at exit otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _run(words: list[str]) -> int:
    from dnslbctl import cli  # noqa: PLC0415 - a ^C during these imports is caught, too

    try:
        return _carry_out(cli.parse(words))
    except cli.Usage as error:
        verb = cli.find_verb(error.verb)
        usage = f"usage: {verb.usage}" if verb else "dnslbctl --help lists the verbs"
        sys.stderr.write(f"dnslbctl: {error}\n{usage}\n")
        return 2


def _carry_out(call: Call, program: str = "dnslbctl") -> int:
    from dnslbctl import cli  # noqa: PLC0415 - as above

    if call.has("--version"):
        from dnslbctl import __version__  # noqa: PLC0415 - as above

        print(f"dnslbctl {__version__}")
        return 0
    if call.has("--help"):
        verb = cli.find_verb(call.verb)
        print(cli.help_for(verb) if verb else cli.overview())
        return 0
    from dnslbctl import commands, output  # noqa: PLC0415 - help and usage need neither
    from dnslbctl.client import Failed  # noqa: PLC0415

    try:
        carry_out = commands.VERBS[call.verb] if call.verb else commands.console
        return carry_out(commands.Session(call))
    except Failed as error:
        lines = str(error).split("\n")
        lines[0] = f"{program}: {lines[0]}"
        sys.stderr.write("".join(f"{output.plain(line)}\n" for line in lines))
        return error.exit_code


def raftadmin(words: Sequence[str] | None = None) -> int:
    """Runs ``raftadmin``: the commands of ``dnslbctl raft`` in raftadmin's own word order."""
    return _end_well(_run_raftadmin, [*(sys.argv[1:] if words is None else words)])


def _run_raftadmin(words: list[str]) -> int:
    from dnslbctl import cli, raftwords  # noqa: PLC0415 - as above

    try:
        given, arguments = raftwords.check_raftadmin(words)
        call = cli.Call("raft", arguments, given)
        cli.check_options(call)
        return _carry_out(call, "raftadmin")
    except raftwords.RaftUsage as error:
        sys.stderr.write(f"{error}\n")
    except cli.Usage as error:
        sys.stderr.write(f"raftadmin: {error}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
