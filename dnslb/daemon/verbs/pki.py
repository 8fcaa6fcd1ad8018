"""``dnslb pki init`` and ``dnslb pki issue``: a CA, and certificates with roles.

Not the making of them (`authority`): this reads the words, and says where the files are and
which flags use them. Opens no connection, and needs no configuration.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from dnslb.daemon.kinds import HOST, NAME, PATH, Kind, choice, integer
from dnslb.daemon.problems import found, similar
from dnslb.daemon.secret import is_open_to_all, open_to_all
from dnslb.daemon.verbs.authority import (
    CA_DAYS,
    DAYS,
    ROLES,
    Authority,
    Files,
    Role,
    Wish,
    make_authority,
)
from dnslb.errors import DnslbError
from dnslb.net.clock import wall_s

T = TypeVar("T")
DIRECTORY = "pki"
HOSTS_MAX = 64
DAYS_KIND = integer(1, CA_DAYS)
OPTIONS = ("dir", "days", "host", "role")
INIT_USAGE = "dnslb pki init [-dir DIR] [-days N]"
ISSUE_USAGE = f"dnslb pki issue NAME -role {'|'.join(ROLES)} [-host HOST ...] [-dir DIR] [-days N]"
HELP = f"""\
usage: {INIT_USAGE}
       {ISSUE_USAGE}

Flags work with one dash or two.

  -role ROLE   member    an instance of dnslb; NAME is its -instance-id
               operator  a person who may look and steer
               viewer    a person who may look
               agent     a health agent; NAME is its -name
  -host HOST   a name or address at which a member is reached; repeat it for several
  -dir DIR     where the CA is, and where all files go (default: {DIRECTORY})
  -days N      how long it is valid (default: {DAYS}, a CA {CA_DAYS})

No file is overwritten. To renew a pair, move both of its files away and issue it again."""


class Given(NamedTuple):
    """A command line that was understood: its words, and its options as written."""

    words: tuple[str, ...]
    options: Mapping[str, list[str]]

    def one(self, name: str) -> str | None:
        values = self.options.get(name, [])
        if len(values) > 1:
            raise DnslbError(f"-{name} is given {len(values)} times; once was expected")
        return values[0] if values else None


def run(argv: Sequence[str]) -> int:
    """0 when the files are written. Raises `DnslbError`."""
    if argv[:1] == ["help"] or any(argument in ("-h", "-help", "--help") for argument in argv):
        print(HELP)
        return 0
    verbs: dict[str, Callable[[Given], None]] = {"init": _init, "issue": _issue}
    verb = argv[0] if argv else ""
    if verb not in verbs:
        raise DnslbError(f"expected pki init or pki issue, {found(verb)}{similar(verb, verbs)}")
    verbs[verb](_split(argv[1:]))
    return 0


def _init(given: Given) -> None:
    if given.words:
        raise DnslbError(f"pki init takes no name, {found(given.words[0])}; usage: {INIT_USAGE}")
    for name in ("host", "role"):
        if name in given.options:
            raise DnslbError(f"pki init takes no -{name}: a CA has none; usage: {INIT_USAGE}")
    directory = _read(PATH, "-dir", given.one("dir") or DIRECTORY)
    days = _read(DAYS_KIND, "-days", given.one("days") or str(CA_DAYS))
    files = make_authority(directory, days, wall_s())
    print(f"{files.cert} is for everybody: each member, agent and person needs it.")
    print(f"{files.key} stays here: whoever has it can make members of their own.")
    print(f"This CA is valid until {files.ends:%Y-%m-%d}. Next, for each instance:")
    where = "" if str(directory) == DIRECTORY else f" -dir {directory}"
    print(f"  dnslb pki issue INSTANCE-ID -role member -host HOST{where}")


def _issue(given: Given) -> None:
    if len(given.words) != 1:
        what = found(given.words[1]) if given.words else "found nothing"
        raise DnslbError(f"pki issue expects one name, {what}; usage: {ISSUE_USAGE}")
    wish = _wish(given)
    directory = _read(PATH, "-dir", given.one("dir") or DIRECTORY)
    authority = Authority(directory, wall_s())
    if is_open_to_all(directory / "ca.key"):
        print(f"dnslb: warning: {open_to_all(directory / 'ca.key')}", file=sys.stderr)
    files = authority.issue(wish)
    print("\n".join(_said(wish, files, directory / "ca.crt")))


def _wish(given: Given) -> Wish:
    role_text = given.one("role")
    if role_text is None:
        raise DnslbError(f"-role is missing: expected {choice(*ROLES).expected}")
    role: Role = next(role for role in ROLES if role == _read(choice(*ROLES), "-role", role_text))
    name = _read(NAME, "the name", given.words[0])
    if name.lower() == "ca":
        raise DnslbError(f"the name {name!r} is that of the CA's own files; choose another")
    hosts = tuple(_read(HOST, "-host", host).rstrip(".") for host in given.options.get("host", []))
    if len(hosts) > HOSTS_MAX:
        raise DnslbError(f"{len(hosts)} times -host: at most {HOSTS_MAX} were expected")
    if role == "member" and not hosts:
        raise DnslbError(
            "a member needs -host, once for each name or address at which others reach it: "
            "the host in its -raft-address, and that in the agents' -upstream"
        )
    if role != "member" and hosts:
        raise DnslbError(f"-host is for members, who serve; role {role} only asks")
    days = given.one("days")
    return Wish(name, role, hosts, None if days is None else _read(DAYS_KIND, "-days", days))


def _said(wish: Wish, files: Files, ca: Path) -> list[str]:
    lines = [f"{files.cert} and {files.key}: {wish.role} {wish.name}"]
    lines[0] += f" at {', '.join(wish.hosts)}" if wish.hosts else ""
    lines[0] += f", valid until {files.ends:%Y-%m-%d}."
    lines.append(f"Take these two and {ca} to where they are used, the key for its owner alone:")

    def flags(prefix: str) -> str:
        return f"{prefix}ca {ca} {prefix}crt {files.cert} {prefix}key {files.key}"

    if wish.role == "member":
        lines.append(f"  between members:    dnslb -instance-id {wish.name} {flags('-raft-')}")
        lines.append(f"  for agents' reports: dnslb -healthd-listen HOST:PORT {flags('-healthd-')}")
    elif wish.role == "agent":
        lines.append(f"  dnslb agent -name {wish.name} -upstream https://HOST:PORT {flags('-')}")
    else:
        lines.append(f"  dnslbctl --leader multi:///HOST:PORT,HOST:PORT {flags('--')} status")
    return lines


def _split(argv: Sequence[str]) -> Given:
    words: list[str] = []
    options: dict[str, list[str]] = {}
    arguments = list(argv)
    while arguments:
        argument = arguments.pop(0)
        if not argument.startswith("-"):
            words.append(argument)
            continue
        name, equals, text = argument.lstrip("-").partition("=")
        if name not in OPTIONS:
            hint = similar(name, OPTIONS, "-")
            raise DnslbError(f"pki has no flag {argument[:80]!r}{hint}")
        if not equals:
            if not arguments:
                raise DnslbError(f"-{name} needs a value")
            text = arguments.pop(0)
        options.setdefault(name, []).append(text)
    return Given(tuple(words), options)


def _read(kind: Kind[T], what: str, text: str) -> T:
    try:
        value: T = kind.read(text)
    except ValueError:
        raise DnslbError(f"{what}: expected {kind.expected}, {found(text)}") from None
    return value
