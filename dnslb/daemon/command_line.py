"""What ``dnslb`` is asked to do: a verb, or flags for the daemon, to the function that does it.

Not the verbs themselves. They are loaded when they are called, so that each pays only for its
own imports.

Law: every error is a sentence on standard error and exit code 1, wrong usage included.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO

from dnslb import __version__
from dnslb.daemon.problems import ConfigProblems, found, similar
from dnslb.errors import DnslbError

HELP = ("-h", "-help", "--help", "help")
VERSION = ("-version", "--version", "version")


class Verb(NamedTuple):
    """``target``: module and function (argv → exit code). ``also``: usage and meaning of a
    second form."""

    usage: str
    meaning: str
    target: tuple[str, str]
    also: tuple[str, str] | None = None


VERBS: dict[str, Verb] = {
    "check": Verb(
        "check -cfg F [--json]",
        "say everything that is wrong with a configuration",
        ("dnslb.daemon.verbs.check", "run"),
        ("check provider [--canary NAME]", "ask the provider too, and try it with a canary"),
    ),
    "plan": Verb(
        "plan -cfg F",
        "show what would change in DNS now, and change nothing",
        ("dnslb.daemon.verbs.plan", "run"),
    ),
    "demo": Verb(
        "demo [--duration S] [--plain]",
        "see endpoints die and return, on this machine alone",
        ("dnslb.daemon.verbs.demo", "run"),
        ("demo --cluster", "the same with three members, whose leader dies"),
    ),
    "agent": Verb(
        "agent [flags]",
        "a health agent that reports to this program or to healthd",
        ("dnslb.agent.main", "run"),
    ),
    "adopt": Verb(
        "adopt ZONE -cfg F [--from OWNER]",
        "take a zone over from another owner",
        ("dnslb.daemon.verbs.fence", "adopt"),
    ),
    "fence": Verb(
        "fence reset ZONE -cfg F [--yes]",
        "remove a zone's marker when its tokens were lost",
        ("dnslb.daemon.verbs.fence", "fence"),
    ),
    "config": Verb(
        "config convert F.yaml [-o F.toml]",
        "turn a configuration of the Go program into TOML",
        ("dnslb.daemon.verbs.convert", "run"),
    ),
    "pki": Verb(
        "pki init|issue",
        "make a CA, and certificates with roles",
        ("dnslb.daemon.verbs.pki", "run"),
    ),
    "raft": Verb(
        "raft recover -cfg F [--dead ID]",
        "make a new cluster of the one member that is left",
        ("dnslb.daemon.verbs.recover", "run"),
    ),
}


def run(argv: Sequence[str]) -> int:
    """Does what ``argv`` (without the program's name) says; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding lacks is escaped, not the end of the program.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(list(argv))
        sys.stdout.flush()
        return code
    except ConfigProblems as problems:
        report_problems(problems, sys.stderr)
    except DnslbError as error:
        print(f"dnslb: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("dnslb: interrupted", file=sys.stderr)
    except BrokenPipeError:
        # Whoever read has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def report_problems(problems: ConfigProblems, stream: TextIO) -> None:
    """Every mistake and every warning, one a line."""
    for problem in problems.problems:
        print(f"dnslb: {problem}", file=stream)
    for warning in problems.warnings:
        print(f"dnslb: warning: {warning}", file=stream)
    if any(problem.place == "-election" for problem in problems.problems):
        print("dnslb: to see it work without any configuration: dnslb demo", file=stream)


def _dispatch(argv: list[str]) -> int:
    first = argv[0] if argv else ""
    if first in HELP:
        print(help_text())
        return 0
    if first in VERSION:
        print(f"dnslb {__version__}")
        return 0
    if not first or first.startswith("-"):
        return _run_daemon(argv)
    verb = VERBS.get(first)
    if verb is None:
        hint = similar(first, VERBS)
        raise DnslbError(f"expected flags or one of {', '.join(VERBS)}, {found(first)}{hint}")
    return _load(*verb.target)(argv[1:])


def _run_daemon(argv: Sequence[str]) -> int:
    """Loads, sets the log up, tells the warnings there, and runs until the daemon ends."""
    import logging  # noqa: PLC0415 - lazy: help and errors do without these three

    from dnslb.daemon.load import load_config  # noqa: PLC0415
    from dnslb.daemon.logs import set_up_logging  # noqa: PLC0415

    config = load_config(argv, os.environ)
    set_up_logging(debug=config.debug, as_json=config.json_logging, secrets=config.secrets)
    for warning in config.warnings:
        logging.getLogger(__name__).warning("%s", warning)
    run_daemon = importlib.import_module("dnslb.daemon.main").run_daemon
    code: int = run_daemon(config, lambda: load_config(argv, os.environ))
    return code


def _load(module: str, function: str) -> Callable[[Sequence[str]], int]:
    loaded: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return loaded


def help_text() -> str:
    """Usage, verbs and all flags."""
    from dnslb.daemon.reference import help_lines  # noqa: PLC0415 - lazy: only the help needs it

    rows = [row for verb in VERBS.values() for row in (verb[:2], verb.also) if row]
    width = max(len(usage) for usage, _ in rows) + 2
    verbs = [f"  dnslb {usage:{width}}{meaning}" for usage, meaning in rows]
    return "\n".join(
        [
            "dnslb keeps only living endpoints published in DNS.",
            "",
            "  dnslb [flags]" + " " * (width - 7) + "run the daemon",
            *verbs,
            "",
            "Flags have one dash or two; -flag value and -flag=value are the same. Each can also",
            "be an environment variable (its name in capitals, '-' as '_') or a key of the TOML",
            "file that -cfg names; a flag goes before the environment, that before the file.",
            "Durations are seconds, or such as 250ms, 1.5s, 2h. A secret may also be env:NAME or",
            "file:PATH.",
            *help_lines(),
        ]
    )
