"""The tables of a file beside the load balancers: `[guard]` and `[octodns]`.

Not their meaning: that is `dnslb.decide.settings` and the octoDNS provider.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from dnslb.daemon.kinds import SHARE, Kind, duration
from dnslb.daemon.origin import FromFile
from dnslb.daemon.problems import Findings, found, similar
from dnslb.daemon.reader import Reader
from dnslb.daemon.secret import Secret, read_secret
from dnslb.decide.settings import GuardSettings
from dnslb.errors import InvalidValue

DEPTH_MAX = 8
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


def read_octodns(
    table: object, origin: FromFile, environ: Mapping[str, str], findings: Findings
) -> Mapping[str, object]:
    """The provider's settings as they stand there, ``env:`` and ``file:`` texts as secrets."""
    if not isinstance(table, dict):
        findings.error(origin.place(), f"expected a table [octodns], {found(table)}")
        return {}

    def convert(value: object, path: tuple[str | int, ...]) -> object:
        if len(path) > DEPTH_MAX:
            findings.error(origin.place(*path[:1]), f"is nested more than {DEPTH_MAX} deep")
            return None
        match value:
            case dict():
                return {key: convert(inner, (*path, key)) for key, inner in value.items()}
            case list():
                return [convert(inner, (*path, i)) for i, inner in enumerate(value)]
            case str() if value.startswith(("env:", "file:")):
                try:
                    return read_secret(value, environ)
                except InvalidValue as error:
                    findings.error(origin.place(*path), str(error))
                    return None
            case datetime.date() | datetime.time():
                findings.error(origin.place(*path), "expected a text, found a date or time")
                return None
        return value

    return {key: convert(value, (key,)) for key, value in table.items()}


def secrets_within(value: object) -> list[Secret]:
    """Every secret in what `read_octodns` gave."""
    match value:
        case Secret():
            return [value]
        case dict():
            return [secret for inner in value.values() for secret in secrets_within(inner)]
        case list():
            return [secret for inner in value for secret in secrets_within(inner)]
    return []
