"""The `[guard]` table of a file. Not its meaning: that is `dnslb.decide.settings`."""

from __future__ import annotations

from dnslb.daemon.kinds import SHARE, Kind, duration
from dnslb.daemon.origin import FromFile
from dnslb.daemon.problems import Findings, found, similar
from dnslb.daemon.reader import Reader
from dnslb.decide.settings import GuardSettings

GUARD_OPTIONS: dict[str, tuple[Kind[float], str]] = {
    "max-withdraw-total": (SHARE, "max_withdraw_total"),
    "window": (duration(1, 86400), "window_s"),
}


def read_guard(table: object, origin: FromFile, findings: Findings) -> GuardSettings:
    """The guard's settings; the defaults where something is wrong, which is noted."""
    if not isinstance(table, dict):
        findings.error(origin.place(), f"expected a table [guard], {found(table)}")
        return GuardSettings()
    read = {}
    for key, raw in table.items():
        if key not in GUARD_OPTIONS:
            sentence = f"the guard has no such key{similar(key, GUARD_OPTIONS)}"
            findings.error(origin.place(key), sentence)
            continue
        kind, name = GUARD_OPTIONS[key]
        reader = Reader(kind, origin.below(key), findings, {})
        value = reader.read((raw,))
        if not reader.failed:
            read[name] = value
    return GuardSettings(**read)  # type: ignore[arg-type]
