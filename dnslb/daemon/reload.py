"""What a reload cannot put into force: the differences between two configurations, as sentences.

Not the reload itself. Which flags are live stands in their table; tables of a file are live but
for the provider's.
"""

from __future__ import annotations

from pathlib import Path

from dnslb.daemon import flags
from dnslb.daemon.config import Config
from dnslb.daemon.secret import Secret

_AFTER_RESTART = "this takes effect after a restart"


def differences_needing_restart(old: Config, new: Config) -> tuple[str, ...]:
    """One sentence for each setting that differs and stays as it was until a restart."""
    sentences = []
    for flag in flags.FLAGS:
        if flag.live or flag is flags.CFG:
            continue
        before, after = old.by_flag.get(flag.name), new.by_flag.get(flag.name)
        if before == after:
            continue
        if isinstance(before, Secret) or isinstance(after, Secret):
            change = "has changed"
        else:
            change = f"has changed from {_shown(before)} to {_shown(after)}"
        sentences.append(f"-{flag.name} {change}: {_AFTER_RESTART}")
    if old.bind and new.bind and old.bind.key != new.bind.key:
        sentences.append(f"the key in {new.bind.key_file} has changed: {_AFTER_RESTART}")
    if old.octodns and new.octodns and old.octodns.table != new.octodns.table:
        sentences.append(f"[octodns] has changed: {_AFTER_RESTART}")
    return tuple(sentences)


def _shown(value: object) -> str:
    match value:
        case None | () | "":
            return "nothing"
        case bool():
            return "on" if value else "off"
        case tuple() if not hasattr(value, "_fields"):
            return ", ".join(map(_shown, value))
        case str() | Path():
            return repr(str(value))
    return str(value)
