"""What comes in over the control socket: bodies and queries → the model's values.

Pure. A request is taken whole or refused with one sentence that names the key and what was
expected; unknown keys are refused, since a mistyped ``expires_at`` must not mean "for ever".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dnslb.api import codec
from dnslb.api.codec import Malformed
from dnslb.model.cluster import ClusterCommand
from dnslb.model.command import COMMAND_KINDS, Command, CommandKind

TEXT_LENGTH_MAX = 1000
DATA_LENGTH_MAX = 64 * 1024
"""Of an argument of `apply_log`, which is kept and applied as nothing; how many bytes it may be is
the cluster's to say."""
SUBJECTS_MAX = 100
TIMEOUT_DEFAULT_S = 30.0
TIMEOUT_S_MAX = 300.0
_KEYS = frozenset(
    (
        *("kind", "subjects", "reason", "lb", "expires_at", "for_seconds"),
        *("insist", "delete", "timeout"),
    )
)
_SUBJECTS: Mapping[CommandKind, tuple[int, int, str]] = {
    "drain": (1, 1, "one endpoint"),
    "force-up": (1, 1, "one endpoint"),
    "force-down": (1, 1, "one endpoint"),
    "clear": (1, 1, "one endpoint"),
    "pause": (0, 1, "at most one name or zone"),
    "resume": (0, 1, "at most one name or zone"),
    "approve": (1, SUBJECTS_MAX, "the ids of held changes"),
    "drop": (1, SUBJECTS_MAX, "the ids of held changes"),
    "release": (1, 1, "one name"),
    "sync": (0, SUBJECTS_MAX, "zones, or none for all"),
}


def to_command(body: bytes, by: str, wall_s: float) -> tuple[Command, float]:
    """The command and how many seconds to wait for its effect; raises `Malformed`."""
    fields = _object(body)
    for key in fields:
        if key not in _KEYS:
            raise Malformed(f"unknown key {key[:40]!r}; known are {', '.join(sorted(_KEYS))}")
    kind = next((known for known in COMMAND_KINDS if known == fields.get("kind")), None)
    if kind is None:
        raise Malformed(f"kind: one of {', '.join(COMMAND_KINDS)} was expected")
    subjects = _texts(fields, "subjects")
    least, most, what = _SUBJECTS[kind]
    if not least <= len(subjects) <= most:
        raise Malformed(f"subjects: {kind} takes {what}")
    command = Command(
        kind=kind,
        subjects=subjects,
        by=by,
        reason=_text(fields, "reason"),
        lb=_text(fields, "lb") or None,
        expires_wall=_expiry(fields, wall_s),
        insist=_flag(fields, "insist"),
        delete=_flag(fields, "delete"),
    )
    timeout_s = _number(fields, "timeout")
    return command, min(timeout_s or TIMEOUT_DEFAULT_S, TIMEOUT_S_MAX)


def to_cluster_command(body: bytes, by: str) -> ClusterCommand:
    """A raft command with its arguments as written; raises `Malformed`."""
    fields = _object(body)
    for key in fields:
        if key not in ("command", "arguments", "async"):
            raise Malformed(f"unknown key {key[:40]!r}; known are arguments, async, command")
    name = _text(fields, "command")
    if not name:
        raise Malformed("command: the name of a raft command was expected")
    most = DATA_LENGTH_MAX if name == "apply_log" else TEXT_LENGTH_MAX
    return ClusterCommand(name, _texts(fields, "arguments", most), by, _flag(fields, "async"))


def to_flag(parameters: Mapping[str, str], name: str) -> bool:
    """A field of a query that is 1 or 0 or absent; raises `Malformed`."""
    value = parameters.get(name, "0")
    if value not in ("0", "1"):
        raise Malformed(f"{name}: 0 or 1 was expected, not {value[:40]!r}")
    return value == "1"


def to_count(parameters: Mapping[str, str], name: str) -> int:
    """A field of a query that is a whole number, 0 when absent; raises `Malformed`."""
    value = parameters.get(name, "0")
    if not (value.isascii() and value.isdecimal()) or len(value) > 18:
        raise Malformed(f"{name}: a whole number was expected, not {value[:40]!r}")
    return int(value)


def _object(body: bytes) -> dict[str, object]:
    value = codec.decode(body, codec.REQUEST_BYTES_MAX)
    if not isinstance(value, dict):
        raise Malformed("a JSON object was expected")
    return value


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    return "" if value is None else _check_text(value, key)


def _texts(
    fields: Mapping[str, object], key: str, length_max: int = TEXT_LENGTH_MAX
) -> tuple[str, ...]:
    values = fields.get(key)
    if values is None:
        return ()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise Malformed(f"{key}: a list of texts was expected")
    if len(values) > SUBJECTS_MAX:
        raise Malformed(f"{key}: at most {SUBJECTS_MAX} were expected")
    return tuple(_check_text(value, key, length_max) for value in values)


def _check_text(value: object, key: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    if not isinstance(value, str) or len(value) > length_max:
        raise Malformed(f"{key}: a text of at most {length_max} characters was expected")
    # What is said here is shown on terminals and kept in logs for a long time.
    if not value.isprintable():
        raise Malformed(f"{key}: one line without control characters was expected")
    return value


def _flag(fields: Mapping[str, object], key: str) -> bool:
    value = fields.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Malformed(f"{key}: true or false was expected")


def _number(fields: Mapping[str, object], key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{key}: a number of seconds was expected")
    if not (0 < value < 1e10 and math.isfinite(value)):
        raise Malformed(f"{key}: a number of seconds above 0 was expected")
    return float(value)


def _expiry(fields: Mapping[str, object], wall_s: float) -> float | None:
    """When an order ends, on the wall clock; None: when somebody ends it."""
    for_s = _number(fields, "for_seconds")
    at = _text(fields, "expires_at")
    if for_s is not None and at:
        raise Malformed("expires_at and for_seconds exclude each other")
    if for_s is not None:
        return wall_s + for_s
    return codec.from_time(at) if at else None
