"""The command line of ``dnslb agent``: healthagent's flags, with one dash or two, into a value.

Not the daemon's configuration: an agent has no file and no environment. Files are only named
here; who opens them says what is wrong with them.

Law: every mistake is found in one go, one sentence each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from dnslb.errors import ConfigError
from dnslb.net.tls import TlsFiles

Value = TypeVar("Value")
UpstreamMode = Literal["first", "all"]
UPSTREAMS_MAX = 16
REPORT_MAX_AGE_S = 45.0
"""After which the original and dnslb, unless told otherwise, no longer trust a report."""

USAGE = """\
usage: dnslb agent -upstream URL [-upstream URL ...] -ca FILE -crt FILE -key FILE [flags]

Checks what a healthd announces, and tells it what it saw. Flags work with one dash or two.

  -upstream URL         https://host[:port] of a healthd or dnslb; repeat it for several
  -upstream-mode MODE   first: one at a time, in order, moving on when one fails (default)
                        all: each of them, and each address of its host, independently
  -name NAME            how this agent is called, as in its certificate (default: host name)
  -ca FILE              the CA that signed the upstreams' certificates
  -crt FILE             this agent's certificate
  -key FILE             its key
  -interval S           seconds between checks, where the upstream names none (default 1)
  -sync-interval S      seconds between fetches of the list (default 30)
  -keep-alive S         seconds of silence after which the same is posted again (default 30)
  -json-logging         one JSON object per line instead of text
  -debug                log every post
  -help                 this text
"""


class OptionErrors(ConfigError):
    """Everything that is wrong with a command line, one sentence per line.

    ``tls``: the files that were given, for whoever wants to name their faults as well.
    """

    def __init__(self, sentences: Sequence[str], tls: TlsFiles) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)
        self.tls = tls


class HelpWanted(Exception):
    """The command line asks for the usage text; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an agent is told. Times in seconds."""

    name: str
    upstreams: tuple[str, ...]
    tls: TlsFiles
    mode: UpstreamMode = "first"
    interval_s: float = 1.0
    sync_interval_s: float = 30.0
    keep_alive_s: float = 30.0
    json_logging: bool = False
    debug: bool = False


_VALUES = frozenset(
    {
        "name",
        "upstream",
        "upstream-mode",
        "ca",
        "crt",
        "key",
        "interval",
        "sync-interval",
        "keep-alive",
    }
)
_SWITCHES = frozenset({"json-logging", "debug"})
# As Go's flag package reads them (strconv.ParseBool), since healthagent's scripts may say so.
_WORDS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def read_options(arguments: Sequence[str], host_name: str) -> Options:
    """Raises `OptionErrors`, or `HelpWanted`."""
    errors: list[str] = []
    given = _scan(arguments, errors)

    def one(flag: str) -> str:
        return given.get(flag, [""])[-1]

    def path(flag: str) -> Path | None:
        return Path(one(flag)) if one(flag) else None

    def seconds(flag: str, default: float, low: float, high: float) -> float:
        if flag not in given:
            return default
        return _checked(errors, partial(_seconds, flag, one(flag), low, high), default)

    upstreams = list(dict.fromkeys(given.get("upstream", ())))
    if not upstreams:
        errors.append("no upstream is given: expected -upstream https://host[:port]")
    if len(upstreams) > UPSTREAMS_MAX:
        errors.append(f"{len(upstreams)} upstreams are given: expected at most {UPSTREAMS_MAX}")
    upstreams = [_checked(errors, partial(_upstream, url), url) for url in upstreams]
    name = one("name") if "name" in given else host_name
    if not (0 < len(name) <= 253 and name.isascii() and name.isprintable() and " " not in name):
        errors.append(f"-name {name!r}: expected up to 253 printable ASCII characters, no spaces")
    mode = one("upstream-mode") or "first"
    if mode not in ("first", "all"):
        errors.append(f"-upstream-mode {mode!r}: expected first or all")
    for flag, what in (("ca", "CA"), ("crt", "client certificate"), ("key", "client key")):
        if not one(flag):
            errors.append(f"no {what} is given: expected -{flag} FILE")
    switches = {
        flag: _checked(errors, partial(_word, flag, one(flag)), False)
        for flag in _SWITCHES
        if flag in given
    }
    options = Options(
        name=name,
        upstreams=tuple(upstreams),
        tls=TlsFiles(ca=path("ca"), cert=path("crt"), key=path("key")),
        mode="all" if mode == "all" else "first",
        interval_s=seconds("interval", 1.0, 0.1, 3600),
        sync_interval_s=seconds("sync-interval", 30.0, 1, 86400),
        keep_alive_s=seconds("keep-alive", 30.0, 1, 86400),
        json_logging=switches.get("json-logging", False),
        debug=switches.get("debug", False),
    )
    if errors:
        raise OptionErrors(errors, options.tls)
    return options


def _scan(arguments: Sequence[str], errors: list[str]) -> dict[str, list[str]]:
    """Flags and values, in Go's manner: ``-f v``, ``--f v``, ``-f=v``; a switch needs no value."""
    given: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, equals, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or argument.startswith("---") or not flag:
            errors.append(f"{argument!r} is no flag: expected one of those that -help lists")
        elif flag in ("h", "help"):
            raise HelpWanted
        elif flag in _SWITCHES:
            given.setdefault(flag, []).append(value if equals else "true")
        elif flag not in _VALUES:
            errors.append(f"-{flag} is not known: expected one of those that -help lists")
        elif equals or rest:
            given.setdefault(flag, []).append(value if equals else rest.pop(0))
        else:
            errors.append(f"-{flag} stands alone: expected a value after it")
            given.setdefault(flag, [])
    return {flag: values for flag, values in given.items() if values}


def _checked(errors: list[str], read: Callable[[], Value], default: Value) -> Value:
    try:
        return read()
    except ValueError as error:
        errors.append(str(error))
        return default


def _seconds(flag: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"-{flag} {text!r}: expected {low:g} to {high:g} seconds")
    return value


def _word(flag: str, text: str) -> bool:
    if text not in _WORDS:
        raise ValueError(f"-{flag}={text}: expected true or false, or no value at all")
    return _WORDS[text]


def _upstream(text: str) -> str:
    """``text`` as a URL to GET and POST; raises ValueError with a sentence."""
    expected = "expected https://host[:port]"
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"-upstream {text!r}: {expected}")
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError:
        has_host = False
    if not has_host:
        raise ValueError(f"-upstream {text!r}: {expected}")
    if url.scheme == "http":
        raise ValueError(
            f"-upstream {text!r}: {expected}, since over plain HTTP nobody proves who they are"
        )
    if url.scheme != "https":
        raise ValueError(f"-upstream {text!r}: {expected}")
    if url.username is not None or url.query or url.fragment:
        raise ValueError(f"-upstream {text!r}: {expected}, without user, query or fragment")
    return text if url.path else text + "/"
