"""The words of ``dnslbctl raft`` and ``raftadmin``: commands, their arguments, their usage.

Not a client: it reads words and says what is wrong with them, in the form that scripts which
used raftadmin know.

Law: a wrong number of words is usage on standard error, and nothing is sent.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, ...]] = {
    "add_nonvoter": ("id", "address", "previous_index"),
    "add_voter": ("id", "address", "previous_index"),
    "applied_index": (),
    "apply_log": ("data", "extensions"),
    "await": ("operation_token",),
    "barrier": (),
    "demote_voter": ("id", "previous_index"),
    "forget": ("operation_token",),
    "get_configuration": (),
    "last_contact": (),
    "last_index": (),
    "leader": (),
    "leadership_transfer": (),
    "leadership_transfer_to_server": ("id", "address"),
    "remove_server": ("id", "previous_index"),
    "shutdown": (),
    "snapshot": (),
    "state": (),
    "stats": (),
    "verify_leader": (),
}
RAFTADMIN = "raftadmin <host:port>"
MULTI = "multi:///"
DNSLBCTL = "dnslbctl raft"
ASKED_ABOUT = ("apply_log", "demote_voter", "remove_server", "shutdown")
"""Commands that dnslbctl carries out only after a yes."""
OFFLINE = (
    "recover works on the directory of a member that is stopped, where that is: "
    "dnslb raft recover -cfg F"
)
_VALUES = ("ca", "crt", "key", "timeout")
_SWITCHES = ("async", "json", "yes")


class RaftUsage(Exception):
    """``str()`` is what goes to standard error as it stands."""


def check_words(words: list[str], program: str) -> tuple[str, list[str]]:
    """The command and its arguments; raises `RaftUsage`."""
    if not words:
        commands = ", ".join(sorted(COMMANDS))
        raise RaftUsage(f"Usage: {program} <command> <args...>\nCommands: {commands}")
    command, *arguments = words
    if command == "recover":
        raise RaftUsage(OFFLINE)
    if (names := COMMANDS.get(command)) is None:
        commands = ", ".join(sorted(COMMANDS))
        raise RaftUsage(f"Unknown command {command!r}\nCommands: {commands}")
    if len(arguments) != len(names):
        usage = "".join(f" <{name}>" for name in names)
        raise RaftUsage(f"Usage: {program} {command}{usage}")
    return command, arguments


def check_raftadmin(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options of ``dnslbctl raft`` that these words come to, and the command with its
    arguments. The words are in raftadmin's own order: options, the address, the command; raises
    `RaftUsage`. Options are written with one dash or two, as Go has it."""
    words, given, leader = [*words], {"--yes": ""}, False
    while words and words[0].startswith("-"):
        option, equals, value = words.pop(0).lstrip("-").partition("=")
        if option in _VALUES:
            given[f"--{option}"] = value if equals else (words.pop(0) if words else "")
        elif option in _SWITCHES:
            given[f"--{option}"] = ""
        elif option == "leader":
            leader = True
        else:
            words = []
    if not words:
        check_words([], RAFTADMIN)
    where, *rest = words
    command, arguments = check_words(rest, RAFTADMIN)
    several = where.startswith(MULTI)
    if leader or several:
        given["--leader"] = where if several else MULTI + where
    else:
        given["--address"] = where
    return given, [command, *arguments]
