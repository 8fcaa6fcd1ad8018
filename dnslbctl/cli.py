"""The words of the command line: one table of verbs and options, and the parser that reads it.

Help, shell completion and the reference test read the same table. It is no argparse program:
building some twenty sub-parsers costs a tenth of a whole ``dnslbctl status``, and ``raft`` wants
words in an order of its own. Knows nothing of sockets and prints nothing.

Law: what is not understood raises `Usage`; nothing is guessed, and no word is abbreviated.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Sequence

PROGRAM = "dnslbctl"
FOREVER = "forever"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_PART = re.compile(rf"({_NUMBER})([dhms]?)")
_DURATION = re.compile(f"{_NUMBER}|" + "".join(f"(?:{_NUMBER}{u})?" for u in "dhms"))
_DURATION_S_MAX = 10 * 365 * 86400


class Usage(Exception):
    """The command line is wrong; ``verb`` names whose usage helps, "" the program's own."""

    def __init__(self, sentence: str, verb: str = "") -> None:
        super().__init__(sentence)
        self.verb = verb


class Option:
    """``--name VALUE``, or a flag when ``value`` is empty."""

    __slots__ = ("name", "required", "text", "value")

    def __init__(self, name: str, value: str, text: str, *, required: bool = False) -> None:
        self.name, self.value, self.text, self.required = name, value, text, required

    @property
    def usage(self) -> str:
        written = f"{self.name} {self.value}" if self.value else self.name
        return written if self.required else f"[{written}]"


class Verb:
    """``least`` to ``most`` arguments; ``completes``: what kind of word each of them is."""

    __slots__ = ("arguments", "completes", "least", "most", "name", "options", "text")

    def __init__(
        self,
        name: str,
        text: str,
        arguments: str = "",
        least: int = 0,
        most: int = 0,
        options: Sequence[Option] = (),
        completes: str = "",
    ) -> None:
        self.name, self.text, self.arguments = name, text, arguments
        self.least, self.most, self.options, self.completes = least, most, options, completes

    @property
    def usage(self) -> str:
        words = [PROGRAM, "[options]", self.name, self.arguments]
        return " ".join(filter(None, [*words, *(option.usage for option in self.options)]))


class Call:
    """A command line that was understood. ``given``: options as written, flags as ""."""

    __slots__ = ("arguments", "given", "verb")

    def __init__(self, verb: str, arguments: list[str], given: dict[str, str]) -> None:
        self.verb, self.arguments, self.given = verb, arguments, given

    def has(self, option: str) -> bool:
        return option in self.given

    def seconds(self, option: str, default: float) -> float:
        return duration_s(self.given[option]) if option in self.given else default


OPTIONS = (
    Option("--socket", "PATH", "the daemon's control socket (or DNSLB_SOCKET)"),
    Option("--address", "HOST:PORT", "a member of a raft cluster, over the network"),
    Option("--leader", "multi:///A,B,C", "find the raft leader among these members"),
    Option("--ca", "FILE", "certificates that a member's must come from"),
    Option("--crt", "FILE", "our own certificate"),
    Option("--key", "FILE", "its private key"),
    Option("--lb", "NAME", "only in this load balancer"),
    Option("--json", "", "print JSON for scripts"),
    Option("--timeout", "S", "wait at most this long (10 s; commands 30 s)"),
    Option("--yes", "", "ask nothing; with drain: go below min-published"),
    Option("--help", "", "show this, or after a verb its own help"),
    Option("--version", "", "show the version"),
)
_REASON = Option("--reason", "R", "why; shown to everybody who looks", required=True)
_FOR = Option("--for", "D", "ends by itself after this long, such as 90, 30m or 2h")
_FOR_FORCE = Option("--for", "D|forever", "ends by itself after this long, or never", required=True)

