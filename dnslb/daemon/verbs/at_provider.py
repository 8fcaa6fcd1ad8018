"""What the verbs share that talk to the provider themselves, beside whatever daemon runs.

Not what they say there. The configuration is the daemon's own; nothing is opened that it holds:
no state directory, no socket.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import trio

from dnslb.daemon import flags, registry
from dnslb.daemon.config import Config
from dnslb.daemon.load import load_config
from dnslb.daemon.logs import set_up_logging
from dnslb.daemon.problems import found, similar
from dnslb.daemon.process import run_verb
from dnslb.daemon.registry import Publication
from dnslb.errors import DnslbError
from dnslb.net.clock import Clock

T = TypeVar("T")
CLOSE_S_MAX = 2.0


class Wanted(NamedTuple):
    """A verb's command line: its own words and options, and what is left for the daemon's."""

    words: tuple[str, ...]
    options: Mapping[str, str]
    flags: tuple[str, ...]


def split(argv: Sequence[str], options: Mapping[str, bool], usage: str) -> Wanted:
    """``options``: the verb's own, and whether each has a value. Raises `DnslbError`."""
    words, own, others = [], {}, []
    arguments = list(argv)
    while arguments:
        argument = arguments.pop(0)
        name, equals, text = argument.lstrip("-").partition("=")
        if not argument.startswith("-"):
            words.append(argument)
        elif name in options:
            if options[name] and not equals:
                if not arguments:
                    raise DnslbError(f"--{name} needs a value; usage: {usage}")
                text = arguments.pop(0)
            own[name] = text
        elif (flag := flags.BY_NAME.get(name)) is None:
            hint = similar(name, (*options, *flags.BY_NAME), "-")
            raise DnslbError(f"there is no flag {argument[:80]!r}{hint}; usage: {usage}")
        else:
            others.append(argument)
            if not equals and not flag.kind.is_switch and arguments:
                others.append(arguments.pop(0))
    return Wanted(tuple(words), own, tuple(others))


def one_word(wanted: Wanted, what: str, usage: str) -> str:
    """The verb's only word. Raises `DnslbError`."""
    if len(wanted.words) != 1:
        extra = found(wanted.words[1]) if wanted.words else "found nothing"
        raise DnslbError(f"expected one {what}, {extra}; usage: {usage}")
    return wanted.words[0]


def load(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration as the daemon would read it; the log is set up, and silent unless
    -debug or -dump-http asks for it. Raises `ConfigProblems`."""
    config = load_config(arguments, os.environ if environ is None else environ)
    if config.debug or config.dump_http:
        set_up_logging(debug=config.debug, as_json=config.json_logging, secrets=config.secrets)
    else:
        # What a verb has to say it says itself.
        logging.getLogger("dnslb").setLevel(logging.CRITICAL)
    return config


def with_provider(
    config: Config, work: Callable[[Publication, Clock], Awaitable[T]], *, limit_s: float
) -> T:
    """Does ``work`` with the provider of ``config``, and closes it. Raises `DnslbError`."""

    async def run() -> T:
        clock = Clock()
        publication = registry.make_publication(config, clock, beside=True)
        if publication is None:
            raise DnslbError("no -provider is configured, so there is nobody to ask")
        try:
            with trio.fail_after(limit_s):
                return await work(publication, clock)
        except trio.TooSlowError:
            raise DnslbError(f"provider {config.provider} took longer than {limit_s:g} s") from None
        finally:
            with trio.move_on_after(CLOSE_S_MAX, shield=True):
                await publication.aclose()

    return run_verb(run)


def ask(question: str, instead: str) -> str:
    """What a person at a terminal types. Raises `DnslbError` where there is none, which names
    the option to give ``instead``."""
    if not sys.stdin.isatty():
        raise DnslbError(f"there is no terminal to ask at: give {instead}; nothing was changed")
    try:
        return input(f"{question}: ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        raise DnslbError("nothing was typed, and nothing was changed") from None


def asks_for_help(argv: Sequence[str]) -> bool:
    return any(argument in ("-h", "-help", "--help") for argument in argv)
