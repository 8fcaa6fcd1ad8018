"""Where values come from: flags before environment before file, each with its origin.

Not what they mean together (`cross_checks.py`). Arguments are read as Go's flag package reads
them; but for its habit of stopping at the first mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from dnslb.daemon import flags
from dnslb.daemon.flag import Flag
from dnslb.daemon.origin import Document, FromFile, FromFlag, FromVariable, Origin
from dnslb.daemon.problems import Findings, Problem, found, similar
from dnslb.daemon.reader import Reader
from dnslb.daemon.toml_file import read_document

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """Raw values as they stand there: texts, or one value out of TOML."""

    raw: tuple[object, ...]
    origin: Origin


@dataclass(slots=True)
class Values:
    """The typed value of each flag. ``broken``: given, but wrong, so that the default stands in
    and nothing may be concluded from it."""

    origins: dict[str, Origin] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    document: Document | None = None
    typed: dict[str, object] = field(default_factory=dict)

    def __getitem__(self, flag: Flag[T]) -> T:
        return cast("T", self.typed.get(flag.name, flag.default))

    def is_given(self, flag: Flag[Any]) -> bool:
        return flag.name in self.origins

    def is_known(self, flag: Flag[Any]) -> bool:
        """Whether the value is what the operator meant."""
        return flag.name not in self.broken

    def place(self, flag: Flag[Any], *below: str | int) -> str:
        origin = self.origins.get(flag.name)
        return origin.place(*below) if origin else f"-{flag.name}"


def gather(argv: Sequence[str], environ: Mapping[str, str], findings: Findings) -> Values:
    """The effective value of each flag; the document stands there for its tables."""
    by_flag = read_arguments(argv, findings)
    by_variable = {
        flag.name: Given((text,), FromVariable(flag.variable))
        for flag in flags.FLAGS
        if (text := environ.get(flag.variable))
    }
    values = Values()
    named = {**by_variable, **by_flag}
    if (cfg := named.get("cfg")) is not None:
        _take(flags.CFG, cfg, values, environ, findings)
        values.document = _read_file(values, findings)
    by_file = _file_flags(values.document, findings) if values.document else {}
    for flag in flags.FLAGS:
        if flag is flags.CFG:
            continue
        below = by_file.get(flag.name)
        given = named.get(flag.name, below)
        if below is not None and given is not below:
            # It does not count here, but it is a mistake all the same.
            _take(flag, below, Values(), environ, findings)
        if given is not None:
            _take(flag, given, values, environ, findings)
    return values


def _read_file(values: Values, findings: Findings) -> Document | None:
    path = values[flags.CFG]
    if path is None:
        return None
    document = read_document(str(path))
    if isinstance(document, Problem):
        findings.error(*document)
        values.broken.update(flag.name for flag in flags.FLAGS)
        return None
    return document


def read_arguments(argv: Sequence[str], findings: Findings) -> dict[str, Given]:
    texts: dict[str, list[str]] = {}
    arguments = list(argv)
    while arguments:
        argument = arguments.pop(0)
        name, equals, text = argument.lstrip("-").partition("=")
        dashes = len(argument) - len(argument.lstrip("-"))
        if dashes not in (1, 2) or not name:
            findings.error("command line", f"expected a flag, {found(argument)}")
            continue
        flag = flags.BY_NAME.get(name)
        if flag is None:
            hint = similar(name, flags.BY_NAME, "-")
            findings.error("command line", f"there is no flag {f'-{name[:80]}'!r}{hint}")
            if not equals and arguments and not arguments[0].startswith("-"):
                arguments.pop(0)
            continue
        if not equals and flag.kind.is_switch:
            text = "true"
            if arguments and arguments[0].lower() in ("true", "false"):
                wanted = f"-{name}={arguments.pop(0).lower()}"
                findings.error(f"-{name}", f"takes its value after '=': write {wanted}")
        elif not equals:
            if not arguments or _is_flag(arguments[0]):
                findings.error(f"-{name}", f"needs a value: expected {flag.kind.expected}")
                continue
            text = arguments.pop(0)
        given = texts.setdefault(name, [])
        if given and flag.kind.split is None:
            findings.warn(f"-{name}", "is given more than once: the last one counts")
            given.clear()
        given.append(text)
    return {name: Given(tuple(given), FromFlag(name)) for name, given in texts.items()}


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument.lstrip("-").partition("=")[0] in flags.BY_NAME


def _file_flags(document: Document, findings: Findings) -> dict[str, Given]:
    given = {}
    for key, value in document.values.items():
        if key in flags.TABLES:
            continue
        if (flag := flags.BY_KEY.get(key)) is None:
            findings.error(document.place((key,)), _unknown_key(key))
        else:
            given[flag.name] = Given((value,), FromFile(document, (key,)))
    return given


def _unknown_key(key: str) -> str:
    if key == "cfg":
        return "a file cannot name another file"
    known = flags.BY_NAME.get(key)
    if known is not None:
        return f"there is no such key; did you mean {known.key}?"
    return f"there is no such key{similar(key, (*flags.BY_KEY, *flags.TABLES))}"


def _take(
    flag: Flag[Any],
    given: Given,
    values: Values,
    environ: Mapping[str, str],
    findings: Findings,
) -> None:
    values.origins[flag.name] = given.origin
    reader = Reader(flag.kind, given.origin, findings, environ)
    typed = reader.read(given.raw)
    if reader.failed:
        values.broken.add(flag.name)
    else:
        values.typed[flag.name] = typed