VERBS = (
    Verb("status", "what needs a person, then a summary", options=[
        Option("--check", "", "print only what needs a person; exit 1 when something does"),
    ]),
    Verb("members", "the instances of this cluster"),
    Verb("endpoints", "every endpoint, its verdict and whether it is in DNS"),
    Verb("changes", "changes under way, held, or made in the last hour", options=[
        Option("--all", "", "every change still in memory"),
    ]),
    Verb("events", "what happened, oldest first", options=[
        Option("-f", "", "go on with what happens from now on"),
    ]),
    Verb("overrides", "what people ordered and what is still in force"),
    Verb("why", "why a name is published as it is", "NAME", 1, 1, [
        Option("--at", "TIME", "at another time: 2026-01-31T03:12:00Z, 03:12 (UTC) or 15m ago"),
    ], "names"),
    Verb("drain", "take an endpoint out for maintenance", "ENDPOINT", 1, 1,
         [_REASON, _FOR], "endpoints"),
    Verb("force-up", "treat an endpoint as living", "ENDPOINT", 1, 1,
         [_REASON, _FOR_FORCE], "endpoints"),
    Verb("force-down", "treat an endpoint as dead", "ENDPOINT", 1, 1,
         [_REASON, _FOR_FORCE], "endpoints"),
    Verb("clear", "end drain, force-up or force-down", "ENDPOINT", 1, 1, [], "overridden"),
    Verb("undrain", "the same as clear", "ENDPOINT", 1, 1, [], "overridden"),
    Verb("pause", "write nothing to DNS, or not for a name or zone", "[NAME|ZONE]", 0, 1,
         [_REASON, _FOR], "names"),
    Verb("resume", "end a pause; prints what will be written", "[NAME|ZONE]", 0, 1, [], "names"),
    Verb("approve", "let exactly these held changes go out", "ID...", 1, 100, [], "held"),
    Verb("drop", "give these held changes up", "ID...", 1, 100, [], "held"),
    Verb("release", "give up a name that left the configuration", "NAME", 1, 1, [
        Option("--delete", "", "delete its records; without it they stay"),
    ], "released"),
    Verb("sync", "compare with the provider now", "[ZONE...]", 0, 100),
    Verb("raft", "administer a raft cluster", "COMMAND [ARGUMENTS]", 0, 100, [
        Option("--async", "", "print an operation token at once, and go on without waiting"),
    ]),
    Verb("config", "rewrite the Go program's YAML (by dnslb)", "convert F", 0, 100),
    Verb("pki", "make certificates for members and people (by dnslb)", "init|issue", 0, 100),
    Verb("completion", "a script that completes words in your shell", "bash|zsh|fish", 1, 1,
         completes="shells"),
)  # fmt: skip

GROUPS = (
    ("look", ("status", "endpoints", "why", "changes", "events", "overrides", "members")),
    ("steer", ("drain", "force-up", "force-down", "clear", "undrain", "pause", "resume")),
    ("decide", ("approve", "drop", "release", "sync")),
    ("other", ("raft", "config", "pki", "completion")),
)
REMOTE_OPTIONS = ("--address", "--leader", "--ca", "--crt", "--key")
HANDED_OVER = ("config", "pki")
"""Verbs whose words all belong to the program that they are handed to."""

COMPLETE = "__complete"
"""What the completion scripts call for words that only the daemon knows."""


def find_verb(name: str) -> Verb | None:
    return next((verb for verb in VERBS if verb.name == name), None)


def parse(words: Sequence[str]) -> Call:
    """Reads the words after the program's name; raises `Usage`."""
    given: dict[str, str] = {}
    rest = _take_options([*words], OPTIONS, given, "", stop=True)
    if "--help" in given or "--version" in given or not rest:
        return Call("", [], given)
    name, *rest = rest
    if name == COMPLETE:
        return Call(name, rest, given)
    if (verb := find_verb(name)) is None:
        raise Usage(f"there is no verb {name!r}{_nearest(name, [v.name for v in VERBS])}")
    if name in HANDED_OVER:
        return Call(name, rest, given)
    allowed = [*verb.options, *OPTIONS]
    arguments = _take_options(rest, allowed, given, name, stop=name == "raft")
    if "--help" not in given:
        check_options(Call(name, arguments, given))
        if name != "raft":
            _check(verb, arguments, given)
    return Call(name, arguments, given)


