"""The table of flags rendered: for ``dnslb help`` and for `docs/reference/configuration.md`.

Pure: from the table to text, so that neither can say what the program does not do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dnslb.daemon import flags
from dnslb.daemon.duration import format_duration
from dnslb.daemon.flag import Flag
from dnslb.daemon.kinds import SHARE, SWITCH
from dnslb.daemon.loadbalancer_tables import OPTIONS, Option
from dnslb.model.loadbalancer import Monitor, Policy

_MONITOR, _POLICY = Monitor("tcp", "192.0.2.1", 1), Policy()
TITLES = {
    None: "All installations",
    ("election", "raft"): "With -election raft",
    ("election", "k8s"): "With -election k8s",
    ("healthd-listen", ""): "With -healthd-listen",
    ("etcd", ""): "With -etcd",
    ("provider", "file"): "With -provider file",
    ("provider", "bind"): "With -provider bind",
    ("provider", "autodns"): "With -provider autodns",
    ("provider", "octodns"): "With -provider octodns",
}


def default_text(flag: Flag[Any]) -> str:
    """The default as an operator would write it, or how it is found."""
    if flag.shown_default:
        return flag.shown_default
    default = flag.default
    if isinstance(default, bool):
        return ("on" if default else "off") if flag.kind is SWITCH else str(default).lower()
    if isinstance(default, float):
        return format_duration(default)
    return "none" if default in (None, "", ()) else str(default)


def sections() -> Iterable[tuple[str, list[Flag[Any]]]]:
    """Titles with their flags, each flag once."""
    for owner, title in TITLES.items():
        yield title, [flag for flag in flags.FLAGS if flag.belongs_to == owner]


def help_lines(width: int = 80) -> list[str]:
    """The flags as a list for a terminal."""
    import textwrap  # noqa: PLC0415 - lazy: only the help pays for it

    lines = []
    for title, members in sections():
        lines += ["", f"{title}:"]
        for flag in members:
            lines.append(f"  -{flag.name} {flag.kind.word}".rstrip())
            text = f"{flag.meaning} (default: {default_text(flag)})"
            lines += textwrap.wrap(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return lines


def flag_tables() -> str:
    """The flags as Markdown."""
    lines = []
    for title, members in sections():
        lines += [f"### {title}", ""]
        lines += ["| flag | value | default | meaning | reload |", "|---|---|---|---|---|"]
        for flag in members:
            value = f"`{_cell(flag.kind.word)}`" if flag.kind.word else "(switch)"
            cells = (
                f"`-{flag.name}`"
                + (f" (key `{flag.key}`)" if flag.key not in ("", flag.name) else ""),
                value,
                _cell(default_text(flag)),
                _cell(flag.meaning),
                "yes" if flag.live else "restart",
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def loadbalancer_table() -> str:
    """The keys of a load balancer as Markdown; the defaults are those of the model itself."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines.append("| `endpoints` | a list of endpoints | must be given | see above |")
    for key, option in OPTIONS.items():
        several = "a list of: " if option.kind.split else ""
        value = f"{several}{_cell(option.kind.expected)}"
        lines.append(f"| `{key}` | {value} | {option_default(option)} | {option.meaning} |")
    return "\n".join(lines) + "\n"


def option_default(option: Option) -> str:
    """The default of a load balancer's key, as it would be written in a file."""
    default = getattr(_MONITOR if option.is_monitor else _POLICY, option.field)
    if default is None:
        return "none"
    if option.kind is SHARE:
        return f'`"{default:.0%}"`'
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
