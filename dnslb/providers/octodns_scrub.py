"""Takes secrets out of what foreign code says, before anybody sees it. Pure.

What the configuration named by env: or file: is secret. So is any other text among the settings,
unless its key says that it is none: whoever writes a password into the file must not find it in a
log.

Law: what could be a secret is hidden; a hidden host name costs a moment, a shown password more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "***"
GUESSED_LENGTH_MIN = 4
"""Shorter texts that only might be secret are words such as "us"."""
LINE_LENGTH_MIN = 8
_SHOWN = re.compile(
    r"(.*_)?(host|hostname|server|directory|path|file|extension|region|endpoint|port|backend"
    r"|project|environment|email|algorithm|mode|name|group)"
)


class Scrub:
    """``secrets``: what is known to be one; ``settings``: where more may stand."""

    def __init__(self, secrets: Iterable[str], settings: Mapping[str, object]) -> None:
        found = {s for s in secrets if s}
        found |= {s for s in _texts(settings, "") if len(s) >= GUESSED_LENGTH_MIN}
        spelled = {way for secret in found for way in _spellings(secret)}
        # The longest first: one may lie within another.
        self._patterns = sorted(spelled, key=lambda way: (-len(way), way))

    def __call__(self, text: str, *, is_cut: bool = False) -> str:
        """``is_cut``: something stood before ``text``, which may begin in the midst of a secret."""
        if is_cut:
            text = text[self._piece_length(text) :]
        for secret in self._patterns:
            text = text.replace(secret, HIDDEN)
        return text

    def _piece_length(self, text: str) -> int:
        """Of the longest end of a secret that ``text`` begins with."""
        lengths = range(min(len(text), max(map(len, self._patterns), default=0)), 0, -1)
        return next((n for n in lengths if any(s.endswith(text[:n]) for s in self._patterns)), 0)


def to_sentence(text: str, length_max: int) -> str:
    """``text`` on one line, printable, and cut; to be used on what was scrubbed."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= length_max else f"{shown[: length_max - 3]}..."


def _texts(value: object, key: str) -> Iterator[str]:
    match value:
        case str():
            if not _SHOWN.fullmatch(key):
                yield value
        case Mapping():
            for inner_key, inner in value.items():
                yield from _texts(inner, str(inner_key))
        case list() | tuple():
            for inner in value:
                yield from _texts(inner, key)


def _spellings(secret: str) -> Iterator[str]:
    """As written, and as URLs, JSON and `repr` write it; long texts, such as keys, by the line."""
    yield secret
    for way in (quote, quote_plus):
        yield way(secret.encode(errors="surrogatepass"), safe="")
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield repr(secret)[1:-1]
    yield from (line for line in secret.split() if len(line) >= LINE_LENGTH_MIN)