def _take_options(
    words: list[str], allowed: Sequence[Option], given: dict[str, str], verb: str, *, stop: bool
) -> list[str]:
    """Moves options from ``words`` into ``given``; returns the others. ``stop``: at the first
    word that is no option, since those after it have another reader."""
    known = {option.name: option for option in allowed}
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return [*rest, *words]
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if stop:
                return [*rest, *words]
            continue
        name, equals, value = word.partition("=")
        if name == "-h":
            name = "--help"
        if (option := known.get(name)) is None:
            whose = f"{verb} has" if verb else "there is"
            raise Usage(f"{whose} no option {name!r}{_nearest(name, [*known])}", verb)
        if not option.value:
            if equals:
                raise Usage(f"{name} takes no value", verb)
            value = ""
        elif not equals:
            if not words:
                raise Usage(f"{name} needs a value: {name} {option.value}", verb)
            value = words.pop(0)
        given[name] = value
    return rest


def _check(verb: Verb, arguments: list[str], given: dict[str, str]) -> None:
    if len(arguments) < verb.least:
        raise Usage(f"{verb.name} needs {verb.arguments}", verb.name)
    if len(arguments) > verb.most:
        surplus = " ".join(arguments[verb.most :])
        raise Usage(f"{verb.name} does not take {surplus!r}", verb.name)
    for option in verb.options:
        if option.required and not given.get(option.name, "").strip():
            raise Usage(f"{verb.name} needs {option.usage}: {option.text}", verb.name)


def check_options(call: Call) -> None:
    """What holds for the options of every verb; raises `Usage`."""
    given, verb = call.given, call.verb
    for name in ("--timeout", "--for"):
        if name in given and (name, given[name]) != ("--for", FOREVER):
            try:
                duration_s(given[name])
            except ValueError as error:
                raise Usage(f"{name}: {error}", verb) from error
    ways = [name for name in ("--socket", "--address", "--leader") if name in given]
    if len(ways) > 1:
        raise Usage(f"{' and '.join(ways)} exclude each other", verb)
    pair = [name for name in ("--ca", "--crt", "--key") if name in given]
    if pair and ways not in (["--address"], ["--leader"]):
        raise Usage(f"{pair[0]} goes with --address or --leader", verb)
    if len(pair) in (1, 2):
        raise Usage("--ca, --crt and --key go together", verb)


def duration_s(text: str) -> float:
    """Seconds of ``90``, ``1.5``, ``30m``, ``2h``, ``1h30m`` or ``7d``; raises ValueError."""
    found = _DURATION.fullmatch(text)
    seconds = sum(float(n) * _UNITS[u] for n, u in _PART.findall(text)) if found else 0.0
    if not 0 < seconds <= _DURATION_S_MAX:
        raise ValueError(f"{text[:40]!r} is no duration above 0 such as 90, 30m, 2h or 1h30m")
    return seconds


def _nearest(word: str, known: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415 - only for whoever mistyped

    near = difflib.get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def overview() -> str:
    """What ``dnslbctl --help`` prints."""
    lines = [f"usage: {PROGRAM} [options] VERB [arguments]", ""]
    for title, names in GROUPS:
        lines.append(f"{title}:")
        for verb in filter(None, map(find_verb, names)):
            call = f"{verb.name} {verb.arguments}".strip()
            lines.append(f"  {call:<26}{verb.text}")
        lines.append("")
    lines += ["options:", *_options(OPTIONS), ""]
    lines.append(f"{PROGRAM} VERB --help says more. ENDPOINT is tcp://192.0.2.1:80, 192.0.2.1:80")
    lines.append("or 192.0.2.1; without --lb it means every endpoint that matches.")
    lines.append("exit codes: 0 done, 1 refused or failed, 2 usage, 3 no daemon reached,")
    lines.append("4 no leader within the time-out")
    return "\n".join(lines)


def help_for(verb: Verb) -> str:
    """What ``dnslbctl VERB --help`` prints."""
    lines = [f"usage: {verb.usage}", "", f"{verb.text[0].upper()}{verb.text[1:]}."]
    if verb.options:
        lines += ["", *_options(verb.options)]
    return "\n".join(lines)


def _options(options: Sequence[Option]) -> list[str]:
    return [f"  {f'{o.name} {o.value}'.strip():<26}{o.text}" for o in options]
