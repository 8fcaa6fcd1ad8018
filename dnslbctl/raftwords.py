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
DNSLBCTL = "dnslbctl raft"
NOT_IN_THIS_VERSION = "this version of dnslb has no raft cluster"


class RaftUsage(Exception):
    """``str()`` is what goes to standard error as it stands."""


def check_words(words: list[str], program: str) -> tuple[str, list[str]]:
    """The command and its arguments; raises `RaftUsage`."""
    if not words:
        commands = ", ".join(sorted(COMMANDS))
        raise RaftUsage(f"Usage: {program} <command> <args...>\nCommands: {commands}")
    command, *arguments = words
    if (names := COMMANDS.get(command)) is None:
        commands = ", ".join(sorted(COMMANDS))
        raise RaftUsage(f"Unknown command {command!r}\nCommands: {commands}")
    if len(arguments) != len(names):
        usage = "".join(f" <{name}>" for name in names)
        raise RaftUsage(f"Usage: {program} {command}{usage}")
    return command, arguments


def check_raftadmin(words: list[str]) -> tuple[str, str, list[str]]:
    """Where to, the command and its arguments, in raftadmin's own order: options, the address,
    the command; raises `RaftUsage`. Options are written with one dash or two, as Go has it."""
    words = [*words]
    while words and words[0].startswith("-"):
        option, equals, _ = words.pop(0).lstrip("-").partition("=")
        if option in ("ca", "crt", "key", "timeout"):
            if not equals and words:
                words.pop(0)
        elif option not in ("leader", "json", "yes", "async", "insecure"):
            words = []
    if not words:
        check_words([], RAFTADMIN)
    command, arguments = check_words(words[1:], RAFTADMIN)
    return words[0], command, arguments
