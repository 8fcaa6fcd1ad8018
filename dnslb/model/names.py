"""Owner names as values: lower case, absolute, written without the final dot.

Not a resolver and not a parser of presentation format: names with escapes are refused, since no
load balancer needs one. Matching a name to its zone is label-wise, never by substring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dnslb.errors import InvalidValue

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
MARKER_LABEL = "_dnslb"


def to_name(text: str) -> str:
    """``text`` as a normalised owner name (RFC 1035 limits; ``_`` and a leading ``*`` allowed).

    Raises `InvalidValue` with a sentence that says what is wrong.
    """
    name = text.strip().removesuffix(".").lower()
    if not name:
        raise InvalidValue("a DNS name was expected, this is empty")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as e:
            raise InvalidValue(f"{text!r} is no DNS name: it cannot be written in IDNA") from e
    if len(name) > 253:
        raise InvalidValue(f"{text!r} is no DNS name: longer than 253 characters")
    labels = name.split(".")
    for i, label in enumerate(labels):
        if i == 0 and label == "*" and len(labels) > 1:
            continue
        if len(label) > 63:
            raise InvalidValue(f"{text!r} is no DNS name: {label!r} is longer than 63 characters")
        if not _LABEL.fullmatch(label):
            raise InvalidValue(f"{text!r} is no DNS name: {label!r} is no valid label")
    return name


def is_within(name: str, zone: str) -> bool:
    """Whether ``name`` is ``zone`` or below it, label by label."""
    return name == zone or name.endswith("." + zone)


def longest_zone(name: str, zones: Iterable[str]) -> str | None:
    """The zone with the most labels that ``name`` lies in, or None."""
    return max((z for z in zones if is_within(name, z)), key=len, default=None)


def marker_name(zone: str) -> str:
    """The owner name of the marker TXT record of ``zone`` (`safety.md` 2)."""
    return f"{MARKER_LABEL}.{zone}"
