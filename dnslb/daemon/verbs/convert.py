"""``dnslb config convert``: a configuration of the Go program, as one of this program.

Not what becomes of each key (`go_configuration`): this reads the words and puts the file in its
place. Opens no connection.

Law: what may hold a password is written for its owner alone, and over nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dnslb.daemon.kinds import NAME, PATH
from dnslb.daemon.problems import ConfigProblems, Problem, found, similar
from dnslb.daemon.verbs.go_configuration import convert
from dnslb.daemon.verbs.yaml_nodes import read_yaml
from dnslb.errors import DnslbError

USAGE = "dnslb config convert F.yaml [-o F.toml] [-owner-id ID]"
HELP = f"""\
usage: {USAGE}

Reads a configuration of the Go program and writes it as TOML, key by key, with a comment for
whatever has changed its meaning. The Go program's flags and environment variables need no
conversion: they work as they are.

  -o F.toml      write it there, for its owner alone; without it: to standard output
  -owner-id ID   who owns the records at the provider (without it: made of the names)

Next: dnslb check -cfg F.toml"""
OPTIONS = ("o", "owner-id")


def run(argv: Sequence[str]) -> int:
    """0 when the file is converted. Raises `DnslbError`."""
    if any(argument in ("-h", "-help", "--help", "help") for argument in argv):
        print(HELP)
        return 0
    verb, *rest = argv or [""]
    if verb != "convert":
        raise DnslbError(f"expected config convert, {found(verb)}; usage: {USAGE}")
    words, options = _split(rest)
    if len(words) != 1:
        what = found(words[1]) if words else "found nothing"
        raise DnslbError(f"config convert expects one file, {what}; usage: {USAGE}")
    owner_id = options.get("owner-id")
    if owner_id is not None:
        _check_owner_id(owner_id)
    file = read_yaml(words[0])
    if isinstance(file, Problem):
        raise ConfigProblems((file,))
    conversion = convert(file, owner_id)
    for warning in conversion.warnings:
        print(f"dnslb: warning: {warning}", file=sys.stderr)
    if "o" not in options:
        sys.stderr.flush()
        print(conversion.toml, end="")
        return 0
    path = options["o"]
    _write(PATH.read(path), conversion.toml)
    print(f"{path} is written, for its owner alone. Next: dnslb check -cfg {path}")
    return 0


def _check_owner_id(text: str) -> None:
    try:
        NAME.read(text)
    except ValueError:
        raise DnslbError(f"-owner-id: expected {NAME.expected}, {found(text)}") from None


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DnslbError(f"{str(path)!r} is there already; nothing is written over it") from None
    except OSError as error:
        raise DnslbError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _split(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    options: dict[str, str] = {}
    arguments = list(argv)
    while arguments:
        argument = arguments.pop(0)
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        name, equals, text = argument.lstrip("-").partition("=")
        if name not in OPTIONS:
            hint = similar(name, OPTIONS, "-")
            raise DnslbError(f"config convert has no flag {argument[:80]!r}{hint}; usage: {USAGE}")
        if not equals:
            if not arguments:
                raise DnslbError(f"-{name} needs a value")
            text = arguments.pop(0)
        if name in options:
            raise DnslbError(f"-{name} is given more than once")
        options[name] = text
    return words, options
